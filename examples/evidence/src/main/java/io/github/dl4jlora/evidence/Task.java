package io.github.dl4jlora.evidence;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.DataSet;

import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * A base that knows one task, and a new task that it is to learn. Everything follows from the seed: the base's weights, which
 * examples are for training and which for testing, and their order.
 */
public interface Task {

    /** {@return a word or two, unique among tasks} */
    String name();

    /** {@return what {@link Trained#learned} is, with its unit} */
    String measure();

    /** {@return whether a smaller {@link Trained#learned} is better: bits per letter, not percent} */
    default boolean isLoss() {
        return false;
    }

    /** {@return patterns of the layers that get adapters} */
    List<String> targets();

    /** {@return layers that train in full beside adapters; none unless a task has a new head} */
    default List<String> trainable() {
        return List.of();
    }

    /** {@return how often a training goes through the examples} */
    int epochs();

    /**
     * Makes the base and the examples. Called once for each seed; may take long.
     *
     * @param seed of everything random
     * @return what trainings of this seed begin with
     */
    Start start(long seed);

    /** The share of examples whose most likely class is right; a diverged network answers with the first class. */
    static double percentRight(ComputationGraph network, List<DataSet> batches) {
        long right = 0;
        long all = 0;
        for (DataSet batch : batches) {
            int[] said = network.outputSingle(batch.getFeatures()).argMax(1).toIntVector();
            int[] is = batch.getLabels().argMax(1).toIntVector();
            right += IntStream.range(0, is.length).filter(i -> said[i] == is[i]).count();
            all += is.length;
        }
        return 100.0 * right / all;
    }

    /**
     * What all trainings of one seed have in common.
     *
     * @param base     never written to
     * @param batches  to learn from, in the order in which each epoch has them
     * @param learning measures what a network has learned of the new task, on examples for testing
     * @param keeping  measures what is kept of the base's task, in the same unit; NaN if there is nothing to test
     */
    record Start(ComputationGraph base, List<DataSet> batches, ToDoubleFunction<ComputationGraph> learning,
                 ToDoubleFunction<ComputationGraph> keeping) {

        /** {@return what a network has learned of the new task} */
        public double learned(ComputationGraph network) {
            return learning.applyAsDouble(network);
        }

        /** {@return what is kept of the base's task} */
        public double kept(ComputationGraph network) {
            return keeping.applyAsDouble(network);
        }
    }
}
