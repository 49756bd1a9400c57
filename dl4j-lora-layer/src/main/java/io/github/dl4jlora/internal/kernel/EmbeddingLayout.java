package io.github.dl4jlora.internal.kernel;

import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;

import java.util.Arrays;

/**
 * The shapes in which a stock embedding takes words and returns rows.
 *
 * <pre>
 * EmbeddingLayer           [minibatch, 1]                                     to [minibatch, nOut]
 * EmbeddingSequenceLayer   [minibatch, steps] or [minibatch, 1, steps]        to [minibatch, nOut, steps], or channels last
 * </pre>
 *
 * @param conf the stock layer
 */
public record EmbeddingLayout(FeedForwardLayer conf) {

    /** Null for an EmbeddingLayer. */
    private @Nullable EmbeddingSequenceLayer sequences() {
        return conf instanceof EmbeddingSequenceLayer sequences ? sequences : null;
    }

    /** Whether it takes sequences. */
    public boolean isSequence() {
        return sequences() != null;
    }

    /** Whether the words' rows lie one after the other in the output. */
    public boolean isChannelsLast() {
        return sequences() == null || sequences().getOutputFormat() == RNNFormat.NWC;
    }

    /**
     * Indexes of rows, example by example, step by step.
     *
     * @param layerId the end of each message
     * @throws DL4JInvalidInputException if the input has another shape, or an index is out of range
     */
    public int[] words(INDArray input, String layerId) {
        INDArray indexes = input;
        if (sequences() == null) {
            if (input.columns() != 1 && !input.isRowVector()) {
                throw new DL4JInvalidInputException("Input of shape " + Arrays.toString(input.shape())
                        + " has more than one column; expected [minibatch, 1], each entry the index of a row " + layerId);
            }
        } else {
            if (input.rank() == 3 && input.size(1) == 1) {
                indexes = input.reshape(input.ordering(), input.size(0), input.size(2));
            } else if (input.rank() == 1) {
                indexes = input.reshape(input.length(), 1);
            } else if (input.rank() != 2) {
                throw new DL4JInvalidInputException("Input of shape " + Arrays.toString(input.shape())
                        + "; expected [minibatch, steps] or [minibatch, 1, steps], each entry the index of a row " + layerId);
            }
            if (!sequences().isInferInputLength() && indexes.columns() != sequences().getInputLength()) {
                throw new DL4JInvalidInputException("The sequences have " + indexes.columns() + " steps, but the layer is "
                        + "configured for " + sequences().getInputLength() + ". Set inferInputLength(true) to accept any length "
                        + layerId);
            }
        }
        int[] found = indexes.castTo(DataType.INT).dup('c').data().asInt();
        long nIn = conf.getNIn();
        for (int i = 0; i < found.length; i++) {
            if (found[i] < 0 || found[i] >= nIn) {
                throw new DL4JInvalidInputException("Invalid index for embedding layer: got index " + found[i] + " for entry " + i
                        + " in minibatch; indexes must be between 0 and nIn-1 inclusive (0 to " + (nIn - 1) + ") " + layerId);
            }
        }
        return found;
    }

    /**
     * The layer's output, a view of the rows of all words.
     *
     * @param rows {@code [minibatch · steps, nOut]}, 'c' order
     */
    public INDArray asInLayer(INDArray rows, long minibatch) {
        if (sequences() == null) {
            return rows;
        }
        INDArray z = rows.reshape('c', minibatch, rows.size(0) / minibatch, rows.size(1));
        return isChannelsLast() ? z : z.permute(0, 2, 1);
    }

    /** Masks an array of the output's shape, in place. */
    public void mask(INDArray output, INDArray layerMask) {
        INDArray mask = layerMask.castTo(output.dataType());
        if (sequences() == null) {
            output.muliColumnVector(mask);
        } else {
            Broadcast.mul(output, mask, output, isChannelsLast() ? new int[] {0, 1} : new int[] {0, 2});
        }
    }
}
