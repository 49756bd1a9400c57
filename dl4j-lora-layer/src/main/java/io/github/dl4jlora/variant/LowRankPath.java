package io.github.dl4jlora.variant;

import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * The part of an adapted layer that changes x·W before norm, bias and activation, in the forward pass and in the backward pass.
 */
public interface LowRankPath {

    /**
     * Turns x·W into what the adapted layer computes in its place; without a variant, z += s·x·A·B.
     *
     * @param x          input {@code [minibatch, nIn]}, not written to
     * @param z          x·W {@code [minibatch, nOut]}, to be overwritten
     * @param training   whether to apply dropout and keep what {@link #backward backward} needs
     * @param workspaces where what is kept is allocated
     */
    void forward(INDArray x, INDArray z, boolean training, LayerWorkspaceMgr workspaces);

    /**
     * The first step back: dL/d(x·W) from dL/dz. They are the same where the path only adds.
     *
     * @param dz        dL/dz {@code [minibatch, nOut]}; may be overwritten
     * @param gradients views to write, by parameter key
     * @return dL/d(x·W) {@code [minibatch, nOut]}
     */
    default INDArray toProduct(INDArray dz, Map<String, INDArray> gradients) {
        return dz;
    }

    /**
     * The second step back: writes the gradients of A and B, those that train, and adds the path's share to dL/dx.
     *
     * @param x          the input of the forward pass
     * @param dz         what {@link #toProduct toProduct} returned, not written to
     * @param gradients  views to write, by parameter key; without an entry for parameters that do not train
     * @param dx         {@code [minibatch, nIn]} to add to; null if it is not needed
     * @param workspaces where what is kept is allocated
     */
    void backward(INDArray x, INDArray dz, Map<String, INDArray> gradients, @Nullable INDArray dx,
                  LayerWorkspaceMgr workspaces);

    /** {@return whether what a training forward pass kept is still there for {@link #backward backward}} */
    boolean isReady();

    /** Drops what a forward pass kept. */
    void forget();
}
