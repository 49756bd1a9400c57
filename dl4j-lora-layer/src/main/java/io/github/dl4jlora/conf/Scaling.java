package io.github.dl4jlora.conf;

/**
 * How {@code alpha} and {@code rank} become the factor {@code s} of ΔW = s·A·B.
 */
public enum Scaling {

    /** s = alpha, a raw multiplier; the default. */
    ALPHA {
        @Override
        public double factor(double alpha, int rank) {
            return alpha;
        }
    },

    /** s = alpha / rank: Hu et al. 2021 (arXiv:2106.09685), PEFT, loralib, Keras. */
    ALPHA_OVER_RANK {
        @Override
        public double factor(double alpha, int rank) {
            return alpha / rank;
        }
    },

    /** s = alpha / √rank: rsLoRA, Kalajdzievski 2023 (arXiv:2312.03732); PEFT's {@code use_rslora}. */
    ALPHA_OVER_SQRT_RANK {
        @Override
        public double factor(double alpha, int rank) {
            return alpha / Math.sqrt(rank);
        }
    };

    /** The largest factor that A·B may have: its square, which occurs in norms and in a second layer, is still a FLOAT. */
    public static final double LARGEST_FACTOR = 1.8e19;

    /**
     * The factor on A·B.
     *
     * @param alpha the configured alpha
     * @param rank  the rank of A and B, at least 1
     * @return the factor s
     */
    public abstract double factor(double alpha, int rank);
}
