package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.FrozenWeightsRegistry;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A network that was read layer by layer ({@code StreamedBase}), whose values are kept as what is made of it will keep them.
 *
 * @param <M> the network type
 */
public final class StreamedNetwork<M extends Model> extends DelegatingNetwork<M> {

    private final Map<String, FrozenWeights> weights = new HashMap<>();

    /** @param standIn has the configuration and shapes, and no values */
    public StreamedNetwork(Network<M> standIn) {
        super(standIn);
    }

    /** Which node a running layer of the stand-in is. */
    public Node nodeOf(Trainable running) {
        Trainable layer = running instanceof GraphVertex vertex && vertex.hasLayer() ? vertex.getLayer() : running;
        return nodes().stream().filter(node -> inner.runtime(node.name()) == layer).findFirst().orElseThrow();
    }

    /** Gives a node the values that it is to have from now on. */
    public void keep(Node node, FrozenWeights kept) {
        weights.put(node.name(), kept);
    }

    /** Makes the values that are kept as they were findable by their id; those in fewer bits are findable already. */
    public void registerKept() {
        weights.values().stream().filter(kept -> kept.form() == null).forEach(FrozenWeightsRegistry::register);
    }

    @Override
    public List<Node> nodes() {
        return inner.nodes();
    }

    @Override
    public Trainable runtime(String name) {
        return inner.runtime(name);
    }

    @Override
    public @Nullable INDArray values(Node node) {
        FrozenWeights kept = weights.get(node.name());
        return kept == null ? null : kept.values();
    }

    @Override
    public @Nullable FrozenWeights weights(Node node) {
        return weights.get(node.name());
    }

    @Override
    public @Nullable FrozenWeights unregistered(Node node) {
        return weights.get(node.name());
    }
}
