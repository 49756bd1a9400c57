package io.github.dl4jlora.layer;

/**
 * What computes the low-rank path of a {@link LoRADenseLayer}. Both give the same results; each is tested against the other.
 */
public enum Engine {

    /** A handful of {@code gemm} calls; the default. */
    FUSED,

    /** The DL4J runtime of {@link LowRankLayer}: SameDiff's forward pass and autodiff. Slower per step by about a session's overhead. */
    SAMEDIFF
}
