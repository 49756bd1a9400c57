package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The values of its base that a network stands on, and whether they are what they were. */
public final class BaseValues {

    private BaseValues() {
    }

    /**
     * Every layer's frozen weights by name, in topological order.
     *
     * @throws IllegalStateException if weights are missing, or are not what they were when the network was adapted
     */
    public static Map<String, FrozenWeights> verified(Model model) {
        return verified(Networks.of(model));
    }

    /** As {@link #verified(Model)}. */
    public static Map<String, FrozenWeights> verified(Network<?> network) {
        Map<String, FrozenWeights> verified = new LinkedHashMap<>();
        for (Node node : network.nodes()) {
            FrozenReference reference = node.frozenReference();
            if (reference != null) {
                FrozenWeights weights = reference.require(node.name());
                weights.verify(node.name());
                verified.put(node.name(), weights);
            }
        }
        return verified;
    }

    /**
     * What a file must hold to stand by itself: the frozen weights of every layer, what adapters hold that does not train
     * and, where it is here, what the base holds for layers that train in full.
     *
     * @throws IllegalStateException if weights are missing, or are not what they were when the network was adapted
     */
    public static List<FrozenWeights> everythingFrozen(Model model) {
        Network<?> network = Networks.of(model);
        List<FrozenWeights> all = new ArrayList<>(verified(network).values());
        network.runningAdapters().map(adapter -> adapter.constants().outside()).filter(Objects::nonNull).forEach(all::add);
        ofTrainedInFull(network).forEach((name, reference) -> {
            if (reference != null && reference.isHere()) {
                reference.require(name).verify(name);
                all.add(reference.require(name));
            }
        });
        return all;
    }

    /**
     * What the network records of the base's values for layers that train in full, by name; empty where it records nothing.
     */
    public static Map<String, FrozenReference> ofTrainedInFull(Network<?> network) {
        Map<String, FrozenReference> recorded = new LinkedHashMap<>();
        for (Node node : network.nodes()) {
            FrozenReference reference = node.frozenReference();
            if (reference != null && reference.getTrainedInFull() != null) {
                recorded.putAll(reference.getTrainedInFull());
            }
        }
        return recorded;
    }

    /** Whether the network says which layers trained in full when it was adapted, if only that none did. */
    public static boolean areRecorded(Network<?> network) {
        return network.nodes().stream().map(Node::frozenReference)
                .anyMatch(reference -> reference != null && reference.getTrainedInFull() != null);
    }

    /**
     * The values of an adapted node's stock layer without ΔW, flat, wherever the network holds them; not to be written to.
     *
     * @throws IllegalStateException if they are missing
     */
    public static INDArray of(Network<?> adapted, Node node) {
        long length = Objects.requireNonNull(node.adapted()).frozenParams();
        return node.frozenReference() != null ? node.frozenReference().values(node.name(), adapted.dataType(), length)
                : Network.head(adapted.runtime(node.name()).params(), length);
    }
}
