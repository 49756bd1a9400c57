package io.github.dl4jlora.internal.recurrent;

import java.util.List;

/**
 * The weights from a unit's memory to its own gates: the last three columns of a GravesLSTM's RW, repeated for each example.
 *
 * @param <V> an array of float or of double
 */
final class Peepholes<V> {

    /** Columns of RW beside those of gates. */
    static final int COLUMNS = 3;

    private final Vectors<V> vectors;
    private final List<V> weights;
    private final List<V> gradients;
    private final int units;

    Peepholes(Vectors<V> vectors, int units, int length) {
        this.vectors = vectors;
        this.units = units;
        this.weights = List.of(vectors.zeros(length), vectors.zeros(length), vectors.zeros(length));
        this.gradients = List.of(vectors.zeros(length), vectors.zeros(length), vectors.zeros(length));
    }

    /** @param columns to the forget gate, the output gate, the input gate; one for all examples, or one after the other */
    void set(double[][] columns) {
        for (int k = 0; k < COLUMNS; k++) {
            vectors.repeat(columns[k], weights.get(k));
            vectors.clear(gradients.get(k));
        }
    }

    V forget() {
        return weights.get(0);
    }

    V output() {
        return weights.get(1);
    }

    V admit() {
        return weights.get(2);
    }

    void addGradients(V dForget, V dOutput, V dAdmit, V before, V c) {
        vectors.addProduct(dForget, before, gradients.get(0));
        vectors.addProduct(dOutput, c, gradients.get(1));
        vectors.addProduct(dAdmit, before, gradients.get(2));
    }

    /** The gradients of the columns, summed up over examples since {@link #set}. */
    double[][] gradients() {
        double[][] sums = new double[COLUMNS][units];
        for (int k = 0; k < COLUMNS; k++) {
            vectors.addRows(gradients.get(k), sums[k]);
        }
        return sums;
    }
}
