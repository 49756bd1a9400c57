package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.Scaling;

/**
 * PEFT's {@code lora_alpha} for an alpha of ours, and back, such that both programs compute with one factor s.
 *
 * <pre>
 * PEFT                 s = lora_alpha / r
 * with use_rslora      s = lora_alpha / √r     written where every layer has ALPHA_OVER_SQRT_RANK
 * here                 s by {@link Scaling} of alpha and rank
 * </pre>
 */
public final class LoraAlpha {

    private LoraAlpha() {
    }

    /** The lora_alpha from which PEFT computes the layer's factor. */
    public static double ofAlpha(double alpha, Scaling scaling, int rank, boolean rsLora) {
        return switch (scaling) {
            case ALPHA -> rsLora ? alpha * Math.sqrt(rank) : alpha * rank;
            case ALPHA_OVER_RANK -> rsLora ? alpha / Math.sqrt(rank) : alpha;
            case ALPHA_OVER_SQRT_RANK -> rsLora ? alpha : alpha * Math.sqrt(rank);
        };
    }

    /** The alpha that, under a scaling, gives the factor that PEFT computes. */
    public static double toAlpha(double loraAlpha, Scaling scaling, int rank, boolean rsLora) {
        double factor = rsLora ? loraAlpha / Math.sqrt(rank) : loraAlpha / rank;
        return switch (scaling) {
            case ALPHA -> factor;
            // Where PEFT divides by the same, nothing is divided and multiplied again, which would round.
            case ALPHA_OVER_RANK -> rsLora ? factor * rank : loraAlpha;
            case ALPHA_OVER_SQRT_RANK -> rsLora ? loraAlpha : factor * Math.sqrt(rank);
        };
    }
}
