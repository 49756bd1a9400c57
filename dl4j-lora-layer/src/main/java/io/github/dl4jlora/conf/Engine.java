package io.github.dl4jlora.conf;

import io.github.dl4jlora.layer.LowRankLayer;

/**
 * What computes an adapted layer. All give the same results from the same configuration, the same vector and the same keys;
 * each is tested against the others.
 */
public enum Engine {

    /**
     * The default: frozen part and low-rank path side by side, in a handful of products, where the library has that for the
     * type of layer (dense, output, embedding, convolutions of one to three dimensions), else {@link #EFFECTIVE_WEIGHTS}.
     */
    FUSED,

    /** Dense and output layers: the path by the DL4J runtime of {@link LowRankLayer}, a SameDiff session slower per step. */
    SAMEDIFF,

    /**
     * Any layer but dense and output ones: the stock layer itself, on W + s·A·B, at the cost of one W and one dW of memory.
     */
    EFFECTIVE_WEIGHTS
}
