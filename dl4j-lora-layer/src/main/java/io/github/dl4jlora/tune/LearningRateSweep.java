package io.github.dl4jlora.tune;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.rng.Random;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * Finds a learning rate: tries rates on a logarithmic grid, a few steps of training each, from the very same start, with the same
 * batches and the same random numbers, and tells what became of the loss.
 *
 * <pre>{@code
 * LearningRates rates = LearningRateSweep.of(tuned).run(examples);
 * System.out.println(rates);
 * tuned.setLearningRate(rates.suggested());
 * }</pre>
 *
 * <p>The network may be adapted or DL4J's own, for full fine-tuning. It is neither trained nor changed: each rate trains a
 * copy, which shares frozen weights and is discarded afterwards. None of the network's listeners is called, and ND4J's random
 * generator goes on from where it was. The rate replaces the rate or schedule of all that trains. DL4J's
 * {@code setLearningRate} does not reach vertices that are no layers, such as attention vertices, and not bidirectional and
 * SameDiff layers that train in full: give these the rate by {@code updater(...)}. {@code loraPlusRatio} is kept, and
 * parameters whose updater has no rate train as always. Steps are batches: a network whose updater is
 * {@link io.github.dl4jlora.conf.Accumulated} needs as many more of them as an update is made of.
 *
 * <p>A sweep takes (points + 1) · steps training steps, memory for one copy of the parameters that train, their gradients and
 * updater state, and memory for the batches. Replicas of a {@code ParallelWrapper} are not swept: sweep the network that it was
 * made from, with batches as large as its workers take together.
 */
public final class LearningRateSweep {

    private static final String NAME = "LearningRateSweep";
    private static final double FROM = 1e-5;
    private static final double TO = 1;
    private static final int POINTS = 16;
    private static final int STEPS = 30;
    /** The last third of the steps counts as the end. */
    private static final int END = 3;

    private final Model network;
    private double from = FROM;
    private double to = TO;
    private int points = POINTS;
    private int steps = STEPS;
    private @Nullable MultiDataSetIterator heldOut;
    private Consumer<LearningRates.Point> watcher = point -> { };

    private LearningRateSweep(Model network) {
        this.network = Objects.requireNonNull(network, "network");
    }

    /**
     * A sweep over rates for a network, which stays as it is.
     *
     * @param network initialised; adapted, or DL4J's own
     * @return a sweep with the defaults
     */
    public static LearningRateSweep of(ComputationGraph network) {
        return new LearningRateSweep(network);
    }

    /**
     * As {@link #of(ComputationGraph)}.
     *
     * @param network initialised; adapted, or DL4J's own
     * @return a sweep with the defaults
     */
    public static LearningRateSweep of(MultiLayerNetwork network) {
        return new LearningRateSweep(network);
    }

    /**
     * The lowest rate; default 1e-5.
     *
     * @param rate above 0
     * @return this
     */
    public LearningRateSweep from(double rate) {
        from = rate;
        return this;
    }

    /**
     * The highest rate; default 1.
     *
     * @param rate above the lowest
     * @return this
     */
    public LearningRateSweep to(double rate) {
        to = rate;
        return this;
    }

    /**
     * The number of rates, including the lowest and the highest; each is the same multiple of the one before. Default 16.
     *
     * @param points at least 2
     * @return this
     */
    public LearningRateSweep points(int points) {
        this.points = points;
        return this;
    }

    /**
     * How many batches each rate trains on; default 30. If the iterator has fewer, they are used again, in the same order. The
     * batches are kept in memory, so that all rates get the same ones even from a shuffling iterator.
     *
     * @param steps at least 1
     * @return this
     */
    public LearningRateSweep steps(int steps) {
        this.steps = steps;
        return this;
    }

    /**
     * Data that is not trained on. The loss of a rate is then the mean over all of this data, in inference. Default none: the
     * loss is the mean over the last third of the steps.
     *
     * @param data an iterator that can be reset; it is reset before each rate and at the end
     * @return this
     */
    public LearningRateSweep evaluateOn(DataSetIterator data) {
        return evaluateOn(new MultiDataSetIteratorAdapter(Objects.requireNonNull(data, "data")));
    }

    /**
     * As {@link #evaluateOn(DataSetIterator)}.
     *
     * @param data an iterator that can be reset; it is reset before each rate and at the end
     * @return this
     */
    public LearningRateSweep evaluateOn(MultiDataSetIterator data) {
        heldOut = Objects.requireNonNull(data, "data");
        return this;
    }

    /**
     * Sets a listener that gets each rate when it has been tried, the lowest first.
     *
     * @param watcher called on this thread
     * @return this
     */
    public LearningRateSweep watch(Consumer<LearningRates.Point> watcher) {
        this.watcher = Objects.requireNonNull(watcher, "watcher");
        return this;
    }

    /**
     * Tries all rates.
     *
     * @param data what the training would get; reset before and afterwards if it can be, else its next batches are used up. If
     *             the iterator shuffles, a training that follows gets its next order
     * @return what became of the loss at each rate
     * @throws IllegalArgumentException if a setting is out of its range, there is no batch, the network is not initialised, or
     *                                  nothing in it learns at a learning rate
     * @throws IllegalStateException    if the loss is NaN or infinite before anything is learned, or the network's adapters are
     *                                  disabled or scaled
     */
    public LearningRates run(DataSetIterator data) {
        return run(new MultiDataSetIteratorAdapter(Objects.requireNonNull(data, "data")));
    }

    /**
     * As {@link #run(DataSetIterator)}.
     *
     * @param data what the training would get; reset before and afterwards if it can be, else its next batches are used up
     * @return what became of the loss at each rate
     * @throws IllegalArgumentException as there
     * @throws IllegalStateException    as there
     */
    public LearningRates run(MultiDataSetIterator data) {
        requireSettings();
        Random random = Nd4j.getRandom();
        long root = random.rootState();
        long node = random.nodeState();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            // A network that cannot be swept is refused before any data is read.
            TrainingCopy.of(network, NAME).close();
            List<MultiDataSet> batches = batches(data);
            Runnable start = () -> random.setStates(root, node);
            double untrained = loss(0, batches, start);
            if (!Double.isFinite(untrained)) {
                throw new IllegalStateException(NAME + ": the loss is " + untrained + " before anything is learned. Look for NaN "
                        + "and infinity in the data and in the network's parameters first");
            }
            List<LearningRates.Point> tried = new ArrayList<>();
            for (double rate : rates()) {
                LearningRates.Point point = new LearningRates.Point(rate, loss(rate, batches, start));
                tried.add(point);
                watcher.accept(point);
            }
            return new LearningRates(tried, untrained, steps, heldOut != null);
        } finally {
            random.setStates(root, node);
            rewind(data);
            rewind(heldOut);
        }
    }

    private void requireSettings() {
        if (!(from > 0 && from < to && Double.isFinite(to))) {
            throw new IllegalArgumentException(NAME + " goes from " + from + " to " + to + ", but needs a lowest rate above 0 "
                    + "and a highest above that: from(1e-5).to(1), for example");
        }
        if (points < 2 || steps < 1) {
            throw new IllegalArgumentException(NAME + " has " + points + " points of " + steps + " steps, but needs at least 2 "
                    + "points of at least 1 step: points(16).steps(30), for example");
        }
        if (heldOut != null && !heldOut.resetSupported()) {
            throw new IllegalArgumentException(NAME + " evaluates each rate on the same data, but " + heldOut.getClass()
                    .getSimpleName() + " cannot be reset. Give evaluateOn(...) an iterator that can be reset, or leave it out");
        }
    }

    private double[] rates() {
        double[] rates = new double[points];
        Arrays.setAll(rates, i -> from * Math.pow(to / from, i / (points - 1.0)));
        rates[points - 1] = to;
        return rates;
    }

    private List<MultiDataSet> batches(MultiDataSetIterator data) {
        rewind(data);
        List<MultiDataSet> batches = new ArrayList<>();
        while (batches.size() < steps && data.hasNext()) {
            batches.add(copy(data.next()));
        }
        if (batches.isEmpty()) {
            throw new IllegalArgumentException(NAME + " was given an iterator without a batch"
                    + (data.resetSupported() ? "" : ", which cannot be reset: is it used up?") + ". Give it what fit would get");
        }
        return batches;
    }

    private static void rewind(@Nullable MultiDataSetIterator data) {
        if (data != null && data.resetSupported()) {
            data.reset();
        }
    }

    /** Iterators may fill the same arrays again, and layers write to their input. */
    private static MultiDataSet copy(org.nd4j.linalg.dataset.api.MultiDataSet batch) {
        return new MultiDataSet(copies(batch.getFeatures()), copies(batch.getLabels()), copies(batch.getFeaturesMaskArrays()),
                copies(batch.getLabelsMaskArrays()));
    }

    private static @Nullable INDArray @Nullable [] copies(@Nullable INDArray @Nullable [] arrays) {
        return arrays == null ? null
                : Arrays.stream(arrays).map(array -> array == null ? null : array.dup()).toArray(INDArray[]::new);
    }

    /**
     * The loss at a rate; NaN or infinite where training diverged, which ends it.
     *
     * @param start makes the random numbers begin anew
     */
    private double loss(double rate, List<MultiDataSet> batches, Runnable start) {
        try (TrainingCopy copy = TrainingCopy.of(network, NAME)) {
            copy.learnAt(rate);
            start.run();
            int last = Math.max(1, steps / END);
            double sum = 0;
            for (int step = 0; step < steps; step++) {
                double loss = copy.fit(copy(batches.get(step % batches.size())));
                if (!Double.isFinite(loss)) {
                    return loss;
                }
                sum += step >= steps - last ? loss : 0;
            }
            return heldOut == null ? sum / last : loss(copy, heldOut);
        }
    }

    private static double loss(TrainingCopy copy, MultiDataSetIterator data) {
        double sum = 0;
        long examples = 0;
        for (data.reset(); data.hasNext(); ) {
            MultiDataSet batch = copy(data.next());
            long rows = batch.getFeatures(0).size(0);
            sum += rows * copy.score(batch);
            examples += rows;
        }
        if (examples == 0) {
            throw new IllegalArgumentException(NAME + " was given no batch to evaluate on. Give evaluateOn(...) some, or leave it"
                    + " out");
        }
        return sum / examples;
    }
}
