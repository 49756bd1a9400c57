package io.github.dl4jlora.variant;

import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/** What a path sees of the running layer that it belongs to. */
public interface Host {

    /** {@return W {@code [nIn, nOut]}, frozen} */
    INDArray weights();

    /** {@return whether W is outside the network's vector, where nobody may write to it} */
    boolean hasFixedWeights();

    /**
     * A parameter by its key, while training with weight noise if the layer has any; null where there is none.
     *
     * @param key        of the parameter
     * @param training   whether this pass is one of training
     * @param workspaces where results may be allocated
     * @return the parameter, or null
     */
    INDArray parameter(String key, boolean training, LayerWorkspaceMgr workspaces);

    /** {@return the factor s} */
    double factor();

    /** {@return the path s·x·A·B, as the layer's engine computes it} */
    LowRankPath lowRank();
}
