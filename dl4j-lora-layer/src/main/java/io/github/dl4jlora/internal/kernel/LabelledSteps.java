package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/**
 * What an output layer of sequences refuses, as DL4J's RnnOutputLayer does and in its words. Sequences are compared as rows, and
 * rows of other examples or steps may be as many.
 */
public final class LabelledSteps {

    private LabelledSteps() {
    }

    /**
     * @param layerId the end of the message
     * @return the input
     * @throws UnsupportedOperationException if it is not of rank 3
     */
    public static INDArray requireSequence(INDArray input, String layerId) {
        if (input.rank() != 3) {
            throw new UnsupportedOperationException("Input must be rank 3. Got input with rank " + input.rank() + " and shape "
                    + Arrays.toString(input.shape()) + " " + layerId);
        }
        return input;
    }

    /**
     * As {@link #requireSequence}, and labels for each step.
     *
     * @param channelsLast whether steps come before channels
     * @throws IllegalStateException if the labels are not of rank 3, or of other examples or steps than the input
     */
    public static INDArray require(INDArray input, INDArray labels, boolean channelsLast, String layerId) {
        requireSequence(input, layerId);
        if (labels.rank() != 3) {
            throw new IllegalStateException("Expected rank 3 labels array, got label array with shape "
                    + Arrays.toString(labels.shape()) + " " + layerId);
        }
        int steps = channelsLast ? 1 : 2;
        if (labels.size(0) != input.size(0) || labels.size(steps) != input.size(steps)) {
            throw new IllegalStateException((labels.size(0) != input.size(0) ? "Numbers of examples" : "Sequence lengths")
                    + " do not match for RnnOutputLayer input and labels: arrays should be rank 3 with shape [minibatch, "
                    + (channelsLast ? "sequenceLength, size" : "size, sequenceLength") + "] - input="
                    + Arrays.toString(input.shape()) + " vs. label=" + Arrays.toString(labels.shape()) + " " + layerId);
        }
        return input;
    }
}
