package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.Reference;
import java.nio.FloatBuffer;

/**
 * Looks up rows of a matrix of few columns by their indexes, and adds to such rows. ND4J does so row by row, and the values of a
 * row lie far apart in 'f' order, in which adapters are kept. Here it is done column by column, which is slower for many columns.
 */
public final class IndexedRows {

    private static final int[] ROWS = {1};

    /** What is done with each value of the rows, and the value of the matrix that belongs to it. */
    private interface Move {
        void make(FloatBuffer matrix, int at, FloatBuffer rows, int i);
    }

    private IndexedRows() {
    }

    /**
     * Looks up rows.
     *
     * @param matrix {@code [rows, columns]}
     * @param which  indexes of rows, in range; each as often as it is given
     * @param to     {@code [which.length, columns]}, 'c' order, overwritten: its row i is the matrix's row {@code which[i]}
     */
    public static void pull(INDArray matrix, int[] which, INDArray to) {
        if (!moved(matrix, which, to, (values, at, rows, i) -> rows.put(i, values.get(at)))) {
            Nd4j.pullRows(matrix, to, 1, which);
        }
    }

    /**
     * Adds to rows, in the order in which they are given.
     *
     * @param rows   {@code [which.length, columns]}, 'c' order
     * @param which  indexes of rows, in range; to a row that is given twice, both are added
     * @param matrix {@code [rows, columns]}, to whose row {@code which[i]} row i is added
     */
    public static void add(INDArray rows, int[] which, INDArray matrix) {
        if (!moved(matrix, which, rows, (values, at, added, i) -> values.put(at, values.get(at) + added.get(i)))) {
            INDArray indexes = Nd4j.createFromArray(which).castTo(DataType.INT64);
            Nd4j.scatterUpdate(ScatterUpdate.UpdateOp.ADD, matrix, indexes, rows, ROWS);
        }
    }

    /** Makes all moves, column by column; false, and nothing is done, for arrays that ND4J has to take. */
    private static boolean moved(INDArray matrix, int[] which, INDArray rows, Move move) {
        if (!isInPlace(matrix, rows)) {
            return false;
        }
        FloatBuffer values = values(matrix);
        FloatBuffer inRows = values(rows);
        int columns = (int) matrix.size(1);
        int down = (int) matrix.stride(0);
        int right = (int) matrix.stride(1);
        for (int column = 0; column < columns; column++) {
            for (int i = 0; i < which.length; i++) {
                move.make(values, which[i] * down + column * right, inRows, i * columns + column);
            }
        }
        Reference.reachabilityFence(matrix);
        Reference.reachabilityFence(rows);
        return true;
    }

    /** A buffer of Java has at most 2 GB. */
    private static boolean isInPlace(INDArray matrix, INDArray rows) {
        return matrix.dataType() == DataType.FLOAT && rows.dataType() == DataType.FLOAT && Lie.isPlain(rows)
                && extent(matrix) <= Integer.MAX_VALUE / Float.BYTES && rows.length() <= Integer.MAX_VALUE / Float.BYTES
                && HostMemory.holds(matrix, rows);
    }

    /** From a matrix's first value to behind its last. */
    private static long extent(INDArray matrix) {
        return (matrix.size(0) - 1) * matrix.stride(0) + (matrix.size(1) - 1) * matrix.stride(1) + 1;
    }

    private static FloatBuffer values(INDArray matrix) {
        return ((FloatPointer) matrix.data().addressPointer()).getPointer(0).capacity(extent(matrix)).asBuffer();
    }
}
