package io.github.dl4jlora.transformers;

/** With no array and no trick. */
public final class Cosine {

    private Cosine() {
    }

    /** {@return the cosine of the angle between two vectors} */
    public static double of(double[] a, double[] b) {
        double product = 0;
        double lengthA = 0;
        double lengthB = 0;
        for (int i = 0; i < a.length; i++) {
            product += a[i] * b[i];
            lengthA += a[i] * a[i];
            lengthB += b[i] * b[i];
        }
        return product / Math.sqrt(lengthA * lengthB);
    }
}
