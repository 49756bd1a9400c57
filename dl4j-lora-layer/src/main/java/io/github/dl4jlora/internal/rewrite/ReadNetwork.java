package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.internal.base.FrozenWeights;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A network whose values were read layer by layer, and are kept as what is made of it will keep them. What stands in for it has
 * the configuration and shapes, and no values.
 *
 * @param <M> the network type
 */
final class ReadNetwork<M extends Model> extends StandingFor<M> {

    private final Map<String, FrozenWeights> weights = new HashMap<>();

    ReadNetwork(Network<M> standIn) {
        super(standIn);
    }

    /** Which node a running layer of the stand-in is. */
    Node nodeOf(Trainable running) {
        Trainable layer = running instanceof GraphVertex vertex && vertex.hasLayer() ? vertex.getLayer() : running;
        return nodes().stream().filter(node -> inner.runtime(node.name()) == layer).findFirst().orElseThrow();
    }

    void keep(Node node, FrozenWeights kept) {
        weights.put(node.name(), kept);
    }

    @Override
    List<Node> nodes() {
        return inner.nodes();
    }

    @Override
    Trainable runtime(String name) {
        return inner.runtime(name);
    }

    @Override
    INDArray values(Node node) {
        FrozenWeights kept = weights.get(node.name());
        return kept == null ? null : kept.values();
    }

    @Override
    FrozenWeights weights(Node node) {
        return weights.get(node.name());
    }

    @Override
    FrozenWeights unregistered(Node node) {
        return weights.get(node.name());
    }
}
