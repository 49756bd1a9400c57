package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * What ComputationGraph and MultiLayerNetwork have in common: named nodes in topological order, and a way to build
 * the same network with some of them replaced.
 *
 * @param <M> the network type
 */
public abstract class Network<M extends Model> {

    /** The network itself. */
    public abstract M model();

    /** All nodes, inputs before their consumers. */
    public abstract List<Node> nodes();

    /** The running layer or vertex: its parameters as DL4J holds them. */
    public abstract Trainable runtime(String name);

    /** Shapes of a node's parameters, by key. */
    public Map<String, long[]> shapes(Node node) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        runtime(node.name()).paramTable(false).forEach((key, value) -> shapes.put(key, value.shape()));
        return shapes;
    }

    /** A node's parameters, flat; null or empty for one that has none. */
    public @Nullable INDArray values(Node node) {
        return runtime(node.name()).params();
    }

    /** A node's parameters, named by content; null for one that has none. */
    public @Nullable FrozenWeights weights(Node node) {
        Trainable running = runtime(node.name());
        return running.params() == null || running.params().length() == 0 ? null
                : FrozenWeights.of(running.params(), table(node, running));
    }

    /** A node's parameters by type and shapes alone: nothing of them is read. Null for one that has none. */
    public @Nullable FrozenReference described(Node node) {
        Trainable running = runtime(node.name());
        return running.params() == null || running.params().length() == 0 ? null
                : FrozenReference.unhashed(running.params().dataType(), table(node, running));
    }

    /** Whether products use packed copies of a node's matrices, so that those of what is made of it are to do so, too. */
    public boolean isPacked(Node node) {
        return false;
    }

    /**
     * As {@link #weights}, but in no registry, so that nobody finds them before they have been compared.
     *
     * @throws IllegalArgumentException if they were closed
     */
    public @Nullable FrozenWeights unregistered(Node node) {
        Trainable running = runtime(node.name());
        if (running.params() == null || running.params().length() == 0) {
            return null;
        }
        if (running.params().wasClosed()) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" of the base was closed");
        }
        return FrozenWeights.unregistered(running.params(), table(node, running));
    }

    /** The shapes are part of an id. DL4J makes one layer's weights as a row, and restores them as a vector. */
    private static Map<String, INDArray> table(Node node, Trainable running) {
        return node.layer() != null && StockLayers.innermost(node.unwrappedLayer()) instanceof ElementWiseMultiplicationLayer
                ? StockLayers.table(node.unwrappedLayer(), running.params()) : running.paramTable(false);
    }

    /** The running layer or vertex where it is adapted; null for any other, and where nothing runs. */
    public @Nullable AdaptedRuntime adaptedRuntime(Node node) {
        return AdaptedRuntime.of(runtime(node.name()));
    }

    /** The adapters of the running layers. */
    public final Stream<Adapter> runningAdapters() {
        return nodes().stream().map(this::adaptedRuntime).filter(Objects::nonNull).map(AdaptedRuntime::adapter);
    }

    /** Whether DL4J runs it as a graph, not as a chain. */
    public abstract boolean isGraph();

    /** Names of the network's inputs. */
    public abstract List<String> inputs();

    /** Names of the nodes whose outputs are the network's. */
    public abstract List<String> outputs();

    /** What reshapes a node's input on its way in; null for nothing. */
    public abstract @Nullable InputPreProcessor preprocessor(Node node);

    /** Whether the network trains in workspaces. */
    public abstract boolean trainsInWorkspaces();

    /** The seed that the network was initialised with. */
    public abstract long seed();

    /** The type of its parameters. */
    public abstract DataType dataType();

    /** What turns gradients into updates. */
    public abstract Updater updater();

    /** As {@link #updater}; null if nothing has needed one so far. */
    public abstract @Nullable Updater updaterSoFar();

    /** One step of DL4J's training. */
    public abstract void fit(MultiDataSet batch);

    /** The mean loss of a batch's examples, in inference. */
    public abstract double score(MultiDataSet batch);

    /** Sets iteration and epoch counts to 0, those of the layers included. */
    public abstract void resetCounts();

    /** A pass of inference, for whoever watches a layer. */
    public abstract void infer(MultiDataSet batch);

    /** A pass of training over whole sequences, without an update. */
    public abstract void gradients(MultiDataSet batch);

    /**
     * The same network with other configurations for some nodes. Its parameters are zero; iteration and epoch counts
     * are kept. ND4J's random generator is not touched. Where nothing is left that could train, its {@code fit} refuses.
     *
     * @param layers   replacements by name
     * @param vertices replacements by name, for nodes that are no layers
     */
    public abstract Network<M> rebuild(Map<String, org.deeplearning4j.nn.conf.layers.Layer> layers,
                                Map<String, org.deeplearning4j.nn.conf.graph.GraphVertex> vertices);

    public final Node node(String name) {
        return nodes().stream().filter(node -> node.name().equals(name)).findFirst()
                .orElseThrow(() -> new NoSuchElementException("The network has no layer \"" + name + "\"; it has "
                        + nodes().stream().map(Node::name).toList()));
    }

    /**
     * Whether the user declared the adapted layers, and no base was adapted: what trains beside them, or is frozen by DL4J, is
     * as declared then.
     */
    public final boolean isDeclared() {
        return nodes().stream().filter(Node::isOurs).allMatch(node -> node.adapted() != null && node.adapted().declared());
    }

    /**
     * Whether the network's own values of a stock layer differ from its base's: it trains in full, or did until
     * TransferLearning froze it.
     */
    public final boolean trainsInFull(Node node) {
        return !node.isOurs() && node.numParams() > 0 && !(node.isFrozen() && isDeclared());
    }

    /** The first values of a flat array, which come before those of an adapter. */
    public static INDArray head(INDArray values, long length) {
        return values.reshape(values.length()).get(NDArrayIndex.interval(0, length));
    }
}
