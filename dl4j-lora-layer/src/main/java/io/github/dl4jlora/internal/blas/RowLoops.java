package io.github.dl4jlora.internal.blas;

/**
 * Loops over a piece of a Java array, and what softmax consists of. Sums are taken eight at a time: Java must not reorder the
 * additions of a single sum, so each would wait for the one before it.
 */
public final class RowLoops {

    private RowLoops() {
    }

    /** The sum of {@code length} values from index {@code from} on. */
    public static float sum(float[] x, int from, int length) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        float s4 = 0;
        float s5 = 0;
        float s6 = 0;
        float s7 = 0;
        int i = from;
        for (; i + 7 < from + length; i += 8) {
            s0 += x[i];
            s1 += x[i + 1];
            s2 += x[i + 2];
            s3 += x[i + 3];
            s4 += x[i + 4];
            s5 += x[i + 5];
            s6 += x[i + 6];
            s7 += x[i + 7];
        }
        for (; i < from + length; i++) {
            s0 += x[i];
        }
        return s0 + s1 + (s2 + s3) + (s4 + s5 + (s6 + s7));
    }

    /** The sum of products of values at the same indices. */
    public static float dot(float[] x, float[] y, int from, int length) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        float s4 = 0;
        float s5 = 0;
        float s6 = 0;
        float s7 = 0;
        int i = from;
        for (; i + 7 < from + length; i += 8) {
            s0 += x[i] * y[i];
            s1 += x[i + 1] * y[i + 1];
            s2 += x[i + 2] * y[i + 2];
            s3 += x[i + 3] * y[i + 3];
            s4 += x[i + 4] * y[i + 4];
            s5 += x[i + 5] * y[i + 5];
            s6 += x[i + 6] * y[i + 6];
            s7 += x[i + 7] * y[i + 7];
        }
        for (; i < from + length; i++) {
            s0 += x[i] * y[i];
        }
        return s0 + s1 + (s2 + s3) + (s4 + s5 + (s6 + s7));
    }

    /**
     * The largest of {@code length} values from index {@code from} on. NaN among them may be overlooked. Values are
     * compared, since {@code Math.max}, which asks for NaN and the sign of zero too, takes longer.
     */
    public static float largest(float[] x, int from, int length) {
        float m0 = x[from];
        float m1 = m0;
        float m2 = m0;
        float m3 = m0;
        int i = from + 1;
        for (; i + 3 < from + length; i += 4) {
            m0 = x[i] > m0 ? x[i] : m0;
            m1 = x[i + 1] > m1 ? x[i + 1] : m1;
            m2 = x[i + 2] > m2 ? x[i + 2] : m2;
            m3 = x[i + 3] > m3 ? x[i + 3] : m3;
        }
        for (; i < from + length; i++) {
            m0 = x[i] > m0 ? x[i] : m0;
        }
        return Math.max(Math.max(m0, m1), Math.max(m2, m3));
    }

    /**
     * Turns values into their softmax, in place.
     *
     * @param largest  of them
     * @param takenOff from each exponential before they are summed, so that the least that {@link FastExp} gives can be zero
     * @return 1 / (sum of exponentials)
     */
    public static float softmax(float[] x, int from, int length, float largest, float takenOff) {
        for (int i = from; i < from + length; i++) {
            x[i] = FastExp.exp(x[i] - largest) - takenOff;
        }
        float inverse = 1 / sum(x, from, length);
        for (int i = from; i < from + length; i++) {
            x[i] *= inverse;
        }
        return inverse;
    }

    /**
     * Turns a gradient with respect to probabilities p into one with respect to what {@link #softmax} made them of:
     * {@code p ⊙ (gradient - sum(p ⊙ gradient))}, in place.
     */
    public static void softmaxGradient(float[] p, float[] gradient, int from, int length) {
        float projection = dot(p, gradient, from, length);
        for (int i = from; i < from + length; i++) {
            gradient[i] = p[i] * (gradient[i] - projection);
        }
    }
}
