package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.peft.PluginVersion;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** What a file says of where it comes from. */
final class Metadata {

    private Metadata() {
    }

    /** {@return by name; entries of adapted and frozen networks have a line for each layer} */
    static Map<String, String> of(Network<?> network, WeightType weights) {
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put("dl4j-lora.version", PluginVersion.get());
        entries.put("dl4j-lora.weights", weights.name());
        String base = network.nodes().stream().filter(node -> node.frozenReference() != null)
                .map(Metadata::base).collect(Collectors.joining("\n"));
        if (!base.isEmpty()) {
            entries.put("dl4j-lora.base", base);
        }
        String adapter = AdaptedView.of(network.model()).adaptedMatrices().entrySet().stream()
                .map(matrix -> matrix.getKey() + " " + matrix.getValue().settings()).collect(Collectors.joining("\n"));
        if (!adapter.isEmpty()) {
            entries.put("dl4j-lora.adapter", adapter);
        }
        return entries;
    }

    /** A layer, the content id of its weights before they were quantised, and how the network keeps them. */
    private static String base(Node node) {
        FrozenReference reference = node.frozenReference();
        return node.name() + " " + reference.baseId() + " " + reference.storedAs();
    }
}
