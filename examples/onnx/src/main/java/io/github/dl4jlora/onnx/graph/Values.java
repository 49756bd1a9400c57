package io.github.dl4jlora.onnx.graph;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.common.Views;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.concurrency.AffinityManager;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.FloatBuffer;

/** Reads an array's values as FLOAT in the order of C, a piece at a time, whatever type and order it has. */
final class Values {

    /** Values of a piece: 1 MB. */
    static final int PIECE = 1 << 18;

    private final String name;
    private final Sink sink;
    private final float[] piece;
    private long at;

    /** Takes a piece. */
    @FunctionalInterface
    interface Sink {

        /**
         * @param values {@code count} of them from the beginning, overwritten afterwards
         * @param from   the place of the first
         */
        void put(float[] values, int count, long from) throws IOException;
    }

    private Values(String name, long length, Sink sink) {
        this.name = name;
        this.sink = sink;
        piece = new float[(int) Math.min(PIECE, length)];
    }

    /**
     * Reads all values.
     *
     * @param name for the message
     * @throws IllegalArgumentException if one is NaN or infinite
     */
    static void forEachPiece(String name, INDArray array, Sink sink) throws IOException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            new Values(name, array.length(), sink).read(array);
        }
    }

    private void read(INDArray array) throws IOException {
        if (array.rank() == 2 && array.dataType() == DataType.FLOAT && array.size(0) > 1 && array.stride(0) == 1
                && array.size(1) <= PIECE && HostMemory.holds(array)) {
            turn(array);
            return;
        }
        if (array.length() <= PIECE) {
            copy(array);
            return;
        }
        if (array.ordering() == 'c' && array.elementWiseStride() == 1 && array.rank() != 1) {
            read(array.reshape(array.length()));
            return;
        }
        int axis = 0;
        while (array.size(axis) == 1) {
            axis++;
        }
        long each = array.length() / array.size(axis);
        long lines = Math.max(1, PIECE / each);
        for (long line = 0; line < array.size(axis); line += lines) {
            read(Views.part(array, axis, line, Math.min(array.size(axis), line + lines)));
        }
    }

    /** Matrices of DL4J's have their columns one after the other. ND4J takes several times as long to turn them. */
    private void turn(INDArray matrix) throws IOException {
        int columns = (int) matrix.size(1);
        int most = (int) Math.min(matrix.size(0), PIECE / columns);
        float[] column = new float[most];
        FloatPointer all = new FloatPointer(matrix.data().addressPointer());
        for (long row = 0; row < matrix.size(0); row += most) {
            int rows = (int) Math.min(most, matrix.size(0) - row);
            for (int j = 0; j < columns; j++) {
                all.position(j * matrix.stride(1) + row).get(column, 0, rows);
                for (int i = 0; i < rows; i++) {
                    piece[i * columns + j] = column[i];
                }
            }
            put(rows * columns);
        }
    }

    private void copy(INDArray part) throws IOException {
        int count = (int) part.length();
        try (INDArray copy = Nd4j.createUninitialized(DataType.FLOAT, part.shape(), 'c')) {
            copy.assign(part);
            Nd4j.getExecutioner().commit();
            Nd4j.getAffinityManager().ensureLocation(copy, AffinityManager.Location.HOST);
            FloatBuffer floats = copy.data().asNioFloat();
            floats.rewind();
            floats.get(piece, 0, count);
        }
        put(count);
    }

    private void put(int count) throws IOException {
        requireFinite(count);
        sink.put(piece, count, at);
        at += count;
    }

    private void requireFinite(int count) {
        int largest = 0;
        for (int i = 0; i < count; i++) {
            largest = Math.max(largest, Float.floatToRawIntBits(piece[i]) & Integer.MAX_VALUE);
        }
        // The bits of magnitudes are in their order, and those of infinity and NaN come last.
        if (largest >= Float.floatToRawIntBits(Float.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("Weight \"" + name + "\" holds NaN or infinity, which no runtime can compute "
                    + "with; nothing was written. Train the network with a lower learning rate, or restore an earlier state");
        }
    }
}
