package io.github.dl4jlora.report.page;

/** Describes figures in words. */
final class Verdict {

    private Verdict() {
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
