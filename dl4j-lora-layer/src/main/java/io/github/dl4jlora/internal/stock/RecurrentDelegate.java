package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * Shows a wrapped recurrent layer to DL4J. If a wrapper hides it, the layer silently keeps its state across sequences.
 */
public interface RecurrentDelegate extends RecurrentLayer {

    /**
     * The wrapped layer, with its weights up to date.
     *
     * @param training whether it is for a forward pass of training, for which weights are checked
     */
    RecurrentLayer recurrent(boolean training);

    /** As the other, not for such a pass. */
    default RecurrentLayer recurrent() {
        return recurrent(false);
    }

    @Override
    default INDArray rnnTimeStep(INDArray input, LayerWorkspaceMgr workspaces) {
        return recurrent().rnnTimeStep(input, workspaces);
    }

    @Override
    default Map<String, INDArray> rnnGetPreviousState() {
        return recurrent().rnnGetPreviousState();
    }

    @Override
    default void rnnSetPreviousState(Map<String, INDArray> state) {
        recurrent().rnnSetPreviousState(state);
    }

    @Override
    default void rnnClearPreviousState() {
        recurrent().rnnClearPreviousState();
    }

    @Override
    default INDArray rnnActivateUsingStoredState(INDArray input, boolean training, boolean store, LayerWorkspaceMgr workspaces) {
        return recurrent(training).rnnActivateUsingStoredState(input, training, store, workspaces);
    }

    @Override
    default Map<String, INDArray> rnnGetTBPTTState() {
        return recurrent().rnnGetTBPTTState();
    }

    @Override
    default void rnnSetTBPTTState(Map<String, INDArray> state) {
        recurrent().rnnSetTBPTTState(state);
    }

    @Override
    default Pair<Gradient, INDArray> tbpttBackpropGradient(INDArray epsilon, int length, LayerWorkspaceMgr workspaces) {
        return recurrent().tbpttBackpropGradient(epsilon, length, workspaces);
    }
}
