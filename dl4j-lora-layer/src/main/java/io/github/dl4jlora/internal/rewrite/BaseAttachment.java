package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import org.deeplearning4j.nn.api.Model;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Ties adapted networks to the base they stand on: gives it to those that lack it, and verifies that it is what it was.
 */
public final class BaseAttachment {

    private BaseAttachment() {
    }

    /**
     * Gives a network the base it was adapted from, in place of the one it may have. All layers are compared before the
     * first is bound; running layers look their weights up again.
     *
     * @throws IllegalArgumentException if the base lacks a layer or has another in its place
     * @throws IllegalStateException    if an adapter started from data, and its start is not here
     */
    public static void attach(Model model, Model base) {
        Network<?> network = Network.of(model);
        if (base == null) {
            throw new IllegalArgumentException("The base is null: give the network that was adapted");
        }
        Network<?> from = ThawedNetwork.of(Network.of(base));
        Map<FrozenReference, FrozenWeights> found = found(network, from);
        if (found.isEmpty()) {
            throw new IllegalArgumentException("The network refers to no base: it was not made by LoRA.apply with storage "
                    + "SHARED");
        }
        runningAdapters(network).forEach(Adapter::requireStart);
        found.forEach(FrozenReference::bind);
        bindTrainedInFull(network, from);
        InputGradients.leaveOut(network);
        PassingOutputs.assign(network);
        FirstSteps.resume(network);
    }

    private static Map<FrozenReference, FrozenWeights> found(Network<?> network, Network<?> from) {
        List<String> names = from.nodes().stream().map(Node::name).toList();
        Map<FrozenReference, FrozenWeights> found = new IdentityHashMap<>();
        for (Node node : network.nodes()) {
            FrozenReference reference = node.frozenReference();
            if (reference == null) {
                continue;
            }
            if (!names.contains(node.name())) {
                throw new IllegalArgumentException("The base has no layer \"" + node.name() + "\"; it has " + names
                        + ". Attach the network that was adapted");
            }
            found.put(reference, matching(node.name(), reference, from));
        }
        return found;
    }

    private static FrozenWeights matching(String name, FrozenReference reference, Network<?> from) {
        FrozenWeights weights = from.unregistered(from.node(name));
        if (weights == null) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has no parameters, but the network expects "
                    + reference.getSignature());
        }
        if (!weights.signature().equals(reference.getSignature())) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has " + weights.signature()
                    + ", but the network was adapted from one with " + reference.getSignature()
                    + ". Attach the network that was adapted");
        }
        if (!weights.baseId().equals(reference.baseId())) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has other weights than the network was "
                    + "adapted from: content id " + weights.baseId() + ", expected " + reference.baseId()
                    + ". Attach the network that was adapted, as it was then: a base must not be trained afterwards");
        }
        FrozenWeights formed = reference.formed(weights);
        if (!formed.id().equals(reference.getId())) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base is kept as " + weights.storedAs()
                    + ", but the network stands on it as " + reference.storedAs() + ". Attach the original base, or one that is "
                    + "kept in that way");
        }
        return reference.admit(formed, name);
    }

    private static Stream<Adapter> runningAdapters(Network<?> network) {
        return network.nodes().stream().map(node -> AdaptedRuntime.of(network.runtime(node.name()))).filter(Objects::nonNull)
                .map(AdaptedRuntime::adapter);
    }

    /** Only unload asks for these, so that a base which lacks one, or has another, serves all the same. */
    private static void bindTrainedInFull(Network<?> network, Network<?> from) {
        recorded(network).forEach((name, reference) -> {
            if (reference != null && from.nodes().stream().anyMatch(node -> node.name().equals(name))) {
                FrozenWeights weights = from.unregistered(from.node(name));
                FrozenWeights formed = weights != null && weights.baseId().equals(reference.baseId())
                        ? reference.formed(weights) : null;
                if (formed != null && formed.id().equals(reference.getId())) {
                    reference.bind(reference.admit(formed, name));
                }
            }
        });
    }

    /**
     * What the network records of the base's values for layers that train in full, by name; empty where it records nothing.
     */
    static Map<String, FrozenReference> recorded(Network<?> network) {
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
    static boolean isRecorded(Network<?> network) {
        return network.nodes().stream().map(Node::frozenReference)
                .anyMatch(reference -> reference != null && reference.getTrainedInFull() != null);
    }

    /**
     * Every layer's frozen weights by name, in topological order.
     *
     * @throws IllegalStateException if weights are missing, or are not what they were when the network was adapted
     */
    public static Map<String, FrozenWeights> verified(Model model) {
        return verified(Network.of(model));
    }

    static Map<String, FrozenWeights> verified(Network<?> network) {
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
        Network<?> network = Network.of(model);
        List<FrozenWeights> all = new ArrayList<>(verified(network).values());
        runningAdapters(network).map(Adapter::outsideConstants).filter(Objects::nonNull).forEach(all::add);
        recorded(network).forEach((name, reference) -> {
            if (reference != null && reference.isHere()) {
                reference.require(name).verify(name);
                all.add(reference.require(name));
            }
        });
        return all;
    }
}
