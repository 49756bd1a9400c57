package io.github.dl4jlora.internal.recurrent;

import io.github.dl4jlora.internal.onednn.Copies;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Sequences as matrices: row {@code step · minibatch + example}, 'c' order. A time step's rows are adjacent, so that a product
 * with a weight matrix can be one for all steps, or that of a step without a copy.
 */
final class TimeMajor {

    private TimeMajor() {
    }

    /**
     * {@code [steps · minibatch, size]}: a view where the sequence lies in memory like that, as what {@link #sequence} returns
     * does; else a copy.
     *
     * @param sequence   {@code [minibatch, size, steps]}
     * @param type       of the result
     * @param workspaces for a copy
     * @param lifetime   of a copy
     */
    static INDArray rows(INDArray sequence, DataType type, LayerWorkspaceMgr workspaces, ArrayType lifetime) {
        return Copies.rows(sequence.permute(2, 0, 1), type, workspaces, lifetime);
    }

    /** {@code [minibatch, size, steps]}: a view of rows. */
    static INDArray sequence(INDArray rows, long examples) {
        return rows.reshape('c', rows.size(0) / examples, examples, rows.size(1)).permute(1, 2, 0);
    }
}
