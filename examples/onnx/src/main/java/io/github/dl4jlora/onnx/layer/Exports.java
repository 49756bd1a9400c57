package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.activations.IActivation;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** All that can be written, by class. A class of its own that extends one of DL4J's may compute anything, and is refused. */
public final class Exports {

    private static final String REMEDY = "Take it out of the network, or compute it outside: OnnxExport writes DL4J's own layers "
            + "and those of dl4j-lora-transformers";

    private final Map<Class<?>, LayerExport<?>> layers = new HashMap<>();
    private final Map<Class<?>, VertexExport<?>> vertices = new HashMap<>();
    private final Map<Class<?>, PreprocessorExport<?>> preprocessors = new HashMap<>();
    private final Map<Class<?>, ActivationExport<?>> activations = new HashMap<>();

    /** Everything that this module knows. */
    public static Exports all() {
        Exports exports = new Exports();
        DenseLayers.addTo(exports);
        RecurrentLayers.addTo(exports);
        RecurrentWrappers.addTo(exports);
        TimeSeriesLayers.addTo(exports);
        EmbeddingLayers.addTo(exports);
        AttentionLayers.addTo(exports);
        PassiveLayers.addTo(exports);
        ConvolutionLayers.addTo(exports);
        PoolingLayers.addTo(exports);
        ImageLayers.addTo(exports);
        NormalizationLayers.addTo(exports);
        LocallyConnectedLayers.addTo(exports);
        ImagePreprocessors.addTo(exports);
        ArithmeticVertices.addTo(exports);
        ShapeVertices.addTo(exports);
        RefusedLayers.addTo(exports);
        return exports;
    }

    /** Adds layers of a class. */
    public <L extends Layer> void layer(Class<L> type, LayerExport<? super L> export) {
        layers.put(type, export);
    }

    /** Adds vertices of a class. */
    public <V extends GraphVertex> void vertex(Class<V> type, VertexExport<? super V> export) {
        vertices.put(type, export);
    }

    <P extends InputPreProcessor> void preprocessor(Class<P> type, PreprocessorExport<? super P> export) {
        preprocessors.put(type, export);
    }

    /** Adds activations of a class. */
    public <A extends IActivation> void activation(Class<A> type, ActivationExport<? super A> export) {
        activations.put(type, export);
    }

    /**
     * Writes a layer.
     *
     * @throws io.github.dl4jlora.onnx.OnnxExportException if ONNX has nothing like it
     */
    @SuppressWarnings("unchecked")
    public Flow layer(Layer layer, Flow input, Place here) {
        LayerExport<Layer> export = (LayerExport<Layer>) layers.get(layer.getClass());
        if (export == null) {
            throw here.refusal("nothing is known of a " + layer.getClass().getSimpleName(), REMEDY);
        }
        return export.export(layer, input, here);
    }

    /** As {@link #layer(Layer, Flow, Place)}. */
    @SuppressWarnings("unchecked")
    public Flow vertex(GraphVertex vertex, List<Flow> inputs, Place here) {
        VertexExport<GraphVertex> export = (VertexExport<GraphVertex>) vertices.get(vertex.getClass());
        if (export == null) {
            throw here.refusal("nothing is known of a " + vertex.getClass().getSimpleName(), REMEDY);
        }
        return export.export(vertex, inputs, here);
    }

    /** As {@link #layer(Layer, Flow, Place)}, of an activation that is none of DL4J's own. */
    @SuppressWarnings("unchecked")
    String activation(IActivation activation, String z, Place here) {
        ActivationExport<IActivation> export = (ActivationExport<IActivation>) activations.get(activation.getClass());
        if (export == null) {
            throw here.refusal("nothing is known of the activation " + activation.getClass().getSimpleName(),
                    "Use one of DL4J's own activations");
        }
        return export.export(activation, z, here);
    }

    /** As {@link #layer(Layer, Flow, Place)}. */
    @SuppressWarnings("unchecked")
    public Flow preprocessor(InputPreProcessor preprocessor, Flow input, Place here) {
        PreprocessorExport<InputPreProcessor> export =
                (PreprocessorExport<InputPreProcessor>) preprocessors.get(preprocessor.getClass());
        if (export == null) {
            throw here.refusal("nothing is known of its " + preprocessor.getClass().getSimpleName(), REMEDY);
        }
        return export.export(preprocessor, input, here);
    }
}
