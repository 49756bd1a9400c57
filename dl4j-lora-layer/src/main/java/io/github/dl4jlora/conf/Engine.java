package io.github.dl4jlora.conf;

/**
 * Chooses the code that computes an adapted layer. All engines give the same results from the same configuration, the same
 * vector and the same keys; each is tested against the others.
 */
public enum Engine {

    /**
     * The default: frozen part and low-rank path side by side, in a handful of products, where the library has this for the
     * type of layer (dense, output, embedding, convolutions of one to three dimensions, transposed ones of two and three; LSTM,
     * GravesLSTM and SimpleRnn with tanh, sigmoid, hard sigmoid, ReLU or identity, and attention outside of wrappers, in
     * networks of FLOAT or DOUBLE), else {@link #EFFECTIVE_WEIGHTS}. A depthwise convolution runs on W + s·A·B, formed in each
     * pass, in networks of FLOAT or DOUBLE.
     */
    FUSED,

    /**
     * For dense and output layers: DL4J's runtime of {@link io.github.dl4jlora.layer.LowRankLayer} computes the path, slower
     * by a SameDiff session per step.
     */
    SAMEDIFF,

    /**
     * For all layers except dense and output layers: the stock layer itself runs on W + s·A·B, which takes memory for one W and
     * one dW.
     */
    EFFECTIVE_WEIGHTS
}
