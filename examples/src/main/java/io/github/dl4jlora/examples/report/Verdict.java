package io.github.dl4jlora.examples.report;

import io.github.dl4jlora.LoRA;
import java.util.Arrays;
import java.util.Locale;

/** Figures said in words. */
final class Verdict {

    /** A rank is worth keeping only for what it adds to ‖ΔW‖². */
    private static final double NEARLY_ALL = 0.99;
    /** Below this share of the rank in use, a smaller one is worth a try. */
    private static final double WASTE = 0.5;
    /** A last singular value above this share of the first says that the rank cuts ΔW off. */
    private static final double CUT_OFF = 0.3;

    private Verdict() {
    }

    /**
     * Is the rank enough, is it wasted?
     *
     * @param spectrum      singular values of ΔW, the largest first
     * @param effectiveRank as {@link io.github.dl4jlora.adapter.LoRAAdapter#effectiveRank}
     */
    static String onRank(double[] spectrum, double effectiveRank, int rank) {
        if (spectrum[0] == 0) {
            return "ΔW is zero: this layer was not trained.";
        }
        int needed = directionsFor(spectrum, NEARLY_ALL);
        if (spectrum.length > rank) {
            return onStartedRank(spectrum, effectiveRank, rank);
        }
        String used = String.format(Locale.ROOT, "Of rank %d, %.1f directions count (effective rank). ", rank, effectiveRank);
        if (rank > spectrum.length) {
            return used + "The layer is narrower than the rank: rank " + spectrum.length + " computes the same.";
        }
        if (rank == 1) {
            return used + "Nothing smaller is possible; a larger rank may learn more.";
        }
        if (effectiveRank < WASTE * rank && needed < rank) {
            return used + String.format(Locale.ROOT, "Much of the rank is wasted: rank %d keeps 99 %% of ‖ΔW‖².", needed);
        }
        if (spectrum[spectrum.length - 1] > CUT_OFF * spectrum[0]) {
            return used + "All of the rank is in use: a larger one may learn more.";
        }
        return used + (needed < rank ? String.format(Locale.ROOT, "The rank is enough: rank %d keeps 99 %% of ‖ΔW‖².", needed)
                : "The rank fits: the last directions are weak, but needed.");
    }

    /** Of A and B that started as a part of W: A·B less their start has up to twice their rank. */
    private static String onStartedRank(double[] spectrum, double effectiveRank, int rank) {
        String used = String.format(Locale.ROOT,
                "The rank is %d, but the start was taken from W (PiSSA, OLoRA), so ΔW has rank %d: "
                + "%.1f directions of these count (effective rank). ", rank, spectrum.length, effectiveRank);
        int needed = directionsFor(spectrum, NEARLY_ALL);
        String kept = String.format(Locale.ROOT, "Compressed to plain LoRA, rank %d keeps 99 %% of ‖ΔW‖².", needed);
        return used + (effectiveRank < WASTE * spectrum.length ? "Much of the rank is wasted. " + kept
                : spectrum[spectrum.length - 1] > CUT_OFF * spectrum[0]
                ? "All of the rank is in use: a larger one may learn more."
                : kept);
    }

    /** How many of the largest singular values hold a share of ‖ΔW‖². */
    static int directionsFor(double[] spectrum, double share) {
        double all = Arrays.stream(spectrum).map(value -> value * value).sum();
        double sum = 0;
        for (int i = 0; i < spectrum.length; i++) {
            sum += spectrum[i] * spectrum[i];
            if (sum >= share * all) {
                return i + 1;
            }
        }
        return spectrum.length;
    }

    /** What the cosine between two ΔW says. */
    static String onCosine(double cosine) {
        if (cosine > 0.9) {
            return "nearly the same change";
        }
        if (cosine > 0.3) {
            return "partly the same change";
        }
        if (cosine >= -0.3) {
            return cosine > 0.1 ? "slightly alike" : cosine < -0.1 ? "slightly opposed" : "unrelated";
        }
        return cosine < -0.9 ? "opposite changes" : "partly opposed";
    }
}
