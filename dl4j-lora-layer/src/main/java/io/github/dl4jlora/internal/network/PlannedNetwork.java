package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.run.AdaptedRuntime;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;

/**
 * A network that is not made yet, by its configurations: it has nodes, and nothing runs or has values.
 *
 * @param <M> the network type
 */
public final class PlannedNetwork<M extends Model> extends DelegatingNetwork<M> {

    private final List<Node> nodes;

    /**
     * @param from     the stock network
     * @param layers   replacements by name
     * @param vertices replacements by name, for nodes that are no layers
     */
    public PlannedNetwork(Network<M> from, Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        super(from);
        this.nodes = from.nodes().stream().map(node -> new Node(node.name(), node.label(),
                layers.getOrDefault(node.name(), node.layer()), vertices.getOrDefault(node.name(), node.vertex()),
                node.inputs(), node.preprocessor())).toList();
    }

    /** The stock network. */
    public Network<M> from() {
        return inner;
    }

    @Override
    public List<Node> nodes() {
        return nodes;
    }

    @Override
    public Trainable runtime(String name) {
        throw new UnsupportedOperationException("A network that is only planned has nothing that runs");
    }

    @Override
    public @Nullable AdaptedRuntime adaptedRuntime(Node node) {
        return null;
    }
}
