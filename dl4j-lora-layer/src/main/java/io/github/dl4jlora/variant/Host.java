package io.github.dl4jlora.variant;

/** What a path sees of the running layer that it belongs to. */
public interface Host extends LayerWeights {

    /** {@return the path s·x·A·B, as the layer's engine computes it} */
    LowRankPath lowRank();
}
