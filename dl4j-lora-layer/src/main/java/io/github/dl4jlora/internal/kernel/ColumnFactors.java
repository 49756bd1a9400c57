package io.github.dl4jlora.internal.kernel;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;

/** Columns of slim matrices of FLOAT in the host's memory times a factor each, through Java's heap. */
final class ColumnFactors {

    private ColumnFactors() {
    }

    /**
     * to = from · diag(factors).
     *
     * @param from without gaps
     * @param to   without gaps, of the same shape and order; may be {@code from}
     */
    static void multiply(INDArray from, float[] factors, INDArray to, float[] room) {
        int rows = (int) from.size(0);
        int columns = (int) from.size(1);
        FloatPointer source = new FloatPointer(from.data().addressPointer());
        FloatPointer target = new FloatPointer(to.data().addressPointer());
        boolean byRow = from.ordering() == 'c' || rows == 1;
        int stride = byRow ? columns : rows;
        int lines = byRow ? rows : columns;
        int most = Math.max(1, room.length / stride);
        for (int line = 0; line < lines; line += most) {
            int count = Math.min(most, lines - line);
            source.position((long) line * stride).get(room, 0, count * stride);
            if (byRow) {
                multiplyRows(room, count, factors, columns);
            } else {
                multiplyColumns(room, count, factors, line, rows);
            }
            target.position((long) line * stride).put(room, 0, count * stride);
        }
        Reference.reachabilityFence(from);
        Reference.reachabilityFence(to);
    }

    private static void multiplyRows(float[] values, int rows, float[] factors, int columns) {
        for (int row = 0; row < rows; row++) {
            int at = row * columns;
            for (int i = 0; i < columns; i++) {
                values[at + i] *= factors[i];
            }
        }
    }

    private static void multiplyColumns(float[] values, int columns, float[] factors, int from, int rows) {
        for (int column = 0; column < columns; column++) {
            float factor = factors[from + column];
            int at = column * rows;
            for (int i = 0; i < rows; i++) {
                values[at + i] *= factor;
            }
        }
    }
}
