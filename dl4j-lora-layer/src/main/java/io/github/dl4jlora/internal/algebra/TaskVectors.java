package io.github.dl4jlora.internal.algebra;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;

/** Arithmetic on what several adapters have for one matrix, their A, B or ΔW, each as a flat vector. */
public final class TaskVectors {

    private TaskVectors() {
    }

    /** Σ wᵢ·tᵢ. */
    public static double[] sum(List<double[]> vectors, double[] weights) {
        double[] sum = new double[vectors.get(0).length];
        for (int v = 0; v < weights.length; v++) {
            for (int i = 0; i < sum.length; i++) {
                sum[i] += weights[v] * vectors.get(v)[i];
            }
        }
        return sum;
    }

    /**
     * In each place the mean of the weighted values whose sign is the one that was elected among the unweighted. Yadav et al.
     * 2023, "TIES-Merging", arXiv:2306.01708, steps 2 and 3.
     *
     * @param vote what a value adds to the election; a sum of zero elects plus
     */
    public static double[] electSign(List<double[]> vectors, double[] weights, DoubleUnaryOperator vote) {
        double[] merged = new double[vectors.get(0).length];
        for (int i = 0; i < merged.length; i++) {
            double total = 0;
            for (double[] vector : vectors) {
                total += vote.applyAsDouble(vector[i]);
            }
            double elected = total >= 0 ? 1 : -1;
            int voters = 0;
            for (int v = 0; v < weights.length; v++) {
                if (Math.signum(vectors.get(v)[i]) == elected) {
                    merged[i] += weights[v] * vectors.get(v)[i];
                    voters++;
                }
            }
            merged[i] /= Math.max(voters, 1);
        }
        return merged;
    }

    /** The {@code ⌊density · n⌋} values that are largest in magnitude, of equal ones the first; zero elsewhere: TIES, step 1. */
    public static double[] keepLargest(double[] vector, double density) {
        int kept = (int) (density * vector.length);
        double[] result = new double[vector.length];
        if (kept == 0) {
            return result;
        }
        double[] magnitudes = Arrays.stream(vector).map(Math::abs).sorted().toArray();
        double smallest = magnitudes[vector.length - kept];
        long ties = kept - Arrays.stream(magnitudes).filter(magnitude -> magnitude > smallest).count();
        for (int i = 0; i < vector.length; i++) {
            double magnitude = Math.abs(vector[i]);
            if (magnitude > smallest || magnitude == smallest && ties-- > 0) {
                result[i] = vector[i];
            }
        }
        return result;
    }

    /**
     * Each value with probability {@code density}, divided by it, zero otherwise. Yu et al. 2023, "DARE",
     * arXiv:2311.03099.
     */
    public static double[] keepRandom(double[] vector, double density, Random random) {
        return Arrays.stream(vector).map(value -> random.nextDouble() < density ? value / density : 0).toArray();
    }
}
