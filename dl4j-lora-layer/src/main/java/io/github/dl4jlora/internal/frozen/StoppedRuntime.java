package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A frozen layer with nothing trainable upstream. Being DL4J's {@link FrozenLayer}, it ends backpropagation here: both
 * network classes test for that type.
 */
public class StoppedRuntime extends FrozenLayer {

    public StoppedRuntime(FrozenRuntime frozen) {
        super(frozen);
    }

    // FrozenLayer passes training = false, on which PReLU and ActivationLayer overwrite their input.

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        return underlying.activate(training, workspaces);
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        return underlying.activate(input, training, workspaces);
    }
}
