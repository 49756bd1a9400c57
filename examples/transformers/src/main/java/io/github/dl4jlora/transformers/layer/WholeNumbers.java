package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;

/** Reads ids and positions from arrays of any type. */
final class WholeNumbers {

    private WholeNumbers() {
    }

    /**
     * {@return the values of a matrix, row after row}
     *
     * @param what  they are, for messages
     * @param where for messages
     * @throws IllegalArgumentException if one is a fraction, NaN or infinite
     */
    static int[] in(INDArray matrix, String what, String where) {
        double[] values = matrix.dup('c').data().asDouble();
        int[] whole = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            whole[i] = (int) values[i];
            if (whole[i] != values[i]) {
                long columns = matrix.size(1);
                throw new IllegalArgumentException(what + " " + values[i] + ", number " + i % columns + " of text " + i / columns
                        + ", is not a whole number " + where);
            }
        }
        return whole;
    }
}
