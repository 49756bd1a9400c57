package io.github.dl4jlora.conf;

import io.github.dl4jlora.internal.common.UpdaterKeys;
import io.github.dl4jlora.internal.common.Views;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
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
 * stopping, ParallelWrapper and ModelSerializer need not know of it.
 *
 * <p><b>Groups</b> of batches make an update each, whatever epoch they belong to. Each batch but the last of a group leaves all
 * parameters as they are, bit for bit. A group that training ends in waits for more batches: its sum and the number of its
 * batches lie in the updater's state, two values for each value that trains, and go where DL4J takes the state, into files,
 * clones and replicas. ParallelWrapper and Spark average them with the rest of the state, so that replicas make an update of the
 * mean of all their batches, also where one had more than another. A network that is loaded without its updater begins a group.
 * So does {@code LoRAAdapter.applyTo}, since the gradients so far are those of the adapter before. The other updater's iterations
 * are the network's divided by {@code n}, so that Adam's bias correction and learning rates by iteration count updates.
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
     * @param batches of which one update is made, at least 1; networks of HALF count up to 2,048, of BFLOAT16 up to 256
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
        return updater.stateSize(numParams) + 2 * numParams;
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

    /**
     * The updater at work. Its state is the other updater's, then the group's, each as long as DL4J expects for all parameters:
     * it takes a state apart by parameters where their learning rates are set.
     */
    private static final class Running implements GradientUpdater<IUpdater> {

        private final Accumulated config;
        private @Nullable GradientUpdater<?> updater;
        /** The sum of the group's gradients, then the number of its batches, the same for each value. */
        private @Nullable INDArray group;
        private boolean moved = true;

        Running(Accumulated config) {
            this.config = config;
        }

        void standOn(INDArray view, boolean initialize) {
            INDArray flat = view.reshape(view.length());
            long parameters = flat.length() / config.stateSize(1);
            long others = config.updater.stateSize(parameters);
            if (others + 2 * parameters != flat.length()) {
                throw new IllegalStateException("The state of " + config + " has " + flat.length() + " values, which is not that "
                        + "of a whole number of parameters. If it was saved with another updater, load the network without its "
                        + "updater");
            }
            updater = config.updater.instantiate(others == 0 ? null : Views.rows(flat, 0, others), initialize);
            collectIn(Views.rows(flat, others, flat.length()), initialize);
        }

        private void collectIn(INDArray array, boolean initialize) {
            long largestOdd = config.batches - 1 | 1;
            if (Nd4j.scalar(array.dataType(), largestOdd).getDouble(0) != largestOdd) {
                throw new IllegalArgumentException(config + " counts batches in the network's data type, " + array.dataType()
                        + ", which does not hold every number up to " + config.batches + ". Give Accumulated fewer batches, or "
                        + "use a network of FLOAT");
            }
            group = array;
            if (initialize) {
                array.assign(0);
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
            collectIn(Objects.requireNonNull(others.remove(UpdaterKeys.GROUP), UpdaterKeys.GROUP), initialize);
            updater = config.updater.instantiate(others, initialize);
        }

        @Override
        public Map<String, INDArray> getState() {
            Map<String, INDArray> state = new HashMap<>(Objects.requireNonNull(updater).getState());
            state.put(UpdaterKeys.GROUP, Objects.requireNonNull(group));
            return state;
        }

        @Override
        public void setStateViewArray(INDArray view, long[] gradientShape, char gradientOrder, boolean initialize) {
            standOn(view, initialize);
        }

        /** {@inheritDoc} DL4J's iteration does not tell the place in a group: replicas and clones of a graph begin at 0. */
        @Override
        public void applyUpdater(INDArray gradient, int iteration, int epoch) {
            INDArray whole = Objects.requireNonNull(group);
            long size = gradient.length();
            INDArray sum = Views.rows(whole, 0, size).reshape(gradient.shape());
            INDArray counts = Views.rows(whole, size, 2 * size);
            // A fraction where replicas with different numbers of batches were averaged.
            double before = counts.getDouble(0);
            moved = Math.round(before) >= config.batches - 1;
            if (moved) {
                gradient.addi(sum).divi(before + 1);
                whole.assign(0);
                Objects.requireNonNull(updater).applyUpdater(gradient, iteration / config.batches, epoch);
            } else {
                sum.addi(gradient);
                counts.addi(1);
                gradient.assign(0);
            }
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
