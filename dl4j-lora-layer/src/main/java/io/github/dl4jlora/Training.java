package io.github.dl4jlora;

import org.deeplearning4j.util.NetworkUtils;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.L1Regularization;
import org.nd4j.linalg.learning.regularization.L2Regularization;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.linalg.learning.regularization.WeightDecay;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** What trains how. */
record Training(BiasTraining bias, IUpdater updater, List<Regularization> regularization, Long seed,
                        boolean keepCounts) {

    Training {
        updater = updater == null ? null : updater.clone();
        regularization = regularization.stream().map(Regularization::clone).toList();
    }

    /**
     * The part of a configuration's builder that says how.
     *
     * @param <B> the builder itself
     */
    abstract static class Builder<B extends Builder<B>> extends Selection.Builder<B> {

        private BiasTraining bias = BiasTraining.NONE;
        private IUpdater updater;
        private final List<Regularization> regularization = new ArrayList<>();
        private Long seed;
        private boolean keepCounts;

        void trainAs(Training training) {
            bias = training.bias;
            updater = training.updater;
            regularization.clear();
            regularization.addAll(training.regularization);
            seed = training.seed;
            keepCounts = training.keepCounts;
        }

        Training training() {
            return new Training(bias, updater, regularization, seed, keepCounts);
        }

        /**
         * Which biases train beside the adapters; default {@link BiasTraining#NONE}.
         *
         * @param bias not null
         * @return this
         */
        public B bias(BiasTraining bias) {
            this.bias = Objects.requireNonNull(bias, "bias");
            return self();
        }

        /**
         * As {@link LoRAConfig.Builder#bias(BiasTraining)}, in PEFT's words.
         *
         * @param peftName {@code none}, {@code lora_only} or {@code all}
         * @return this
         * @throws IllegalArgumentException for anything but {@code none}, {@code lora_only} and {@code all}
         */
        public B bias(String peftName) {
            return bias(BiasTraining.ofPeftName(peftName));
        }

        /**
         * The updater of everything that trains; default, or null: each layer's own in the base network.
         *
         * @param updater null: each layer's own in the base network
         * @return this
         */
        public B updater(IUpdater updater) {
            this.updater = updater == null ? null : updater.clone();
            return self();
        }

        /**
         * L1 regularization of A and B; default none.
         *
         * @param coefficient above 0; 0 takes back what was set before
         * @return this
         * @throws IllegalArgumentException for a coefficient below 0 or NaN
         */
        public B l1(double coefficient) {
            return regularization("l1", coefficient, new L1Regularization(coefficient));
        }

        /**
         * L2 regularization of A and B; default none. As on DL4J's builders it takes the place of {@link #weightDecay}, which is
         * logged as a warning: both at once make no sense.
         *
         * @param coefficient above 0; 0 takes back what was set before, and leaves weight decay alone
         * @return this
         * @throws IllegalArgumentException for a coefficient below 0 or NaN
         */
        public B l2(double coefficient) {
            replace(coefficient, WeightDecay.class, "L2 regularization takes the place of weight decay: both make no sense");
            return regularization("l2", coefficient, new L2Regularization(coefficient));
        }

        /**
         * Weight decay of A and B, times the learning rate; default none. As on DL4J's builders it takes the place of {@link
         * #l2}, which is logged as a warning: both at once make no sense.
         *
         * @param coefficient above 0; 0 takes back what was set before, and leaves L2 regularization alone
         * @return this
         * @throws IllegalArgumentException for a coefficient below 0 or NaN
         */
        public B weightDecay(double coefficient) {
            replace(coefficient, L2Regularization.class, "Weight decay takes the place of L2 regularization: both make no sense");
            return regularization("weightDecay", coefficient, new WeightDecay(coefficient, true));
        }

        private void replace(double coefficient, Class<? extends Regularization> other, String why) {
            if (coefficient > 0) {
                NetworkUtils.removeInstancesWithWarning(regularization, other, why);
            }
        }

        private B regularization(String setting, double coefficient, Regularization added) {
            if (!(coefficient >= 0)) {
                throw new IllegalArgumentException(setting + " is " + coefficient + ", but must be 0 (none) or more. Set it with "
                        + setting + "(1e-4), for example");
            }
            NetworkUtils.removeInstances(regularization, added.getClass());
            if (coefficient > 0) {
                regularization.add(added);
            }
            return self();
        }

        /**
         * Seed of the A matrices; default: the base network's.
         *
         * @param seed any
         * @return this
         */
        public B seed(long seed) {
            this.seed = seed;
            return self();
        }

        /**
         * Whether the adapted network goes on counting iterations and epochs where the base stopped; default false. Its
         * updaters start without state, so that with the base's counts Adam's bias correction is off, and a schedule is
         * wherever the base's training left it.
         *
         * @param keepCounts true: go on
         * @return this
         */
        public B keepCounts(boolean keepCounts) {
            this.keepCounts = keepCounts;
            return self();
        }
    }
}
