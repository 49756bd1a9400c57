package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;

/** What runs a layer whose parameters are the matrices of a {@link MatrixParams.Holder}. */
abstract class MatrixLayer<C extends FeedForwardLayer> extends BaseLayer<C> {

    MatrixLayer(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    static Layer prepared(MatrixLayer<?> layer, Collection<TrainingListener> listeners, int index, INDArray view,
            boolean initialize) {
        layer.setListeners(listeners);
        layer.setIndex(index);
        layer.setParamsViewArray(view);
        layer.setParamTable(MatrixParams.INSTANCE.init(layer.conf(), view, initialize));
        return layer;
    }

    static LayerMemoryReport memoryReport(FeedForwardLayer layer, InputType input) {
        long params = MatrixParams.INSTANCE.numParams(layer);
        return new LayerMemoryReport.Builder(layer.getLayerName(), layer.getClass(), input,
                InputType.feedForward(layer.getNOut()))
                .standardMemory(params, layer.getIUpdater().stateSize(params)).workingMemory(0, 0, 0, 0)
                .cacheMemory(0, 0).build();
    }

    /** The gradients that {@code backpropGradient} has written into its views. */
    final Gradient gradients() {
        Gradient gradient = new DefaultGradient();
        gradientViews.forEach((key, view) -> gradient.setGradientFor(key, view, 'c'));
        return gradient;
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }
}
