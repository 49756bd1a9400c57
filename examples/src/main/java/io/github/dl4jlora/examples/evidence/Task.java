package io.github.dl4jlora.examples.evidence;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.DataSet;

import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * A base that can do one thing, and another thing that it is to learn. All of a task follows from its seed: the base's weights,
 * which examples are for learning and which for testing, and their order.
 */
public interface Task {

    /** {@return a word or two, unique among tasks} */
    String name();

    /** {@return what {@link Trained#learned} is, with its unit} */
    String measure();

    /** {@return whether a smaller {@link Trained#learned} is better: bits a letter, not percent} */
    default boolean isLoss() {
        return false;
    }

    /** {@return patterns of the layers that adapters go on} */
    List<String> targets();

    /** {@return layers that train in full beside adapters; none unless a task has a new head} */
    default List<String> trainable() {
        return List.of();
    }

    /** {@return how often a training goes through the examples} */
    int epochs();

    /**
     * Makes the base and the examples. It is asked once for each seed and may take its time.
     *
     * @param seed of everything random
     * @return what trainings of this seed begin with
     */
    Start start(long seed);

    /** Of examples whose likeliest class is the right one; of a network that diverged, of those of the first class. */
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
     * @param learning what a network has learned of the new, on examples that nothing learned from
     * @param keeping  what is left of what the base could do, in the same unit; NaN where there is nothing to ask
     */
    record Start(ComputationGraph base, List<DataSet> batches, ToDoubleFunction<ComputationGraph> learning,
                 ToDoubleFunction<ComputationGraph> keeping) {

        /** {@return what a network has learned of the new} */
        public double learned(ComputationGraph network) {
            return learning.applyAsDouble(network);
        }

        /** {@return what is left of what the base could do} */
        public double kept(ComputationGraph network) {
            return keeping.applyAsDouble(network);
        }
    }
}
