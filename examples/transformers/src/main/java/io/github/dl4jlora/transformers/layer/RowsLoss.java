package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.ILossFunction;

import java.util.Collection;

/**
 * An output layer without parameters whose labels have another shape than what it gives. It is DL4J's {@code LossLayer}, which
 * frees the caller's labels and multiplies outputs by masks of labels, without these two.
 */
public final class RowsLoss extends LossLayer {

    private static final long serialVersionUID = 1L;

    RowsLoss() {
        // For JSON.
    }

    /** Of such an activation below such a loss. */
    public RowsLoss(ILossFunction loss, Activation activation) {
        super(new Builder(loss).activation(activation));
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return inputType;
    }

    @Override
    public Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                             boolean initialize, DataType type) {
        RowsLossRuntime runtime = new RowsLossRuntime(conf, type);
        runtime.setListeners(listeners);
        runtime.setIndex(index);
        runtime.setParamTable(initializer().init(conf, view, initialize));
        return runtime;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RowsLoss && super.equals(other);
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode();
    }
}
