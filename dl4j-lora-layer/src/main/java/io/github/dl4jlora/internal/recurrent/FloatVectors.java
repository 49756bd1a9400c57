package io.github.dl4jlora.internal.recurrent;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;

/**
 * Arithmetic of FLOAT, in loops that HotSpot makes vector instructions of: all arrays are read at the same index, and tanh is
 * the rational function that Eigen has, of degree 13 over degree 6. The relative error of tanh is at most 4e-7, the absolute
 * one of the sigmoid 2e-7; {@code Math.tanh} and {@code Math.exp} take twenty times as long.
 */
final class FloatVectors implements Vectors<float[]> {

    /** Beyond it, tanh is 1 in FLOAT. */
    private static final float LARGEST = 7.9053111f;

    private static float tanh(float value) {
        float x = Math.max(-LARGEST, Math.min(LARGEST, value));
        float q = x * x;
        float p = ((((((-2.76076847742355e-16f * q + 2.00018790482477e-13f) * q - 8.60467152213735e-11f) * q
                + 5.12229709037114e-08f) * q + 1.48572235717979e-05f) * q + 6.37261928875436e-04f) * q
                + 4.89352455891786e-03f) * x;
        return p / (((1.19825839466702e-06f * q + 1.18534705686654e-04f) * q + 2.26843463243900e-03f) * q
                + 4.89352518554385e-03f);
    }

    @Override
    public float[] zeros(int length) {
        return new float[length];
    }

    private static void transfer(INDArray matrix, long first, int width, List<float[]> arrays,
                                 Transfer<FloatBuffer, float[]> transfer) {
        int columns = (int) matrix.size(1);
        int length = arrays.get(0).length;
        FloatPointer rows = ((FloatPointer) matrix.data().addressPointer()).getPointer(first * columns);
        Vectors.transfer(rows.capacity((long) length / width * columns).asBuffer(), columns, width, arrays, length, transfer);
        Reference.reachabilityFence(matrix);
    }

    @Override
    public void read(INDArray matrix, long first, int width, List<float[]> to) {
        transfer(matrix, first, width, to, FloatBuffer::get);
    }

    @Override
    public void write(List<float[]> from, INDArray matrix, long first, int width) {
        transfer(matrix, first, width, from, FloatBuffer::put);
    }

    @Override
    public void repeat(double[] row, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = (float) row[i % row.length];
        }
    }

    @Override
    public void spread(double[] ofRows, float[] to) {
        int width = to.length / ofRows.length;
        for (int row = 0; row < ofRows.length; row++) {
            Arrays.fill(to, row * width, (row + 1) * width, (float) ofRows[row]);
        }
    }

    @Override
    public void addRows(float[] rows, double[] sum) {
        for (int i = 0; i < rows.length; i++) {
            sum[i % sum.length] += rows[i];
        }
    }

    @Override
    public void clear(float[] values) {
        Arrays.fill(values, 0);
    }

    @Override
    public void add(float[] a, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += a[i];
        }
    }

    @Override
    public void add(float[] a, float[] b, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += a[i] + b[i];
        }
    }

    @Override
    public void multiply(float[] a, float[] b, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = a[i] * b[i];
        }
    }

    @Override
    public void addProduct(float[] a, float[] b, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += a[i] * b[i];
        }
    }

    @Override
    public void apply(Curve f, float[] from, float[] to) {
        switch (f) {
            case TANH -> tanh(from, to);
            case SIGMOID -> sigmoid(from, to);
            case HARD_SIGMOID -> hardSigmoid(from, to);
            case RELU -> rectify(from, to);
            case IDENTITY -> System.arraycopy(from, 0, to, 0, to.length);
        }
    }

    private static void tanh(float[] from, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = tanh(from[i]);
        }
    }

    private static void sigmoid(float[] from, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = 0.5f + 0.5f * tanh(0.5f * from[i]);
        }
    }

    private static void hardSigmoid(float[] from, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = Math.max(0, Math.min(1, 0.2f * from[i] + 0.5f));
        }
    }

    private static void rectify(float[] from, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] = Math.max(0, from[i]);
        }
    }

    @Override
    public void multiplySlope(Curve f, float[] value, float[] to) {
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

    private static void multiplyTanhSlope(float[] value, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= 1 - value[i] * value[i];
        }
    }

    private static void multiplySigmoidSlope(float[] value, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= value[i] * (1 - value[i]);
        }
    }

    private static void multiplyHardSigmoidSlope(float[] value, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= value[i] > 0 && value[i] < 1 ? 0.2f : 0;
        }
    }

    private static void multiplyRectifierSlope(float[] value, float[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] *= value[i] > 0 ? 1 : 0;
        }
    }
}
