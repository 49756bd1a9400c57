package io.github.dl4jlora.variant;

import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** What a variant sees of the adapted matrix of a running layer: W, read as a matrix, and the adapter's parameters. */
public interface LayerWeights {

    /**
     * {@return W {@code [nIn, nOut]}, frozen; of a convolution {@code [nIn·kernel, nOut]}, its rows in the order of A's}
     */
    INDArray weights();

    /** {@return whether W is outside the network's vector, where nothing may write to it} */
    boolean hasFixedWeights();

    /**
     * A parameter by its key; in training with the layer's weight noise, if it has any.
     *
     * @param key        of the parameter
     * @param training   whether this is a training pass
     * @param workspaces where results may be allocated
     * @return the parameter; null where there is none with this key
     */
    @Nullable INDArray parameter(String key, boolean training, LayerWorkspaceMgr workspaces);

    /** {@return the factor s} */
    double factor();

    /**
     * Tells whether what was computed from W and the adapter can be kept for the next pass of inference: as long as this is
     * the same object, they are the same, bit for bit.
     *
     * @return another object after any change; null where changes would not be noticed
     */
    default @Nullable Object state() {
        return null;
    }
}
