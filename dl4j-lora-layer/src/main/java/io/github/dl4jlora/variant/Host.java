package io.github.dl4jlora.variant;

/**
 * What a path sees of the running layer that it belongs to. It is a type of its own, since only dense layers have such a path:
 * convolutions and embeddings are only {@link LayerWeights}.
 */
public interface Host extends LayerWeights {

    /** {@return the path s·x·A·B, as the layer's engine computes it} */
    LowRankPath lowRank();
}
