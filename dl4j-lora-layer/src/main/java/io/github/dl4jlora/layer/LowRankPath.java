package io.github.dl4jlora.layer;

import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * The path s·x·A·B of a {@link LoRADenseRuntime}: adds itself to a forward pass, and to a backward pass.
 */
interface LowRankPath {

    /**
     * z += s·x·A·B.
     *
     * @param x        input {@code [minibatch, nIn]}, not written to
     * @param z        {@code [minibatch, nOut]}
     * @param training whether to apply dropout and keep what {@link #backward} needs
     */
    void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces);

    /**
     * Writes dL/dA and dL/dB and adds the path's share to dL/dx.
     *
     * @param x         the input of the forward pass
     * @param dz        dL/dz {@code [minibatch, nOut]}, not written to
     * @param gradients views to write, by parameter key
     * @param dx        {@code [minibatch, nIn]} to add to; null if nobody needs it
     */
    void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, INDArray dx, LayerWorkspaceMgr workspaces);

    /** Whether what a training forward pass kept is still there for {@link #backward}. */
    boolean isReady();

    /** Drops what a forward pass kept. */
    void forget();
}
