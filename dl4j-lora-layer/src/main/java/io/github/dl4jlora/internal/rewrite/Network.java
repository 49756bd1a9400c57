package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.internal.base.FrozenWeights;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.function.Supplier;

/**
 * What ComputationGraph and MultiLayerNetwork have in common: named nodes in topological order, and a way to build
 * the same network with some of them replaced.
 *
 * @param <M> the network type
 */
public abstract class Network<M extends Model> {

    /**
     * @throws IllegalArgumentException for a network that is not initialised, or neither of the two types
     */
    @SuppressWarnings("unchecked")
    static <M extends Model> Network<M> of(M model) {
        if (model == null) {
            throw new IllegalArgumentException("The network is null");
        }
        if (model instanceof ComputationGraph graph && graph.getVertices() != null && graph.params() != null) {
            return (Network<M>) new GraphNetwork(graph);
        }
        if (model instanceof MultiLayerNetwork layers && layers.isInitCalled()) {
            return (Network<M>) new LayersNetwork(layers);
        }
        if (model instanceof ComputationGraph || model instanceof MultiLayerNetwork) {
            throw new IllegalArgumentException("The network is not initialised, so it has no weights to build on: call init(), "
                    + "train it or restore it first");
        }
        throw new IllegalArgumentException("Cannot adapt a " + model.getClass().getName()
                + "; a ComputationGraph or MultiLayerNetwork is needed");
    }

    /** Work whose arrays outlive the workspaces that the caller has open. */
    static <T> T outside(Supplier<T> work) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return work.get();
        }
    }

    /** Sets a network's iteration and epoch counts to 0, where its updater's state is set to zero. */
    public static void resetCounts(Model model) {
        of(model).resetCounts();
    }

    /** The network itself. */
    abstract M model();

    /** All nodes, inputs before their consumers. */
    abstract List<Node> nodes();

    /** The running layer or vertex: its parameters as DL4J holds them. */
    abstract Trainable runtime(String name);

    /** Shapes of a node's parameters, by key. */
    Map<String, long[]> shapes(Node node) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        runtime(node.name()).paramTable(false).forEach((key, value) -> shapes.put(key, value.shape()));
        return shapes;
    }

    /** A node's parameters, flat; null or empty for one that has none. */
    INDArray values(Node node) {
        return runtime(node.name()).params();
    }

    /** A node's parameters, by content; null for one that has none. */
    FrozenWeights weights(Node node) {
        Trainable running = runtime(node.name());
        return running.params() == null || running.params().length() == 0 ? null
                : FrozenWeights.of(running.params(), running.paramTable(false));
    }

    /**
     * As {@link #weights}, to be compared before anybody else finds them.
     *
     * @throws IllegalArgumentException if they were closed
     */
    FrozenWeights unregistered(Node node) {
        Trainable running = runtime(node.name());
        if (running.params() == null || running.params().length() == 0) {
            return null;
        }
        if (running.params().wasClosed()) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" of the base was closed");
        }
        return FrozenWeights.unregistered(running.params(), running.paramTable(false));
    }

    /** The seed that the network was initialised with. */
    abstract long seed();

    /** The type of its parameters. */
    abstract DataType dataType();

    /** What turns gradients into updates. */
    abstract Updater updater();

    /** Sets iteration and epoch counts to 0, those of the layers included. */
    abstract void resetCounts();

    /** A pass of inference, whose result nobody wants. */
    abstract void infer(MultiDataSet batch);

    /** A pass of training over whole sequences, without an update. */
    abstract void gradients(MultiDataSet batch);

    /**
     * The same network with other configurations for some nodes. Its parameters are zero; iteration and epoch counts
     * are kept. ND4J's random generator is not touched. Where nothing is left that could train, its {@code fit} refuses.
     *
     * @param layers   replacements by name
     * @param vertices replacements by name, for nodes that are no layers
     */
    abstract Network<M> rebuild(Map<String, org.deeplearning4j.nn.conf.layers.Layer> layers,
                                Map<String, org.deeplearning4j.nn.conf.graph.GraphVertex> vertices);

    final Node node(String name) {
        return nodes().stream().filter(node -> node.name().equals(name)).findFirst()
                .orElseThrow(() -> new NoSuchElementException("The network has no layer \"" + name + "\"; it has "
                        + nodes().stream().map(Node::name).toList()));
    }

    /**
     * Whether nobody adapted a base: the user declared the adapted layers, so that what trains beside them, or is frozen by
     * DL4J, is as declared.
     */
    final boolean isDeclared() {
        return nodes().stream().filter(Node::isOurs).allMatch(node -> node.adapted() != null && node.adapted().declared());
    }

    /**
     * Whether the network's own values of a stock layer differ from its base's: it trains in full, or did until
     * TransferLearning froze it.
     */
    final boolean trainsInFull(Node node) {
        return !node.isOurs() && node.numParams() > 0 && !(node.isFrozen() && isDeclared());
    }

    /** The first values of a flat array, which come before those of an adapter. */
    static INDArray head(INDArray values, long length) {
        return values.reshape(values.length()).get(NDArrayIndex.interval(0, length));
    }
}
