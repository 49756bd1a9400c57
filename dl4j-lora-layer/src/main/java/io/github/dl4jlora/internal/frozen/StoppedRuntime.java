package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.RecurrentDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A frozen layer with nothing trainable upstream. Being DL4J's {@link FrozenLayer}, it ends backpropagation here: both
 * network classes test for that type.
 */
class StoppedRuntime extends FrozenLayer {

    StoppedRuntime(FrozenRuntime frozen) {
        super(frozen);
    }

    static StoppedRuntime of(FrozenRuntime frozen) {
        return frozen instanceof RecurrentLayer ? new Recurrent(frozen) : new StoppedRuntime(frozen);
    }

    /** The layer that DL4J may use directly: DL4J looks into one wrapper for a recurrent layer. */
    @Override
    public Layer getUnderlying() {
        return ((FrozenRuntime) underlying).recurrentInside(underlying);
    }

    // FrozenLayer passes training = false, with which PReLU and ActivationLayer overwrite their input.

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        return underlying.activate(training, workspaces);
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        return underlying.activate(input, training, workspaces);
    }

    private static final class Recurrent extends StoppedRuntime implements RecurrentDelegate {

        Recurrent(FrozenRuntime frozen) {
            super(frozen);
        }

        @Override
        public RecurrentLayer recurrent() {
            return (RecurrentLayer) underlying;
        }
    }
}
