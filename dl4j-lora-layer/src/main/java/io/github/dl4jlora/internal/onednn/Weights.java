package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The right operand of a product, where it lies. Whoever makes one keeps its memory reachable until the product is done.
 *
 * @param values     {@code [rows, columns]}
 * @param rowStride  from one row to the next, in values
 * @param stride     from one column to the next
 * @param factors    of INT8: of the columns, or of the rows; otherwise null
 * @param ofColumns  whether the factors are of the columns
 * @param layout     of a packed copy, to which strides do not apply; null for others
 */
public record Weights(Type type, Pointer values, long rows, long columns, long rowStride, long stride, float @Nullable [] factors,
                      boolean ofColumns, @Nullable Layout layout) {

    /** In what numbers they are. */
    public enum Type {

        /** 32 bits. */
        FLOAT,
        /** 16 bits; the other operand is rounded to them, sums are of 32 bits. */
        BF16,
        /** 8 bits with factors; the other operand is rounded to bfloat16, sums are of 32 bits. */
        INT8
    }

    /** A matrix of FLOAT, or its transpose; null if it lies in a way that cannot be read. */
    public static @Nullable Weights of(INDArray w, boolean transposed) {
        if (w.dataType() != DataType.FLOAT || !HostMemory.holds(w)) {
            return null;
        }
        if (Lie.of(w).leading() == 0) {
            return null;
        }
        long[] strides = strides(w);
        long rows = w.size(transposed ? 1 : 0);
        long columns = w.size(transposed ? 0 : 1);
        return new Weights(Type.FLOAT, w.data().addressPointer(), rows, columns, strides[transposed ? 1 : 0],
                strides[transposed ? 0 : 1], null, false, null);
    }

    /**
     * A matrix in fewer bits.
     *
     * @param codes   of all lines, one after the other
     * @param factors of the lines of INT8, at least one for each; null for bfloat16
     * @param toLines whether the product has a column for each line; otherwise the other operand has
     */
    public static Weights ofLines(BytePointer codes, long lines, long length, float @Nullable [] factors, boolean toLines) {
        Type type = factors == null ? Type.BF16 : Type.INT8;
        return toLines ? new Weights(type, codes, length, lines, 1, length, factors, true, null)
                : new Weights(type, codes, lines, length, length, 1, factors, false, null);
    }

    /** The same matrix in a packed copy. */
    Weights packed(Pointer copy, Layout of) {
        return new Weights(type, copy, rows, columns, 0, 0, factors, ofColumns, of);
    }

    /** Whether a product's columns are multiplied by the factors. */
    boolean scalesColumns() {
        return factors != null && ofColumns;
    }

    /** What a compiled primitive depends on. */
    long[] numbers() {
        long[] own = {type.ordinal(), scalesColumns() ? 1 : 0, rows, columns, rowStride, stride};
        return layout == null ? own : layout.after(own);
    }

    /** From one row of a matrix to the next, and from one column. A single row, or column, counts as without gaps. */
    static long[] strides(INDArray matrix) {
        long across = matrix.size(1) == 1 ? 1 : matrix.stride(1);
        long down = matrix.size(0) > 1 ? matrix.stride(0) : across == 1 ? matrix.size(1) : 1;
        return new long[] {down, across};
    }
}
