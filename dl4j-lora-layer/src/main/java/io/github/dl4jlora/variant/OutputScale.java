package io.github.dl4jlora.variant;

import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.Function;

/**
 * What a variant multiplies a layer's outputs by, before norm, bias and activation:
 *
 * <pre>
 * z = c ⊙ p     p = x·W + s·x·A·B     c [nOut]
 * </pre>
 *
 * p is {@code [minibatch, nOut]} in a dense layer, {@code [minibatch, nOut, …]} in a convolution, {@code [words, nOut]} in an
 * embedding: the outputs are its second dimension everywhere.
 */
public interface OutputScale {

    /**
     * z from p.
     *
     * @param p          to be overwritten with z
     * @param training   whether to keep what {@link #backward backward} needs
     * @param workspaces where what is kept is allocated
     */
    void forward(INDArray p, boolean training, LayerWorkspaceMgr workspaces);

    /**
     * dL/dp from dL/dz. Writes the gradients of the variant's own parameters.
     *
     * @param dz        dL/dz, shape of z; may be overwritten
     * @param gradients the view to write to, by the key of a parameter that trains
     * @return dL/dp
     */
    INDArray backward(INDArray dz, Function<String, INDArray> gradients);

    /** {@return whether what a training forward pass kept is still there for {@link #backward backward}} */
    boolean isReady();

    /** Drops what a forward pass kept for {@link #backward backward}. */
    void forget();
}
