package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.kernel.PassingOutput;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashSet;
import java.util.Set;

/** The runtime of a layer whose parameters are the matrices of a {@link MatrixConfiguration}. */
abstract class MatrixLayer<C extends MatrixConfiguration> extends BaseLayer<C> {

    private final Set<String> shared = new HashSet<>();

    MatrixLayer(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    /** DL4J's layers read each parameter of the vector in 'f' order; {@link MatrixParams} lays them out in 'c' order. */
    @Override
    public void setParams(INDArray vector) {
        if (vector != paramsFlattened) {
            setParams(vector, 'c');
        }
    }

    /**
     * Every forward pass of a layer that shares its parameters calls this. One that computes outputs again, in the midst of a
     * backward pass, leaves what others have added to the gradients since that began.
     */
    final void beginPass(LayerWorkspaceMgr workspaces) {
        if (!PassingOutput.isAgain(workspaces)) {
            shared.clear();
        }
    }

    /**
     * Where another part of the network that uses a parameter of this layer adds its gradient. That part is further from the
     * input, so it does so before this layer's own backward pass.
     */
    final INDArray shareOf(String key) {
        INDArray view = gradientViews.get(key);
        return shared.add(key) ? view.assign(0) : view;
    }

    /** Where this layer adds its gradient: to the gradients of other parts that use the parameter, or to zeros. */
    final INDArray sumOf(String key) {
        INDArray view = gradientViews.get(key);
        return shared.contains(key) ? view : view.assign(0);
    }

    /** The gradients that {@code backpropGradient} has written into its views. */
    final Gradient gradients() {
        Gradient gradient = new DefaultGradient();
        gradientViews.forEach((key, view) -> gradient.setGradientFor(key, view, 'c'));
        return gradient;
    }

    /** The runtime inside DL4J's and the library's freezing wrappers; null if it is of another type. */
    static <T extends Layer> T inside(Class<T> type, Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper ? inside(type, wrapper.getUnderlying())
                : type.isInstance(layer) ? type.cast(layer) : null;
    }

    /**
     * The layer of a graph that keeps parameters for another.
     *
     * @param user which uses them, for the message
     * @throws IllegalStateException if the graph has no such layer of that name
     */
    static MatrixLayer<?> in(ComputationGraph graph, String name, String user) {
        GraphVertex vertex = graph.getVertex(name);
        MatrixLayer<?> layer = vertex == null ? null : inside(MatrixLayer.class, vertex.getLayer());
        if (layer == null) {
            throw notUsable(user, name, vertex == null ? "which the network lacks" : "which has no matrices: it is "
                    + vertex.getLayer());
        }
        return layer;
    }

    static IllegalStateException notUsable(String user, String name, String why) {
        return new IllegalStateException("Layer \"" + user + "\" computes with parameters of layer \"" + name + "\", " + why);
    }

    /** Whether such a layer is not frozen. */
    static boolean trains(ComputationGraph graph, String name) {
        return graph.getVertex(name).getLayer() instanceof MatrixLayer;
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }
}
