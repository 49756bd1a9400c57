package io.github.dl4jlora.internal.plan;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.TorchTable;

import java.util.Collection;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The layers that an adapter's own configuration names, one by one, beside those that a network has. */
public final class AdapterLayers {

    private AdapterLayers() {
    }

    /**
     * @throws IllegalArgumentException if there is no layer for one of them: the adapter is for another network, or adapts
     *                                  modules of this one that cannot be adapted
     */
    public static void requireIn(List<Node> nodes, LoRAConfig config) {
        TorchTable torch = TorchTable.of(nodes);
        List<Pattern> missing = Stream.concat(
                config.targets().stream().filter(name -> nodes.stream().noneMatch(node -> isAdaptedAs(name, node))),
                config.trainable().stream().filter(name -> !torch.isOtherName(name) && torch.layersOf(name).isEmpty()
                        && nodes.stream().noneMatch(node -> isTrainedAs(name, node))))
                .toList();
        // Targets that PyTorch has in this model, inside of a layer or vertex that cannot be adapted.
        List<Pattern> fixed = missing.stream().filter(name -> config.targets().contains(name)
                && torch.modules().stream().anyMatch(module -> name.matcher(module).matches())).toList();
        if (!missing.isEmpty() && fixed.size() == missing.size()) {
            throw new IllegalArgumentException("The adapter adapts " + names(fixed) + ", which this network has, but cannot "
                    + "adapt: embeddings and decoders of its kind can only be frozen or trained in full. Merge the adapter in "
                    + "Python (merge_and_unload), and open the merged model");
        }
        if (!missing.isEmpty()) {
            throw new IllegalArgumentException("The adapter is for another network: it adapts " + names(config.targets())
                    + (config.trainable().isEmpty() ? "" : " and trains " + names(config.trainable()) + " in full")
                    + ", but this network has no layer for " + names(missing) + "; its layers are "
                    + nodes.stream().filter(node -> node.numParams() > 0).flatMap(AdapterLayers::modules).toList()
                    + ". Use the network that the adapter was trained on or, if only names differ, map them to this network's "
                    + "with LoRAAdapter.loader().keyMapper(...). What keyMapper(...) maps to null is left out, such as a pooler "
                    + "that this network does without");
        }
    }

    private static boolean isAdaptedAs(Pattern name, Node node) {
        return node.isAdaptable() && (node.isCalled(name)
                || node.parameterKeys().stream().anyMatch(key -> MatrixName.of(node, key).isNamedBy(name)));
    }

    private static boolean isTrainedAs(Pattern name, Node node) {
        return node.numParams() > 0 && node.isCalled(name);
    }

    /** What adapter files call the node, or each of its matrices where it has several. */
    private static Stream<String> modules(Node node) {
        return node.isAdaptable() ? node.matrices().forms().keySet().stream().map(key -> MatrixName.of(node, key).module())
                : Stream.of(node.name());
    }

    private static List<String> names(Collection<Pattern> patterns) {
        return patterns.stream().map(LayerNames::of).toList();
    }
}
