package io.github.dl4jlora;

/**
 * What a start from data does with it.
 *
 * @param rankBudget the sum of all ranks; null: each as configured
 * @param rho        how many times its configured rank a matrix may get of it at most
 * @param batches    how many batches are looked at; null: each start's own default
 */
record FromData(Integer rankBudget, double rho, Integer batches) {

    /** PEFT's default. */
    private static final double RHO = 2;

    FromData {
        if (rankBudget != null && rankBudget < 1) {
            throw new IllegalArgumentException("LoRAConfig: rankBudget is " + rankBudget + ", but is the sum of the ranks of all "
                    + "adapted matrices and must be at least 1. Set it with rankBudget(48), for example");
        }
        if (!(rho >= 1 && Double.isFinite(rho))) {
            throw new IllegalArgumentException("LoRAConfig: rho of rankBudget is " + rho + ", but is how many times its rank a "
                    + "matrix may get and must be a finite number of at least 1. Leave it out for " + RHO);
        }
        if (batches != null && batches < 1) {
            throw new IllegalArgumentException("LoRAConfig: startBatches is " + batches + ", but must be at least 1. Leave it "
                    + "out for the default of each start");
        }
    }

    /**
     * The part of a configuration's builder that says so.
     *
     * @param <B> the builder itself
     */
    abstract static class Builder<B extends Builder<B>> extends Standing.Builder<B> {

        private Integer rankBudget;
        private double rho = RHO;
        private Integer batches;

        void startFrom(FromData data) {
            rankBudget = data.rankBudget;
            rho = data.rho;
            batches = data.batches;
        }

        FromData fromData() {
            return new FromData(rankBudget, rho, batches);
        }

        /**
         * As {@link #rankBudget(int, double)}, with PEFT's default of 2 for rho.
         *
         * @param total of the ranks of all adapted matrices, at least 1
         * @return this
         */
        public B rankBudget(int total) {
            return rankBudget(total, RHO);
        }

        /**
         * Distributes ranks by what the data tells: of the principal components of the inputs of all adapted matrices those
         * {@code total} that explain most of their layer's variance. Paischer et al. 2024, arXiv:2410.07170, algorithm 1. Needs
         * {@link LoRAInit#EVA} everywhere, and {@code LoRA.apply} with data. PEFT's total is the number of matrices times the
         * rank, so that {@code rank(8)} of six matrices asks for {@code rankBudget(48)}; here it may be any other.
         *
         * <p>{@code rank}, or an override's, says what a matrix would have, and so how much it may get: rho times that, rounded,
         * and at most its number of inputs. <b>A matrix that gets no rank is not adapted</b>: it is frozen like any other layer
         * of the base, as in PEFT, and missing in adapter files; a line of the log names it. The factor s of ΔW stays what it
         * would be: where {@link Scaling} divides by the rank, alpha changes with it, as by PEFT's
         * {@code adjust_scaling_factors}.
         *
         * @param total of the ranks of all adapted matrices, at least 1
         * @param rho   at least 1; 1 leaves a total of as much as PEFT's where it was
         * @return this
         */
        public B rankBudget(int total, double rho) {
            this.rankBudget = total;
            this.rho = rho;
            return self();
        }

        /**
         * How many batches of the data a start looks at at most. Default: EVA ends when its components have converged or the
         * data does; LoRA-GA sums the gradients of the first 8 up.
         *
         * @param most at least 1
         * @return this
         */
        public B startBatches(int most) {
            this.batches = most;
            return self();
        }
    }
}
