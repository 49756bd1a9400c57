package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.IntStream;

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

    /**
     * As {@link #ofTrainedInFull(Network)}, verified, without layers that were put in the place of others since.
     *
     * @param undone  what is to be done with the network, for the message
     * @param instead what else can be done, likewise; begins with a comma unless it is empty
     * @throws IllegalStateException if values were not recorded, are not in this JVM, or have changed
     */
    public static Map<String, FrozenReference> ofTrainedInFull(Network<?> network, String undone, String instead) {
        Map<String, FrozenReference> all = ofTrainedInFull(network);
        boolean areRecorded = (areRecorded(network) || network.isDeclared()) && !isRenumbered(network, all.keySet());
        Map<String, FrozenReference> found = new LinkedHashMap<>();
        List<String> gone = new ArrayList<>();
        for (Node node : network.nodes()) {
            FrozenReference recorded = all.get(node.name());
            FrozenReference base = recorded != null && fits(network, node, recorded) ? recorded : null;
            if (base != null && base.isHere()) {
                base.require(node.name()).verify(node.name());
                found.put(node.name(), base);
            } else if (base != null || !areRecorded && network.trainsInFull(node)) {
                gone.add("\"" + node.name() + "\"");
            }
        }
        if (!gone.isEmpty()) {
            throw new IllegalStateException("The network cannot be " + undone + ": its layers " + String.join(", ", gone)
                    + " are trained in full, and their values in the base are not available. Use the base network itself"
                    + (areRecorded ? ", or attach it to this network with LoRA.attach" : "") + instead);
        }
        return found;
    }

    /** DL4J's toComputationGraph calls layers by their numbers: what is recorded by their names finds none of them. */
    private static boolean isRenumbered(Network<?> network, Set<String> recorded) {
        List<String> names = network.nodes().stream().map(Node::name).toList();
        return network.isGraph() && !recorded.isEmpty() && recorded.stream().noneMatch(names::contains)
                && IntStream.range(0, names.size()).allMatch(i -> names.get(i).equals(String.valueOf(i)));
    }

    private static boolean fits(Network<?> network, Node node, FrozenReference base) {
        Trainable runtime = network.runtime(node.name());
        return !node.isOurs() && runtime.params() != null
                && base.hasShapesOf(FrozenWeights.signature(runtime.params().dataType(), runtime.paramTable(false)));
    }

    /** The values of a node's stock layer, flat; not to be written to. */
    public static INDArray flat(Network<?> network, Node node, FrozenReference reference) {
        Layer stock = Objects.requireNonNull(node.stockLayer());
        return reference.values(node.name(), network.dataType(), StockLayers.numParams(stock));
    }

    /** The parameters of a node's stock layer by DL4J's key: views of flat values. */
    public static Map<String, INDArray> table(Node node, INDArray values) {
        return StockLayers.table(Objects.requireNonNull(node.stockLayer()), values);
    }

    /** Whether the network says which layers trained in full when it was adapted, if only that none did. */
    private static boolean areRecorded(Network<?> network) {
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
