package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.RecurrentDelegate;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * A frozen layer with nothing trainable upstream. Being DL4J's {@link FrozenLayer}, it ends backpropagation here: both
 * network classes test for that type. {@code MultiLayerNetwork.clone()} puts another {@link FrozenLayer} around it, through which
 * DL4J finds a recurrent layer only if this is one.
 */
class StoppedRuntime extends FrozenLayer {

    StoppedRuntime(FrozenRuntime frozen) {
        super(frozen);
    }

    static StoppedRuntime of(FrozenRuntime frozen) {
        if (frozen instanceof RecurrentLayer) {
            return new Recurrent(frozen);
        }
        return frozen.showsRecurrentInside() ? new Wrapped(frozen) : new StoppedRuntime(frozen);
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

        /** The frozen layer checks for itself. */
        @Override
        public RecurrentLayer recurrent(boolean training) {
            return (RecurrentLayer) underlying;
        }

        /** GravesLSTM starts where DL4J moved the last segment's state, which it does for no layer in a wrapper. */
        @Override
        public INDArray rnnActivateUsingStoredState(INDArray input, boolean training, boolean store,
                                                    LayerWorkspaceMgr workspaces) {
            if (store && !rnnGetTBPTTState().isEmpty()) {
                rnnSetPreviousState(rnnGetTBPTTState());
            }
            return recurrent().rnnActivateUsingStoredState(input, training, store, workspaces);
        }
    }

    /** A recurrent layer in a wrapper of its own. */
    private static final class Wrapped extends StoppedRuntime implements RecurrentDelegate {

        Wrapped(FrozenRuntime frozen) {
            super(frozen);
        }

        @Override
        public RecurrentLayer recurrent(boolean training) {
            Layer layer = getUnderlying();
            if (training) {
                ((FrozenRuntime) underlying).part().requireUnmoved();
            }
            return (RecurrentLayer) layer;
        }

        /** Nothing for DL4J to move from segment to segment: in the base it does not find that state. */
        @Override
        public Map<String, INDArray> rnnGetTBPTTState() {
            return Map.of();
        }
    }
}
