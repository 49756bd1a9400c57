package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.FewRows;
import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Products;
import io.github.dl4jlora.internal.onednn.Weights;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.bytedeco.javacpp.FloatPointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Objects;

/**
 * A matrix in fewer bits. Where the processor multiplies bfloat16, oneDNN multiplies the codes of BF16 and INT8 as they are, and
 * rounds the other operand to bfloat16. Otherwise one block of lines at a time is restored into the thread's memory and
 * multiplied there.
 *
 * <pre>
 * lines are W's columns   W [length, lines]   of a dense layer, a line for each output
 * lines are W's rows      W [lines, length]   of an embedding, a line for each word
 * </pre>
 *
 * <p>Products of few rows on the CPU are {@link SlimProduct}'s.
 */
public final class QuantizedProduct implements FrozenMatrix {

    /** Lines of a block: so many that BLAS's work on the other operand, done again for each block, costs little. */
    private static final int LINES = 512;
    /** Values that pass through Java's heap at a time. */
    private static final int ROOM = 1 << 12;

    private static final ThreadLocal<Memory> MEMORY = ThreadLocal.withInitial(Memory::new);

    private final QuantizedMatrix matrix;
    private final DataType type;
    private final boolean linesAreColumns;

    /** A thread's working memory. */
    private static final class Memory {

        final GrowingScratch block = new GrowingScratch();
        final GrowingScratch lent = new GrowingScratch();
        final float[] values = new float[ROOM];
    }

    /**
     * @param type            of the network, floating-point
     * @param linesAreColumns whether the matrix's lines are W's columns; otherwise they are its rows
     */
    public QuantizedProduct(QuantizedMatrix matrix, DataType type, boolean linesAreColumns) {
        this.matrix = matrix;
        this.type = type;
        this.linesAreColumns = linesAreColumns;
    }

    /**
     * How many values are in a thread's memory at a time.
     *
     * @param rows of the operand
     */
    public static long blockValues(long rows, long lines, long length) {
        return rows <= FewRows.MOST_ROWS ? SlimProduct.blockValues(rows, lines, length) : Math.min(lines, LINES) * length;
    }

    /**
     * As the constructor, for a matrix from a file, which may have been cut into other lines than the layer needs.
     *
     * @param sides nIn and nOut of W
     * @throws IllegalStateException if the matrix does not have these sides
     */
    public static QuantizedProduct of(QuantizedMatrix matrix, DataType type, boolean linesAreColumns, long[] sides) {
        QuantizedProduct product = new QuantizedProduct(matrix, type, linesAreColumns);
        if (product.rows() != sides[0] || product.columns() != sides[1]) {
            throw new IllegalStateException("A layer with W " + Arrays.toString(sides) + " refers to quantised weights "
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
    public char resultOrder(long m, boolean transposed) {
        return multipliesCodes() ? 'c' : FrozenMatrix.super.resultOrder(m, transposed);
    }

    @Override
    public Weights.Type multipliedAs() {
        if (type != DataType.FLOAT || !OneDnn.multipliesBf16()) {
            return Weights.Type.FLOAT;
        }
        return switch (matrix.scheme()) {
            case BF16 -> Weights.Type.BF16;
            case INT8 -> Weights.Type.INT8;
            case NF4 -> Weights.Type.FLOAT;
        };
    }

    @Override
    public FrozenMatrix forManyProducts(long m, boolean transposed) {
        if (!multipliesCodes()) {
            return new PlainMatrix(lent()).forManyProducts(m, transposed);
        }
        PackedCopies packed = PackedCopies.lent(Objects.requireNonNull(weights(transposed)), transposed);
        Reference.reachabilityFence(matrix);
        return packed == null ? this : new PackedMatrix(this, () -> true, packed);
    }

    @Override
    public FrozenMatrix transposed() {
        return new QuantizedProduct(matrix, type, !linesAreColumns);
    }

    @Override
    public @Nullable Weights weights(boolean transposed) {
        if (multipliedAs() == Weights.Type.FLOAT) {
            return null;
        }
        float[] factors = null;
        if (multipliedAs() == Weights.Type.INT8) {
            factors = new float[(int) matrix.lines()];
            matrix.factors(0, factors.length, factors);
        }
        return Weights.ofLines(matrix.codes(0), matrix.lines(), matrix.length(), factors, linesAreColumns != transposed);
    }

    private boolean multiplyCodes(INDArray operand, INDArray result, boolean toLines) {
        return multipliesCodes()
                && Products.multiply(operand, Objects.requireNonNull(weights(linesAreColumns != toLines)), result);
    }

    @Override
    public void times(INDArray x, INDArray z) {
        multiply(x, z, linesAreColumns);
    }

    @Override
    public void timesTransposed(INDArray dz, INDArray dx) {
        multiply(dz, dx, !linesAreColumns);
    }

    /** @param toLines whether the result has a column for each line; otherwise the operand has */
    private void multiply(INDArray operand, INDArray result, boolean toLines) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (type == DataType.FLOAT || type == DataType.DOUBLE) {
                multiplyWide(operand, result, toLines);
            } else {
                multiplyNarrow(operand, result, toLines);
            }
        }
        Reference.reachabilityFence(matrix);
    }

    /** Computes in copies that are freed at once: the collector does not see how much memory they take. */
    private void multiplyNarrow(INDArray operand, INDArray result, boolean toLines) {
        try (INDArray from = Nd4j.createUninitialized(DataType.FLOAT, operand.shape(), operand.ordering());
             INDArray to = Nd4j.createUninitialized(DataType.FLOAT, result.shape(), result.ordering())) {
            multiplyWide(from.assign(operand), to, toLines);
            result.assign(to);
        }
    }

    private void multiplyWide(INDArray operand, INDArray result, boolean toLines) {
        if (multiplyCodes(operand, result, toLines)) {
            return;
        }
        if (SlimProduct.takes(operand, result)) {
            SlimProduct.ofThread().multiply(matrix, operand, result, toLines);
            return;
        }
        Memory memory = MEMORY.get();
        int most = (int) Math.min(matrix.lines(), LINES);
        for (long from = 0; from < matrix.lines(); from += most) {
            int count = (int) Math.min(most, matrix.lines() - from);
            INDArray block = memory.block.of(result.dataType(), count, matrix.length());
            fill(block, from, memory);
            if (toLines) {
                Blas.gemm(operand, block, columns(result, from, count), false, true, 1, 0);
            } else {
                Blas.gemm(columns(operand, from, count), block, result, false, false, 1, from == 0 ? 0 : 1);
            }
        }
    }

    private static INDArray columns(INDArray whole, long from, long count) {
        return from == 0 && count == whole.size(1) ? whole : Nd4j.create(whole.data(), new long[] {whole.size(0), count},
                whole.stride(), whole.offset() + from * whole.stride(1), whole.ordering());
    }

    /** @param block {@code [count, length]}, 'c' order */
    private void fill(INDArray block, long from, Memory memory) {
        int count = (int) block.size(0);
        boolean here = block.dataType() == DataType.FLOAT && HostMemory.holds(block);
        if (here && matrix.scheme() == Quantization.INT8) {
            HostMemory.widen(matrix.codes(from), block.length(), (FloatPointer) block.data().addressPointer());
            matrix.factors(from, count, memory.values);
            Blas.scaleRows(block, memory.values);
        } else if (here) {
            SlimProduct.restore(matrix, from, count, (FloatPointer) block.data().addressPointer(), memory.values);
        } else {
            matrix.restore(from, count, memory.values, (line, lines, values) -> put(values, lines, block, line - from));
        }
    }

    private static void put(float[] values, int rows, INDArray to, long from) {
        long columns = to.size(1);
        float[] own = values.length == rows * columns ? values : Arrays.copyOf(values, (int) (rows * columns));
        try (INDArray given = Nd4j.createFromArray(own)) {
            Views.rows(to, from, from + rows).assign(given.reshape('c', rows, columns));
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
        int most = Math.max(1, ROOM / length);
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

    /** The transpose of an array of the turned shape. */
    @Override
    @SuppressWarnings("ArgumentSelectionDefectChecker")
    public INDArray lent() {
        INDArray turned = MEMORY.get().lent.of(type, columns(), rows());
        if (linesAreColumns) {
            for (long from = 0; from < matrix.lines(); from += LINES) {
                int count = (int) Math.min(LINES, matrix.lines() - from);
                fill(Views.rows(turned, from, from + count), from, MEMORY.get());
            }
        } else {
            matrix.restoreInto(turned.reshape('c', new long[] {turned.length()}), true);
        }
        Reference.reachabilityFence(matrix);
        return turned.transpose();
    }
}
