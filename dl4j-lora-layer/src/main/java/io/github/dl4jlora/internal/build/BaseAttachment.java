package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.ThawedNetwork;
import org.deeplearning4j.nn.api.Model;

import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/** Gives an adapted network the base that it stands on, once it is clear that it is that base. */
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
        Network<?> network = Networks.of(model);
        if (base == null) {
            throw new IllegalArgumentException("The base is null: give the network that was adapted");
        }
        Network<?> from = ThawedNetwork.of(Networks.of(base));
        Map<FrozenReference, FrozenWeights> found = found(network, from);
        if (found.isEmpty()) {
            throw new IllegalArgumentException("The network refers to no base: it was not made by LoRA.apply with storage "
                    + "SHARED");
        }
        network.runningAdapters().forEach(adapter -> adapter.constants().requireStart());
        found.forEach(FrozenReference::bind);
        bindTrainedInFull(network, from);
        Wiring.connect(network);
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
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has different weights from those that the "
                    + "network was adapted from: content id " + weights.baseId() + ", expected " + reference.baseId()
                    + ". Attach the network that was adapted, as it was then: a base must not be trained afterwards");
        }
        FrozenWeights formed = reference.formed(weights);
        if (!formed.id().equals(reference.getId())) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base is kept as " + weights.storedAs()
                    + ", but the network uses it as " + reference.storedAs() + ". Attach the original base, or one that is kept "
                    + "in the same way");
        }
        return reference.admit(formed, name);
    }

    /** Only unload needs these, so a base that lacks one, or has another, is accepted all the same. */
    private static void bindTrainedInFull(Network<?> network, Network<?> from) {
        BaseValues.ofTrainedInFull(network).forEach((name, reference) -> {
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
}
