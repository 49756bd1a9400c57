package io.github.dl4jlora.internal.recurrent;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;

/**
 * What cells compute, number by number, in arrays on Java's heap. All arrays of a call have the same length.
 *
 * @param <V> an array of float or of double
 */
interface Vectors<V> {

    /** For a network of FLOAT or DOUBLE. */
    static Vectors<?> of(DataType type) {
        return type == DataType.DOUBLE ? new DoubleVectors() : new FloatVectors();
    }

    /** A new array of zeros. */
    V zeros(int length);

    /**
     * Copies columns of adjacent rows: {@code to[k][r · width + j] = matrix[first + r, k · width + j]}.
     *
     * @param matrix 'c' order, without gaps
     * @param first  of as many rows as arrays have room for
     */
    void read(INDArray matrix, long first, int width, List<V> to);

    /** The reverse of {@link #read}. */
    void write(List<V> from, INDArray matrix, long first, int width);

    /**
     * Copies values between adjacent ones of memory and adjacent ones of an array.
     *
     * @param <B> a buffer of float or of double
     * @param <V> an array of the same
     */
    @FunctionalInterface
    interface Transfer<B, V> {
        void run(B memory, int index, V values, int offset, int count);
    }

    /**
     * What {@link #read} and {@link #write} have in common.
     *
     * @param memory   the rows
     * @param columns  of the matrix
     * @param length   of each array
     * @param transfer one way or the other
     */
    static <B, V> void transfer(B memory, int columns, int width, List<V> arrays, int length, Transfer<B, V> transfer) {
        if (columns == width) {
            transfer.run(memory, 0, arrays.get(0), 0, length);
            return;
        }
        // Row by row: memory is read or written from its start to its end.
        for (int row = 0, at = 0; at < length; row++, at += width) {
            for (int k = 0; k < arrays.size(); k++) {
                transfer.run(memory, row * columns + k * width, arrays.get(k), at, width);
            }
        }
    }

    /** Repeats a row. */
    void repeat(double[] row, V to);

    /** Fills each row with a number of its own. */
    void spread(double[] ofRows, V to);

    /** Adds the rows, each as long as the sum. */
    void addRows(V rows, double[] sum);

    void clear(V values);

    /** to += a. */
    void add(V a, V to);

    /** to += a + b. */
    void add(V a, V b, V to);

    /** to = a · b, number by number; to may be a or b. */
    void multiply(V a, V b, V to);

    /** to += a · b, number by number. */
    void addProduct(V a, V b, V to);

    /** to = f(from); to may be from. */
    void apply(Curve f, V from, V to);

    /** to = to · f′, where f′ belongs to the value of f. */
    void multiplySlope(Curve f, V value, V to);
}
