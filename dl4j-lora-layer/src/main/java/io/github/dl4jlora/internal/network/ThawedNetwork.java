package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A frozen network ({@code LoRA.freeze}) as the stock network that it was made of: on the same weights, so that what is made of
 * it shares them.
 *
 * @param <M> the network type
 */
public final class ThawedNetwork<M extends Model> extends DelegatingNetwork<M> {

    private final List<Node> nodes;
    private final Map<String, Layer> layers = new HashMap<>();
    private final Map<String, GraphVertex> vertices = new HashMap<>();
    private final Map<String, Trainable> runtimes = new HashMap<>();
    private final boolean trusting;

    private ThawedNetwork(Network<M> frozen, boolean trusting) {
        super(frozen);
        this.trusting = trusting;
        this.nodes = frozen.nodes().stream().map(this::thawed).toList();
    }

    /** The network as a stock one; itself if it is one, or if it is adapted. */
    public static <M extends Model> Network<M> of(Network<M> network) {
        List<Node> nodes = network.nodes();
        return nodes.stream().anyMatch(Node::isOurs) && nodes.stream().allMatch(node -> node.adapted() == null)
                ? new ThawedNetwork<>(network, false) : network;
    }

    /** Of a frozen network whose weights have been verified, and are taken for what their ids say. */
    public static <M extends Model> Network<M> ofVerified(Network<M> frozen) {
        return new ThawedNetwork<>(frozen, true);
    }

    private Node thawed(Node node) {
        if (node.replacement() == null) {
            return node;
        }
        if (node.layer() != null) {
            layers.put(node.name(), node.frozenAlike(node.replacedLayer()));
        } else {
            vertices.put(node.name(), node.frozenAlike(node.replacedVertex()));
        }
        return new Node(node.name(), node.label(), layers.get(node.name()), vertices.get(node.name()), node.inputs(),
                node.preprocessor());
    }

    @Override
    public List<Node> nodes() {
        return nodes;
    }

    @Override
    public Trainable runtime(String name) {
        return outside(name) == null ? inner.runtime(name) : runtimes.computeIfAbsent(name, this::stockRuntime);
    }

    /** Null for a node without frozen weights outside the vector. */
    private @Nullable FrozenReference outside(String name) {
        return inner.node(name).frozenReference();
    }

    /** It computes nothing, and so needs no graph and no inputs. */
    private Trainable stockRuntime(String name) {
        Node node = node(name);
        FrozenWeights weights = Objects.requireNonNull(outside(name)).weights(name, node.numParams());
        if (node.layer() == null) {
            GraphVertex vertex = node.unwrappedVertex();
            return vertex.instantiate(null, name, 0, valuesFor(weights, StockLayers.isKnown(vertex)), false, dataType());
        }
        Layer layer = node.unwrappedLayer();
        INDArray values = valuesFor(weights, StockLayers.isKnown(layer));
        return StockLayers.running(StockLayers.confOf(layer), null, 0, values, false, dataType());
    }

    /** For a layer that nobody knows, which may write to them, they are not those in a file. */
    private INDArray valuesFor(FrozenWeights weights, boolean isKnown) {
        return (isKnown ? weights : weights.inMemory()).valuesAs(dataType());
    }

    @Override
    public Map<String, long[]> shapes(Node node) {
        FrozenReference reference = outside(node.name());
        return reference == null ? super.shapes(node) : reference.require(node.name()).shapes();
    }

    @Override
    public @Nullable FrozenReference described(Node node) {
        FrozenReference reference = outside(node.name());
        return reference == null ? super.described(node) : reference.unbound();
    }

    @Override
    public boolean isPacked(Node node) {
        FrozenReference reference = outside(node.name());
        return reference != null && reference.isPacked();
    }

    /** No layer is made for them: one of the user's own may write to its values, which may lie in a file. */
    @Override
    public @Nullable INDArray values(Node node) {
        FrozenReference reference = outside(node.name());
        return reference == null ? super.values(node)
                : reference.values(node.name(), dataType(), node(node.name()).numParams());
    }

    @Override
    public @Nullable FrozenWeights weights(Node node) {
        FrozenReference reference = outside(node.name());
        if (reference == null) {
            return super.weights(node);
        }
        FrozenWeights weights = reference.require(node.name());
        if (!trusting) {
            weights.verify(node.name());
        }
        return weights;
    }

    @Override
    public @Nullable FrozenWeights unregistered(Node node) {
        return outside(node.name()) == null ? super.unregistered(node) : weights(node);
    }

    @Override
    public Network<M> rebuild(Map<String, Layer> otherLayers, Map<String, GraphVertex> otherVertices) {
        Map<String, Layer> allLayers = new HashMap<>(layers);
        allLayers.putAll(otherLayers);
        Map<String, GraphVertex> allVertices = new HashMap<>(vertices);
        allVertices.putAll(otherVertices);
        return inner.rebuild(allLayers, allVertices);
    }
}
