package io.github.dl4jlora.internal.kernel;

import org.bytedeco.javacpp.FloatPointer;

/** Multiplies each column of a slim matrix in the host's memory by a factor of its own, through Java's heap. */
final class ColumnFactors {

    private ColumnFactors() {
    }

    /**
     * to = from · diag(factors).
     *
     * @param from {@code [rows, columns]}, by column without gaps
     * @param to   likewise; may be {@code from}
     * @param room for at least one column
     */
    static void multiply(FloatPointer from, int rows, float[] factors, int columns, FloatPointer to, float[] room) {
        FloatPointer source = new FloatPointer(from);
        FloatPointer target = new FloatPointer(to);
        int most = room.length / rows;
        for (int column = 0; column < columns; column += most) {
            int count = Math.min(most, columns - column);
            long at = (long) column * rows;
            source.position(at).get(room, 0, count * rows);
            if (rows == 1) {
                multiplyEach(room, count, factors, column);
            } else {
                multiplyColumns(room, count, factors, column, rows);
            }
            target.position(at).put(room, 0, count * rows);
        }
    }

    private static void multiplyEach(float[] values, int count, float[] factors, int from) {
        for (int i = 0; i < count; i++) {
            values[i] *= factors[from + i];
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
