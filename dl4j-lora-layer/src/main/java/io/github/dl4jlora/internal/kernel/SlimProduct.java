package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.Bfloat16;
import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.DirectBlas;
import io.github.dl4jlora.internal.blas.FewRows;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;

/**
 * Products of few rows of FLOAT in the host's memory with a matrix in fewer bits. Everything is column-major, so that BLAS reads
 * and writes a block's part of operand and result in place: one that lies by rows is transposed once, not for each block. INT8's
 * codes are multiplied as they are, and the factor of each line is applied to the other operand or to the result.
 */
final class SlimProduct {

    /**
     * Values of a block, two MiB: a block fits a core's share of the third-level cache. With blocks for the second-level cache,
     * products of one row took a quarter longer.
     */
    private static final int BLOCK = 1 << 19;
    private static final int LEAST_LINES = 4;
    private static final int ROOM = 1 << 12;

    private static final ThreadLocal<SlimProduct> OF_THREAD = ThreadLocal.withInitial(SlimProduct::new);

    private FloatPointer left = new FloatPointer();
    private FloatPointer block = new FloatPointer();
    private FloatPointer right = new FloatPointer();
    private float[] factors = new float[0];
    private float[] row = new float[0];
    private float[] products = new float[0];
    private final float[] room = new float[ROOM];

    private SlimProduct() {
    }

    static SlimProduct ofThread() {
        return OF_THREAD.get();
    }

    /** Values in memory at a time: those of a block, and of operand and result transposed. */
    static long blockValues(long rows, long lines, long length) {
        return linesAtATime(lines, length) * length + rows * (lines + length);
    }

    private static long linesAtATime(long lines, long length) {
        return Math.min(lines, Math.max(LEAST_LINES, BLOCK / length));
    }

    static boolean takes(INDArray operand, INDArray result) {
        return Blas.isDirect() && operand.dataType() == DataType.FLOAT && result.dataType() == DataType.FLOAT
                && operand.size(0) <= FewRows.MOST_ROWS && HostMemory.holds(operand, result);
    }

    /**
     * @param result  without gaps
     * @param toLines whether the result has a column for each line; otherwise the operand has
     */
    void multiply(QuantizedMatrix matrix, INDArray operand, INDArray result, boolean toLines) {
        int m = (int) operand.size(0);
        int columns = (int) operand.size(1);
        boolean lies = liesByColumn(operand);
        INDArray whole = lies || operand.ordering() == 'c' && operand.elementWiseStride() == 1 ? operand : operand.dup('c');
        FloatPointer from = new FloatPointer(whole.data().addressPointer());
        if (!lies && m > 1) {
            left = HostMemory.room(left, (long) m * columns);
            DirectBlas.turn(from, columns, m, columns, left);
            from = left;
        }
        boolean placed = liesByColumn(result);
        FloatPointer to = new FloatPointer(result.data().addressPointer());
        FloatPointer target = to;
        if (!placed) {
            right = HostMemory.room(right, result.length());
            target = right;
        }
        if (m == 1 && toLines && matrix.scheme() == Quantization.NF4) {
            multiplyRow(matrix, from, to);
        } else {
            multiply(matrix, m, from, target, toLines);
        }
        if (!placed) {
            DirectBlas.turn(target, m, (int) result.size(1), m, to);
        }
        Reference.reachabilityFence(operand);
        Reference.reachabilityFence(whole);
        Reference.reachabilityFence(result);
    }

    private static boolean liesByColumn(INDArray a) {
        return a.size(0) == 1 ? a.size(1) == 1 || a.stride(1) == 1
                : a.stride(0) == 1 && (a.size(1) == 1 || a.stride(1) == a.size(0));
    }

    private void multiply(QuantizedMatrix matrix, int m, FloatPointer from, FloatPointer to, boolean toLines) {
        int lines = (int) matrix.lines();
        int length = (int) matrix.length();
        boolean folds = matrix.scheme() == Quantization.INT8;
        FloatPointer operand = from;
        if (folds) {
            factors = factors.length < lines ? new float[lines] : factors;
            matrix.factors(0, lines, factors);
        }
        if (folds && !toLines) {
            left = HostMemory.room(left, (long) m * lines);
            ColumnFactors.multiply(from, m, factors, lines, left, room);
            operand = left;
        }
        int most = (int) linesAtATime(lines, length);
        block = HostMemory.room(block, (long) most * length);
        for (int line = 0; line < lines; line += most) {
            int count = Math.min(most, lines - line);
            if (folds) {
                HostMemory.widen(matrix.codes(line), (long) count * length, block);
            } else {
                restore(matrix, line, count, block, room);
            }
            if (m == 1) {
                DirectBlas.row(operand, block, count, length, to, line, toLines);
            } else if (toLines) {
                DirectBlas.gemm(m, count, length, operand, block, false, 0, to.getPointer((long) line * m));
            } else {
                DirectBlas.gemm(m, length, count, operand.getPointer((long) line * m), block, true, line == 0 ? 0 : 1, to);
            }
        }
        if (folds && toLines) {
            ColumnFactors.multiply(to, m, factors, lines, to, room);
        }
    }

    private void multiplyRow(QuantizedMatrix matrix, FloatPointer from, FloatPointer to) {
        int lines = (int) matrix.lines();
        int length = (int) matrix.length();
        row = row.length < length ? new float[length] : row;
        products = products.length < lines ? new float[lines] : products;
        from.get(row, 0, length);
        matrix.timesRow(row, products);
        to.put(products, 0, lines);
    }

    /** Restores lines into the host's memory. */
    static void restore(QuantizedMatrix matrix, long from, int count, FloatPointer to, float[] room) {
        int length = (int) matrix.length();
        if (matrix.scheme() == Quantization.BF16) {
            Bfloat16.widen(matrix.codes(from), (long) count * length, to);
            return;
        }
        FloatPointer target = new FloatPointer(to);
        matrix.restore(from, count, room, (line, lines, values) ->
                target.position((line - from) * length).put(values, 0, lines * length));
    }
}
