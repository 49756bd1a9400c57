package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.run.AdaptedRuntime;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Lets adapted layers skip the gradient of their input where nobody can miss it: the input is a network input or a stopped
 * layer, this layer is its only consumer, and no preprocessor stands between, which would not take null.
 */
public final class InputGradients {

    private InputGradients() {
    }

    /** Tells every adapted layer of the network who uses the gradient of its input. */
    static void leaveOut(Network<?> network) {
        of(network).forEach((name, use) -> {
            if (network.runtime(name) instanceof AdaptedRuntime runtime) {
                runtime.setInputGradient(use);
            }
        });
    }

    /** Who uses the gradients of the nodes' inputs, by name. */
    public static Map<String, InputGradient> of(Network<?> network) {
        Map<String, Integer> consumers = new HashMap<>();
        Set<String> passing = new HashSet<>();
        Set<String> stopped = new HashSet<>();
        for (Node node : network.nodes()) {
            node.inputs().forEach(input -> consumers.merge(input, 1, Integer::sum));
            (node.stopsGradient() ? stopped : passing).add(node.name());
        }
        Map<String, InputGradient> uses = new HashMap<>();
        for (Node node : network.nodes()) {
            String input = node.inputs().get(0);
            boolean missed = node.hasPreprocessor() || passing.contains(input) || consumers.getOrDefault(input, 0) > 1;
            uses.put(node.name(), missed ? InputGradient.NEEDED
                    : stopped.contains(input) ? InputGradient.UNNEEDED : InputGradient.FOR_CALLERS);
        }
        return uses;
    }
}
