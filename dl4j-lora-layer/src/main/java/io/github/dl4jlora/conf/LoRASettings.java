package io.github.dl4jlora.conf;

import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.Serializable;
import java.util.Objects;

/**
 * The settings of an adapter: one immutable value that checks itself, held by {@link LoRAConfig} and by every adapted layer,
 * and written to JSON as one value.
 *
 * <pre>{@code
 * LoRASettings settings = adapter.settings("fc1");
 * System.out.println("rank " + settings.rank() + ", ΔW = " + settings.factor() + "·A·B");
 * }</pre>
 *
 * @param rank            of A and B, at least 1
 * @param alpha           see {@link Scaling}; finite, not 0
 * @param scaling         how alpha and rank become the factor s of s·A·B
 * @param loraInit        how A and B start
 * @param pissaIterations of {@link LoRAInit#PISSA}'s randomised decomposition; 0: an exact one
 * @param loraDropout     the probability of dropping an input of the low-rank path while training, in [0, 1)
 * @param variant         what is computed with A and B
 * @param trainBias       whether biases train alongside A and B
 * @param loraPlusRatio   the learning rate of B over that of A, above 0
 * @param engine          what computes it
 */
public record LoRASettings(@JsonProperty("rank") int rank, @JsonProperty("alpha") double alpha,
                           @JsonProperty("scaling") Scaling scaling, @JsonProperty("loraInit") LoRAInit loraInit,
                           @JsonProperty("pissaIterations") int pissaIterations,
                           @JsonProperty("loraDropout") double loraDropout, @JsonProperty("variant") Variant variant,
                           @JsonProperty("trainBias") boolean trainBias,
                           @JsonProperty("loraPlusRatio") double loraPlusRatio, @JsonProperty("engine") Engine engine)
        implements Serializable {

    private static final long serialVersionUID = 1L;

    /** Rank 8, alpha 1, plain LoRA: what a builder starts with, except that it may require a rank. */
    public static final LoRASettings DEFAULTS = builder().rank(8).build();

    /** A handful is enough; a file that asks for millions is meant to keep the machine busy. */
    public static final int MOST_PISSA_ITERATIONS = 1000;

    /**
     * Settings of an adapter, checked.
     *
     * @param rank            at least 1
     * @param alpha           finite, not 0
     * @param scaling         see {@link LoRAOptions#scaling LoRAOptions.scaling}
     * @param loraInit        see {@link LoRAOptions#loraInit LoRAOptions.loraInit}
     * @param pissaIterations 0 or more
     * @param loraDropout     in [0, 1)
     * @param variant         see {@link LoRAOptions#variant LoRAOptions.variant}
     * @param trainBias       see {@link Builder#trainBias}
     * @param loraPlusRatio   above 0
     * @param engine          see {@link LoRAOptions#engine LoRAOptions.engine}
     * @throws NullPointerException     for a setting that is null
     * @throws IllegalArgumentException for one out of its range
     */
    public LoRASettings {
        Objects.requireNonNull(scaling, "LoRASettings has no scaling: set one, or restore the file from an intact copy");
        Objects.requireNonNull(loraInit, "LoRASettings has no loraInit: set one, or restore the file from an intact copy");
        Objects.requireNonNull(variant, "LoRASettings has no variant: set one, or restore the file from an intact copy");
        Objects.requireNonNull(engine, "LoRASettings has no engine: set one, or restore the file from an intact copy");
        String problem = problem(rank, alpha, scaling, loraInit, pissaIterations, loraDropout, loraPlusRatio);
        if (problem != null) {
            throw new IllegalArgumentException(problem);
        }
    }

    private static @Nullable String problem(int rank, double alpha, Scaling scaling, LoRAInit init, int iterations,
                                            double dropout, double ratio) {
        if (rank < 1) {
            return "rank is " + rank + ", but must be at least 1. Set it with rank(8), for example";
        }
        if (!Double.isFinite(alpha)) {
            return "alpha is " + alpha + ", but must be a finite number. Set it with alpha(16), for example";
        }
        if (scaling.factor(alpha, rank) == 0) {
            return "alpha is " + alpha + ", which makes the factor of A·B zero: A and B would neither change anything nor learn. "
                    + "Set it with alpha(16), for example";
        }
        if (!(dropout >= 0 && dropout < 1)) {
            return "loraDropout is " + dropout
                    + ", but must be at least 0 and below 1: it is the probability of dropping an input";
        }
        if (!(ratio > 0 && Double.isFinite(ratio))) {
            return "loraPlusRatio is " + ratio + ", but must be a finite number above 0. Leave it at 1 for one learning rate";
        }
        if (init == LoRAInit.ORTHOGONAL && rank % 2 != 0) {
            return "LoRAInit.ORTHOGONAL halves the rank, which is " + rank + ". Choose an even rank";
        }
        if ((init == LoRAInit.PISSA || init == LoRAInit.LOFTQ) && !(scaling.factor(alpha, rank) > 0)) {
            return "LoRAInit." + init + " divides by the factor of ΔW and takes the square root, but the factor is "
                    + scaling.factor(alpha, rank) + ". Choose an alpha above 0";
        }
        if (iterations < 0 || iterations > MOST_PISSA_ITERATIONS) {
            return "pissaIterations is " + iterations + ", but must be 0 (an exact decomposition) to " + MOST_PISSA_ITERATIONS;
        }
        return null;
    }

    /** {@return settings that start from the defaults, without a rank} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return a builder that starts with these settings} */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.rank = rank;
        builder.alpha = alpha;
        builder.scaling(scaling);
        builder.loraInit = loraInit;
        builder.pissaIterations = pissaIterations;
        builder.loraDropout = loraDropout;
        builder.variant = variant;
        builder.trainBias = trainBias;
        builder.loraPlusRatio = loraPlusRatio;
        builder.engine = engine;
        return builder;
    }

    /** {@return the factor s of ΔW = s·A·B} */
    public double factor() {
        return scaling.factor(alpha, rank);
    }

    /**
     * Checks what depends on the layer.
     *
     * @param of      what to call the layer in a message: {@code Layer "fc"}
     * @param nIn     0 where it is still to be inferred
     * @param nOut    0 where it is still to be inferred
     * @param updater null where it is still to come from the network's configuration
     * @throws IllegalArgumentException for a start from W with a higher rank than W's, or a ratio of learning rates where the
     *                                  updater has no learning rate
     */
    public void checkFit(String of, long nIn, long nOut, @Nullable IUpdater updater) {
        if (loraInit.dependsOnW() && nIn > 0 && nOut > 0 && rank > Math.min(nIn, nOut)) {
            throw new IllegalArgumentException(of + ": LoRAInit." + loraInit + " takes A and B from W [" + nIn + ", " + nOut
                    + "], whose rank is at most " + Math.min(nIn, nOut) + ", but the adapter's rank is " + rank + ". Choose a "
                    + "smaller rank");
        }
        if (loraInit == LoRAInit.EVA && nIn > 0 && rank > nIn) {
            throw new IllegalArgumentException(of + ": LoRAInit.EVA takes A from the directions of the inputs, and there are "
                    + "only " + nIn + ", but the adapter's rank is " + rank + ". Choose a smaller rank");
        }
        if (loraPlusRatio != 1 && updater != null && !updater.hasLearningRate()) {
            throw new IllegalArgumentException(of + ": loraPlusRatio is " + loraPlusRatio + ", but "
                    + updater.getClass().getSimpleName() + " has no learning rate to multiply. Use another updater or leave "
                    + "the ratio at 1");
        }
    }

    /** Collects settings; nothing is checked before {@link #build}. */
    public static final class Builder implements LoRAOptions<Builder> {

        private static final String NO_RANK = "rank is not set. Set it with rank(8), for example";

        private @Nullable Integer rank;
        private double alpha = 1;
        private Scaling scaling = Scaling.ALPHA;
        private boolean scalingIsChosen;
        private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;
        private int pissaIterations;
        private double loraDropout;
        private Variant variant = new PlainLoRA();
        private boolean trainBias;
        private double loraPlusRatio = 1;
        private Engine engine = Engine.FUSED;

        private Builder() {
        }

        @Override
        public Builder lora() {
            return this;
        }

        @Override
        public Builder rank(int rank) {
            this.rank = rank;
            return this;
        }

        @Override
        public Builder alpha(double alpha) {
            this.alpha = alpha;
            return this;
        }

        @Override
        public Builder scaling(Scaling scaling) {
            this.scaling = Objects.requireNonNull(scaling, "scaling is null");
            this.scalingIsChosen = true;
            return this;
        }

        @Override
        public Builder loraInit(LoRAInit init) {
            this.loraInit = Objects.requireNonNull(init, "loraInit is null");
            return this;
        }

        @Override
        public Builder pissaIterations(int iterations) {
            this.pissaIterations = iterations;
            return this;
        }

        @Override
        public Builder loraDropout(double probability) {
            this.loraDropout = probability;
            return this;
        }

        @Override
        public Builder variant(Variant variant) {
            this.variant = Objects.requireNonNull(variant, "variant is null");
            return this;
        }

        /**
         * Whether biases train alongside A and B; default false.
         *
         * @param trainBias whether they do
         * @return this
         */
        public Builder trainBias(boolean trainBias) {
            this.trainBias = trainBias;
            return this;
        }

        @Override
        public Builder loraPlusRatio(double ratio) {
            this.loraPlusRatio = ratio;
            return this;
        }

        @Override
        public Builder engine(Engine engine) {
            this.engine = Objects.requireNonNull(engine, "engine is null");
            return this;
        }

        /** See {@link RawAlpha}; some layers may have another alpha and rank than these settings. */
        void warnOfRawAlpha(double otherAlpha, int otherRank) {
            if (!scalingIsChosen) {
                RawAlpha.warn(otherAlpha, otherRank);
            }
        }

        /**
         * Makes the settings. If {@code alpha} is above 2 and {@code scaling} was not called, a warning in the log tells the
         * factor, once in a JVM for each alpha and rank.
         *
         * @return the settings
         * @throws IllegalArgumentException if the rank is not set, or a setting is out of its range
         */
        public LoRASettings build() {
            if (rank == null) {
                throw new IllegalArgumentException(NO_RANK);
            }
            LoRASettings settings = new LoRASettings(rank, alpha, scaling, loraInit, pissaIterations, loraDropout, variant,
                    trainBias, loraPlusRatio, engine);
            warnOfRawAlpha(alpha, rank);
            return settings;
        }

        /**
         * Makes the settings; if they are wrong, the message says whose they are.
         *
         * @param of what the settings are for, to begin the message with: {@code Layer "fc"}
         * @return the settings
         * @throws IllegalArgumentException if the rank is not set, or a setting is out of its range
         */
        public LoRASettings build(String of) {
            String problem = rank == null ? NO_RANK
                    : problem(rank, alpha, scaling, loraInit, pissaIterations, loraDropout, loraPlusRatio);
            if (problem != null) {
                throw new IllegalArgumentException(of + ": " + problem);
            }
            return build();
        }
    }
}
