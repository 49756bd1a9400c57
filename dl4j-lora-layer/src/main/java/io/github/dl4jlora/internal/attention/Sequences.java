package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.onednn.Copies;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/**
 * Sequences as matrices: row {@code example · steps + step}, 'c' order. So an example's rows are adjacent, and so are those of
 * each of its heads, but for gaps.
 */
final class Sequences {

    private Sequences() {
    }

    /**
     * {@code [minibatch · steps, size]}: a view where the sequence lies in memory like that, as what {@link #sequence} returns
     * does; else a copy.
     *
     * @param sequence   {@code [minibatch, size, steps]}
     * @param type       of the result
     * @param workspaces for a copy
     * @param lifetime   of a copy
     */
    static INDArray rows(INDArray sequence, DataType type, LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        return Copies.rows(sequence.permute(0, 2, 1), type, workspaces, lifetime);
    }

    /** {@code [minibatch, size, steps]}: a view of rows. */
    static INDArray sequence(INDArray rows, long examples) {
        return rows.reshape('c', examples, rows.size(0) / examples, rows.size(1)).permute(0, 2, 1);
    }

    /**
     * @param name    of the layer or vertex and of the input, for messages
     * @param nIn     the size that the input must have
     * @param example another input, whose examples it must have; null for none
     */
    static void require(String name, INDArray input, long nIn, @Nullable INDArray example) {
        if (input.rank() != 3 || input.size(1) != nIn || input.isEmpty()) {
            throw new DL4JInvalidInputException("Input of shape " + Arrays.toString(input.shape())
                    + " does not match [minibatch, " + nIn + ", steps]. Missing preprocessor or wrong input type? " + name);
        }
        if (example != null && input.size(0) != example.size(0)) {
            throw new DL4JInvalidInputException("Input of shape " + Arrays.toString(input.shape())
                    + " has other examples than one of shape " + Arrays.toString(example.shape()) + ": give as many of "
                    + "each " + name);
        }
    }

    /**
     * @param mask for the steps of an input
     * @throws DL4JInvalidInputException if it is not {@code [minibatch, steps]}
     */
    static void requireMask(String name, INDArray mask, INDArray input) {
        if (mask.rank() != 2 || mask.size(0) != input.size(0) || mask.size(1) != input.size(2)) {
            throw new DL4JInvalidInputException("A mask of shape " + Arrays.toString(mask.shape())
                    + " does not fit the input, which has " + input.size(0) + " examples and " + input.size(2)
                    + " steps. Give a mask [examples, steps] " + name);
        }
    }
}
