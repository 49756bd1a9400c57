package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.OutputDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.Function;

/** Runs an adapted output layer. */
final class StockOutputRuntime extends StockRuntime implements OutputDelegate {

    StockOutputRuntime(NeuralNetConfiguration conf, Layer stock, INDArray view, boolean initialize, DataType type,
                       Function<Adapter, StockWeights> weights) {
        super(conf, stock, view, initialize, type, weights);
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
