package io.github.dl4jlora.conf;

import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;

/**
 * The settings of an adapter as methods of a builder, the same on every builder that has them.
 *
 * <pre>{@code
 * LoRAOptions<LoRAConfig.Builder> options = LoRAConfig.builder();
 * LoRAConfig config = options.rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).loraDropout(0.1).build();
 * }</pre>
 *
 * @param <B> the builder itself
 */
public interface LoRAOptions<B> {

    /**
     * The settings so far, to which every method here writes.
     *
     * @return the settings so far
     */
    LoRASettings.Builder lora();

    @SuppressWarnings("unchecked")
    private B self() {
        return (B) this;
    }

    /**
     * The rank of A and B, at least 1.
     *
     * @param rank at least 1
     * @return this
     */
    default B rank(int rank) {
        lora().rank(rank);
        return self();
    }

    /**
     * Scales ΔW, see {@link Scaling}; default 1. Without {@link #scaling scaling}, alpha is the factor s itself. PEFT, Keras and
     * torchtune divide it by the rank: so a builder logs a warning if alpha is above 2 and scaling is not set.
     *
     * @param alpha finite, not 0
     * @return this
     */
    default B alpha(double alpha) {
        lora().alpha(alpha);
        return self();
    }

    /**
     * How alpha and rank become the factor s; default {@link Scaling#ALPHA}.
     *
     * @param scaling of alpha by the rank
     * @return this
     */
    default B scaling(Scaling scaling) {
        lora().scaling(scaling);
        return self();
    }

    /**
     * How A and B start; default {@link LoRAInit#KAIMING_UNIFORM}.
     *
     * @param init of A and B
     * @return this
     */
    default B loraInit(LoRAInit init) {
        lora().loraInit(init);
        return self();
    }

    /**
     * Iterations of the randomised decomposition of {@link LoRAInit#PISSA} and {@link LoRAInit#LOFTQ}, PEFT's
     * {@code pissa_niter_(iterations)}, of which 4 to 16 are usual; default 0, an exact decomposition.
     *
     * @param iterations 0: an exact decomposition
     * @return this
     */
    default B pissaIterations(int iterations) {
        lora().pissaIterations(iterations);
        return self();
    }

    /**
     * The probability of <em>dropping</em> an input of the low-rank path while training, in [0, 1); default 0. Layers that
     * have no such path, since they run on W + s·A·B, refuse it; embeddings ignore it, as in PEFT.
     *
     * @param probability in [0, 1)
     * @return this
     */
    default B loraDropout(double probability) {
        lora().loraDropout(probability);
        return self();
    }

    /**
     * What is computed with A and B: {@code new DoRA()}, for example; default {@link PlainLoRA}.
     *
     * @param variant of LoRA
     * @return this
     */
    default B variant(Variant variant) {
        lora().variant(variant);
        return self();
    }

    /**
     * The learning rate of B over that of A; default 1. Hayou et al. 2024, "LoRA+: Efficient Low Rank Adaptation of Large
     * Models", arXiv:2402.12354.
     *
     * @param ratio above 0
     * @return this
     */
    default B loraPlusRatio(double ratio) {
        lora().loraPlusRatio(ratio);
        return self();
    }

    /**
     * What computes the adapted layer; default {@link Engine#FUSED}.
     *
     * @param engine which runtime
     * @return this
     */
    default B engine(Engine engine) {
        lora().engine(engine);
        return self();
    }
}
