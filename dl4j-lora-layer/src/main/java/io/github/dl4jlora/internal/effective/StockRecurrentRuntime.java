package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.RecurrentDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.Function;

/** Runs an adapted recurrent layer, which keeps the stock layer's state. */
final class StockRecurrentRuntime extends StockRuntime implements RecurrentDelegate {

    StockRecurrentRuntime(NeuralNetConfiguration conf, Layer stock, INDArray view, boolean initialize, DataType type,
                          Function<Adapter, StockWeights> weights) {
        super(conf, stock, view, initialize, type, weights);
    }

    @Override
    public RecurrentLayer recurrent(boolean training) {
        return (RecurrentLayer) stock(training);
    }

    @Override
    public void rnnClearPreviousState() {
        // This must work even for a restored network whose base is still missing.
        ((RecurrentLayer) underlying).rnnClearPreviousState();
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(INDArray epsilon, int length, LayerWorkspaceMgr workspaces) {
        return projected(epsilon, workspaces, e -> recurrent().tbpttBackpropGradient(e, length, workspaces));
    }
}
