package io.github.dl4jlora.conf;

import io.github.dl4jlora.internal.common.UpdaterKeys;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.schedule.ISchedule;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Gradient accumulation: another updater that is given the mean gradient of several batches, and moves parameters once for all of
 * them. A network that does not fit with 64 examples a batch trains with batches of 8 as it would with 64:
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder()
 *         .updater(new Accumulated(new Adam(1e-3), 8))     // 8 batches make one update
 *         .build();
 * ComputationGraph tuned = LoRA.apply(base, config);
 * tuned.fit(examples, 3);                              // in batches of 8
 * }</pre>
 *
 * <p>It is an updater as DL4J's own are, for any network, and stands in the network's configuration: {@code fit}, early
 * stopping, ParallelWrapper and ModelSerializer need not know of it. The sum of a group that is not complete lies in the
 * updater's state, one value for each parameter that trains. A network that is saved with its updater goes on in the middle of
 * a group.
 *
 * <p><b>Groups</b> are counted by the network's iterations: of {@code n} batches a group, iterations 0 to n − 1 are the first,
 * whatever epoch they belong to. Each but the last of a group leaves all parameters as they are, bit for bit. A group that
 * training ends in waits for more batches. Where counting does not begin at a group's first batch, with {@code keepCounts(true)}
 * or after loading a network without its updater, the first update is smaller by the share of the batches that are missing; a
 * {@code clone} of a network, which DL4J has count from 0, begins a group. {@code LoRAAdapter.applyTo} in the midst of a group
 * forgets the batches so far, whose gradients were those of the adapter before, and the update is smaller in the same way. The
 * other updater's iterations are updates: Adam's bias correction counts these, and so do learning rates by iteration.
 *
 * <p><b>What is equal to one batch of all examples</b>, but for rounding: the gradient of batches of equal size, with L1, L2 and
 * weight decay. DL4J divides by the size of each batch, so that each counts alike, a smaller last one too. So do batches whose
 * loss is a mean over tokens, however many tokens they have. With {@code miniBatch(false)} DL4J does not divide, and the update
 * is made of the mean of the batches' sums.
 *
 * <p>What DL4J does batch by batch stays so: gradient normalization and clipping, of which {@code LoRA.apply} warns, statistics
 * of batch normalization and the centres of CenterLossOutputLayer, constraints, dropout and noise. A segment of truncated
 * backpropagation counts as a batch.
 */
public final class Accumulated implements IUpdater {

    private static final long serialVersionUID = 1L;

    private final IUpdater updater;
    private final int batches;

    /**
     * Wraps an updater.
     *
     * @param updater gets the mean of the gradients; a copy is kept
     * @param batches of which one update is made, at least 1
     * @throws IllegalArgumentException for less than 1 batch, or an updater that accumulates itself
     */
    public Accumulated(@JsonProperty("updater") IUpdater updater, @JsonProperty("batches") int batches) {
        if (batches < 1) {
            throw new IllegalArgumentException("new Accumulated(…, " + batches + "): an update needs at least 1 batch. Give the "
                    + "number of batches whose gradients make one update, such as 8");
        }
        if (Objects.requireNonNull(updater, "updater") instanceof Accumulated inner) {
            throw new IllegalArgumentException("new Accumulated(" + inner + ", " + batches + ") accumulates twice. Give one "
                    + "Accumulated the product of both numbers");
        }
        this.updater = updater.clone();
        this.batches = batches;
    }

    /** {@return the updater that gets the mean gradient} Its learning rate may be changed. */
    public IUpdater getUpdater() {
        return updater;
    }

    /** {@return of how many batches one update is made} */
    public int getBatches() {
        return batches;
    }

    @Override
    public long stateSize(long numParams) {
        return updater.stateSize(numParams) + numParams;
    }

    @Override
    public GradientUpdater<IUpdater> instantiate(@Nullable INDArray viewArray, boolean initializeViewArray) {
        Running running = new Running(this);
        running.standOn(Objects.requireNonNull(viewArray, "viewArray"), initializeViewArray);
        return running;
    }

    @Override
    public GradientUpdater<IUpdater> instantiate(Map<String, INDArray> updaterState, boolean initializeStateArrays) {
        Running running = new Running(this);
        running.setState(updaterState, initializeStateArrays);
        return running;
    }

    @Override
    public Accumulated clone() {
        return new Accumulated(updater, batches);
    }

    /** {@return the rate of the update that the batch of an iteration goes into} */
    @Override
    public double getLearningRate(int iteration, int epoch) {
        return updater.getLearningRate(iteration / batches, epoch);
    }

    @Override
    public boolean hasLearningRate() {
        return updater.hasLearningRate();
    }

    @Override
    public void setLrAndSchedule(double lr, @Nullable ISchedule lrSchedule) {
        updater.setLrAndSchedule(lr, lrSchedule);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Accumulated that && batches == that.batches && updater.equals(that.updater);
    }

    @Override
    public int hashCode() {
        return Objects.hash(updater, batches);
    }

    @Override
    public String toString() {
        return "Accumulated(" + updater + ", " + batches + ")";
    }

    /** The updater at work. Its state is the other updater's, then the sum, each as long as DL4J expects for all parameters. */
    private static final class Running implements GradientUpdater<IUpdater> {

        private final Accumulated config;
        private @Nullable GradientUpdater<?> updater;
        private @Nullable INDArray sum;
        private boolean moved = true;

        Running(Accumulated config) {
            this.config = config;
        }

        void standOn(INDArray view, boolean initialize) {
            INDArray flat = view.reshape(view.length());
            long parameters = flat.length() / config.stateSize(1);
            long others = config.updater.stateSize(parameters);
            if (others + parameters != flat.length()) {
                throw new IllegalStateException("The state of " + config + " has " + flat.length() + " values, which is not that "
                        + "of a whole number of parameters. If it was saved with another updater, load the network without its "
                        + "updater");
            }
            updater = config.updater.instantiate(others == 0 ? null : flat.get(NDArrayIndex.interval(0, others)), initialize);
            sum = flat.get(NDArrayIndex.interval(others, flat.length()));
            if (initialize) {
                sum.assign(0);
            }
        }

        /**
         * {@inheritDoc} After a batch that leaves parameters as they are, one with learning rate 0: DL4J asks for the rate once
         * more then, and subtracts weight decay times it.
         */
        @Override
        public IUpdater getConfig() {
            return moved ? config : new Resting(config);
        }

        @Override
        public void setState(Map<String, INDArray> state, boolean initialize) {
            Map<String, INDArray> others = new HashMap<>(state);
            sum = Objects.requireNonNull(others.remove(UpdaterKeys.GRADIENT_SUM), UpdaterKeys.GRADIENT_SUM);
            updater = config.updater.instantiate(others, initialize);
            if (initialize) {
                sum.assign(0);
            }
        }

        @Override
        public Map<String, INDArray> getState() {
            Map<String, INDArray> state = new HashMap<>(Objects.requireNonNull(updater).getState());
            state.put(UpdaterKeys.GRADIENT_SUM, Objects.requireNonNull(sum));
            return state;
        }

        @Override
        public void setStateViewArray(INDArray view, long[] gradientShape, char gradientOrder, boolean initialize) {
            standOn(view, initialize);
        }

        @Override
        public void applyUpdater(INDArray gradient, int iteration, int epoch) {
            INDArray soFar = Objects.requireNonNull(sum).reshape(gradient.shape());
            int place = iteration % config.batches;
            moved = place == config.batches - 1;
            if (!moved) {
                if (place == 0) {
                    soFar.assign(gradient);
                } else {
                    soFar.addi(gradient);
                }
                gradient.assign(0);
                return;
            }
            if (place > 0) {
                gradient.addi(soFar).divi(config.batches);
            }
            Objects.requireNonNull(updater).applyUpdater(gradient, iteration / config.batches, epoch);
        }
    }

    /** What an accumulating updater is like while it does not move parameters. It stands in no configuration. */
    private static final class Resting implements IUpdater {

        private static final long serialVersionUID = 1L;

        private final Accumulated of;

        Resting(Accumulated of) {
            this.of = of;
        }

        @Override
        public long stateSize(long numParams) {
            return of.stateSize(numParams);
        }

        @Override
        public GradientUpdater<IUpdater> instantiate(@Nullable INDArray viewArray, boolean initializeViewArray) {
            return of.instantiate(viewArray, initializeViewArray);
        }

        @Override
        public GradientUpdater<IUpdater> instantiate(Map<String, INDArray> updaterState, boolean initializeStateArrays) {
            return of.instantiate(updaterState, initializeStateArrays);
        }

        @Override
        public Accumulated clone() {
            return of.clone();
        }

        @Override
        public double getLearningRate(int iteration, int epoch) {
            return 0;
        }

        @Override
        public boolean hasLearningRate() {
            return true;
        }

        @Override
        public void setLrAndSchedule(double lr, @Nullable ISchedule lrSchedule) {
            of.setLrAndSchedule(lr, lrSchedule);
        }
    }
}
