package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.lang.ref.Reference;
import java.util.Arrays;

/**
 * A matrix in fewer bits, of which a block of lines at a time is given back into memory of the thread and multiplied there.
 *
 * <pre>
 * lines are W's columns   W [length, lines]   of a dense layer, a line for each output
 * lines are W's rows      W [lines, length]   of an embedding, a line for each word
 * </pre>
 *
 * <p>In products of few rows INT8's codes are multiplied as they are, and the factor of each line is the other operand's or the
 * result's.
 */
public final class QuantizedProduct implements FrozenMatrix {

    /** Values of a block for products of few rows: what leaves most of the second-level cache to the other operands. */
    private static final int FEW_VALUES = 1 << 16;
    /** Lines of a block for others, so that what BLAS does with the other operand for each block weighs little. */
    private static final int MANY_LINES = 512;
    private static final int LEAST_LINES = 8;

    private static final ThreadLocal<Memory> MEMORY = ThreadLocal.withInitial(Memory::new);

    private final QuantizedMatrix matrix;
    private final DataType type;
    private final boolean linesAreColumns;

    /** What a thread computes in. */
    private static final class Memory {

        final GrowingScratch block = new GrowingScratch();
        final GrowingScratch scaled = new GrowingScratch();
        final GrowingScratch lent = new GrowingScratch();
        float[] values = new float[0];
        float[] factors = new float[0];

        float[] values(int least) {
            if (values.length < least) {
                values = new float[least];
            }
            return values;
        }
    }

    /**
     * @param type            of the network, floating-point
     * @param linesAreColumns whether the matrix's lines are W's columns; else they are its rows
     */
    public QuantizedProduct(QuantizedMatrix matrix, DataType type, boolean linesAreColumns) {
        this.matrix = matrix;
        this.type = type;
        this.linesAreColumns = linesAreColumns;
    }

    /**
     * As the constructor, of a matrix that a file may have cut into other lines than the layer's.
     *
     * @param sides nIn and nOut of W
     * @throws IllegalStateException if so
     */
    public static QuantizedProduct of(QuantizedMatrix matrix, DataType type, boolean linesAreColumns, long[] sides) {
        QuantizedProduct product = new QuantizedProduct(matrix, type, linesAreColumns);
        if (product.rows() != sides[0] || product.columns() != sides[1]) {
            throw new IllegalStateException("A layer with W " + Arrays.toString(sides) + " stands on quantised weights "
                    + product.rows() + " x " + product.columns() + ": its file is damaged. Write the base again");
        }
        return product;
    }

    @Override
    public long rows() {
        return linesAreColumns ? matrix.length() : matrix.lines();
    }

    @Override
    public long columns() {
        return linesAreColumns ? matrix.lines() : matrix.length();
    }

    @Override
    public void times(INDArray x, INDArray z) {
        multiply(x, z, linesAreColumns);
    }

    @Override
    public void timesTransposed(INDArray dz, INDArray dx) {
        multiply(dz, dx, !linesAreColumns);
    }

    /** @param toLines whether the result has a column for each line; else the operand has */
    private void multiply(INDArray operand, INDArray result, boolean toLines) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (type == DataType.FLOAT || type == DataType.DOUBLE) {
                multiplyWide(operand, result, toLines);
            } else {
                INDArray wide = Nd4j.createUninitialized(DataType.FLOAT, result.shape(), result.ordering());
                multiplyWide(operand.castTo(DataType.FLOAT), wide, toLines);
                result.assign(wide);
            }
        }
        Reference.reachabilityFence(matrix);
    }

    private void multiplyWide(INDArray operand, INDArray result, boolean toLines) {
        Memory memory = MEMORY.get();
        long m = operand.size(0);
        boolean few = m <= FewRows.MOST_ROWS;
        boolean folds = few && isOfCodes(operand, result);
        INDArray left = operand;
        if (folds) {
            if (memory.factors.length < matrix.lines()) {
                memory.factors = new float[(int) matrix.lines()];
            }
            matrix.factors(0, (int) matrix.lines(), memory.factors);
            if (!toLines) {
                left = scaled(operand, memory);
            }
        }
        int most = (int) Math.min(matrix.lines(), few ? Math.max(LEAST_LINES, FEW_VALUES / matrix.length()) : MANY_LINES);
        for (long from = 0; from < matrix.lines(); from += most) {
            int count = (int) Math.min(most, matrix.lines() - from);
            INDArray block = memory.block.of(result.dataType(), count, matrix.length());
            fill(block, from, count, folds, memory);
            if (toLines) {
                Blas.gemm(left, block, columns(result, from, count), false, true, 1, 0);
            } else {
                Blas.gemm(columns(left, from, count), block, result, false, false, 1, from == 0 ? 0 : 1);
            }
        }
        if (folds && toLines) {
            ColumnFactors.multiply(result, memory.factors, result, memory.values(FEW_VALUES));
        }
    }

    /** Whether codes can be multiplied where they lie, by these. */
    private boolean isOfCodes(INDArray operand, INDArray result) {
        return matrix.scheme() == Quantization.INT8 && result.dataType() == DataType.FLOAT && HostMemory.holds(operand, result);
    }

    private static INDArray scaled(INDArray operand, Memory memory) {
        INDArray whole = operand.elementWiseStride() == 1 ? operand : operand.dup('c');
        boolean byRow = whole.ordering() == 'c';
        INDArray room = memory.scaled.of(DataType.FLOAT, whole.size(byRow ? 0 : 1), whole.size(byRow ? 1 : 0));
        INDArray scaled = byRow ? room : room.transpose();
        ColumnFactors.multiply(whole, memory.factors, scaled, memory.values(FEW_VALUES));
        return scaled;
    }

    private static INDArray columns(INDArray whole, long from, long count) {
        return from == 0 && count == whole.size(1) ? whole : Nd4j.create(whole.data(), new long[] {whole.size(0), count},
                whole.stride(), whole.offset() + from * whole.stride(1), whole.ordering());
    }

    /**
     * @param block {@code [count, length]}, 'c' order
     * @param codes whether INT8's codes are wanted as they are
     */
    private void fill(INDArray block, long from, int count, boolean codes, Memory memory) {
        int length = (int) matrix.length();
        boolean here = block.dataType() == DataType.FLOAT && HostMemory.holds(block);
        if (here && matrix.scheme() == Quantization.INT8) {
            FloatPointer to = (FloatPointer) block.data().addressPointer();
            HostMemory.widen(matrix.codes(from), (long) count * length, to);
            if (!codes) {
                matrix.factors(from, count, memory.values(count));
                Blas.scaleRows(block, memory.values);
            }
            return;
        }
        int most = Math.max(1, FEW_VALUES / 4 / length);
        float[] values = memory.values(Math.min(most, count) * length);
        for (int line = 0; line < count; line += most) {
            int lines = Math.min(most, count - line);
            matrix.restore(from + line, lines, values);
            if (here) {
                new FloatPointer(block.data().addressPointer()).position((long) line * length).put(values, 0, lines * length);
            } else {
                put(values, lines, block, line);
            }
        }
    }

    private static void put(float[] values, int rows, INDArray to, long from) {
        long columns = to.size(1);
        float[] own = values.length == rows * columns ? values : Arrays.copyOf(values, (int) (rows * columns));
        try (INDArray given = Nd4j.createFromArray(own)) {
            to.get(NDArrayIndex.interval(from, from + rows), NDArrayIndex.all())
                    .assign(given.reshape('c', rows, columns));
        }
    }

    @Override
    public void pull(int[] words, INDArray to) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (linesAreColumns) {
                pullAcross(words, to);
            } else {
                pullLines(words, to);
            }
        }
        Reference.reachabilityFence(matrix);
    }

    private void pullLines(int[] words, INDArray to) {
        int length = (int) matrix.length();
        float[] line = new float[length];
        int most = Math.max(1, FEW_VALUES / length);
        float[] values = new float[Math.min(most, words.length) * length];
        for (int word = 0; word < words.length; word += most) {
            int rows = Math.min(most, words.length - word);
            for (int i = 0; i < rows; i++) {
                matrix.restore(words[word + i], 1, line);
                System.arraycopy(line, 0, values, i * length, length);
            }
            put(values, rows, to, word);
        }
    }

    private void pullAcross(int[] words, INDArray to) {
        int lines = (int) matrix.lines();
        float[] line = new float[(int) matrix.length()];
        float[] values = new float[words.length * lines];
        for (int l = 0; l < lines; l++) {
            matrix.restore(l, 1, line);
            for (int i = 0; i < words.length; i++) {
                values[i * lines + l] = line[words[i]];
            }
        }
        put(values, words.length, to, 0);
    }

    @Override
    public INDArray lent() {
        INDArray turned = MEMORY.get().lent.of(type, columns(), rows());
        matrix.restoreInto(turned.reshape('c', new long[] {turned.length()}), !linesAreColumns);
        Reference.reachabilityFence(matrix);
        return turned.transpose();
    }
}
