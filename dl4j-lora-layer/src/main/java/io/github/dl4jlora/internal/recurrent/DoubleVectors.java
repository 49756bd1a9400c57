package io.github.dl4jlora.internal.recurrent;

import org.bytedeco.javacpp.DoublePointer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.nio.DoubleBuffer;
import java.util.Arrays;
import java.util.List;

/**
 * Arithmetic of DOUBLE, with exact functions. The slope of the hard sigmoid is 0.2 in FLOAT, as it is in ND4J.
 */
final class DoubleVectors implements Vectors<double[]> {

    @Override
    public double[] zeros(int length) {
        return new double[length];
    }

    private static void transfer(INDArray matrix, long first, int width, List<double[]> arrays,
                                 Transfer<DoubleBuffer, double[]> transfer) {
        int columns = (int) matrix.size(1);
        int length = arrays.get(0).length;
        DoublePointer rows = ((DoublePointer) matrix.data().addressPointer()).getPointer(first * columns);
        Vectors.transfer(rows.capacity((long) length / width * columns).asBuffer(), columns, width, arrays, length, transfer);
        Reference.reachabilityFence(matrix);
    }

    @Override
    public void read(INDArray matrix, long first, int width, List<double[]> to) {
        transfer(matrix, first, width, to, DoubleBuffer::get);
    }

    @Override
    public void write(List<double[]> from, INDArray matrix, long first, int width) {
        transfer(matrix, first, width, from, DoubleBuffer::put);
    }

    @Override
    public void repeat(double[] row, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = row[i % row.length];
        }
    }

    @Override
    public void spread(double[] ofRows, double[] to) {
        int width = to.length / ofRows.length;
        for (int row = 0; row < ofRows.length; row++) {
            Arrays.fill(to, row * width, (row + 1) * width, ofRows[row]);
        }
    }

    @Override
    public void addRows(double[] rows, double[] sum) {
        for (int i = 0; i < rows.length; i++) {
            sum[i % sum.length] += rows[i];
        }
    }

    @Override
    public void clear(double[] values) {
        Arrays.fill(values, 0);
    }

    @Override
    public void add(double[] a, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += a[i];
        }
    }

    @Override
    public void add(double[] a, double[] b, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += a[i] + b[i];
        }
    }

    @Override
    public void multiply(double[] a, double[] b, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = a[i] * b[i];
        }
    }

    @Override
    public void addProduct(double[] a, double[] b, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += a[i] * b[i];
        }
    }

    @Override
    public void apply(Curve f, double[] from, double[] to) {
        switch (f) {
            case TANH -> tanh(from, to);
            case SIGMOID -> sigmoid(from, to);
            case HARD_SIGMOID -> hardSigmoid(from, to);
            case RELU -> rectify(from, to);
            case IDENTITY -> System.arraycopy(from, 0, to, 0, to.length);
        }
    }

    private static void tanh(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = Math.tanh(from[i]);
        }
    }

    private static void sigmoid(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = 1 / (1 + Math.exp(-from[i]));
        }
    }

    private static void hardSigmoid(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = Math.max(0, Math.min(1, 0.2f * from[i] + 0.5));
        }
    }

    private static void rectify(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = Math.max(0, from[i]);
        }
    }

    @Override
    public void multiplySlope(Curve f, double[] value, double[] to) {
        switch (f) {
            case TANH -> multiplyTanhSlope(value, to);
            case SIGMOID -> multiplySigmoidSlope(value, to);
            case HARD_SIGMOID -> multiplyHardSigmoidSlope(value, to);
            case RELU -> multiplyRectifierSlope(value, to);
            case IDENTITY -> {
                // 1.
            }
        }
    }

    private static void multiplyTanhSlope(double[] value, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= 1 - value[i] * value[i];
        }
    }

    private static void multiplySigmoidSlope(double[] value, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= value[i] * (1 - value[i]);
        }
    }

    private static void multiplyHardSigmoidSlope(double[] value, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= value[i] > 0 && value[i] < 1 ? 0.2f : 0;
        }
    }

    private static void multiplyRectifierSlope(double[] value, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= value[i] > 0 ? 1 : 0;
        }
    }
}
