package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.stock.OutputDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Runs an adapted output layer. */
final class EffectiveOutputRuntime extends EffectiveRuntime implements OutputDelegate {

    EffectiveOutputRuntime(NeuralNetConfiguration conf, Layer stock, INDArray values, INDArray view, boolean initialize,
                       DataType type) {
        super(conf, stock, values, view, initialize, type);
    }

    @Override
    public IOutputLayer output() {
        return (IOutputLayer) stock();
    }

    @Override
    public boolean needsLabels() {
        return ((IOutputLayer) underlying).needsLabels();
    }
}
