package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.RecurrentDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A frozen recurrent layer, which keeps the stock layer's state. */
final class FrozenRecurrentRuntime extends FrozenRuntime implements RecurrentDelegate {

    FrozenRecurrentRuntime(FrozenPart<Layer> part, NeuralNetConfiguration declared) {
        super(part, true, declared);
    }

    @Override
    public RecurrentLayer recurrent(boolean training) {
        bind();
        if (training) {
            part().requireUnmoved();
        }
        return (RecurrentLayer) underlying;
    }

    @Override
    public void rnnClearPreviousState() {
        // This must work even for a restored network whose base is still missing.
        ((RecurrentLayer) underlying).rnnClearPreviousState();
    }

    @Override
    public Pair<Gradient, INDArray> tbpttBackpropGradient(INDArray epsilon, int length, LayerWorkspaceMgr workspaces) {
        return passThrough(epsilon, workspaces, e -> recurrent().tbpttBackpropGradient(e, length, workspaces));
    }
}
