package io.github.dl4jlora.adapter;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Arithmetic on what several adapters hold in one place: A of a layer, or B, each as a flat vector.
 */
final class TaskVectors {

    private TaskVectors() {
    }

    /** Σ wᵢ·tᵢ. */
    static double[] sum(List<double[]> vectors, double[] weights) {
        double[] sum = new double[vectors.get(0).length];
        for (int v = 0; v < weights.length; v++) {
            for (int i = 0; i < sum.length; i++) {
                sum[i] += weights[v] * vectors.get(v)[i];
            }
        }
        return sum;
    }

    /**
     * In each place the mean of the weighted values whose sign is that of the unweighted sum. Yadav et al. 2023,
     * "TIES-Merging", arXiv:2306.01708, steps 2 and 3.
     */
    static double[] electSign(List<double[]> vectors, double[] weights) {
        double[] merged = new double[vectors.get(0).length];
        for (int i = 0; i < merged.length; i++) {
            double total = 0;
            for (double[] vector : vectors) {
                total += vector[i];
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

    /** The {@code ⌊density · n⌋} values that are largest in magnitude, zero elsewhere: TIES, step 1. */
    static double[] keepLargest(double[] vector, double density) {
        int kept = (int) (density * vector.length);
        int[] byMagnitude = IntStream.range(0, vector.length).boxed()
                .sorted((i, j) -> Double.compare(Math.abs(vector[j]), Math.abs(vector[i]))).mapToInt(Integer::intValue).toArray();
        double[] result = new double[vector.length];
        for (int i : Arrays.copyOf(byMagnitude, kept)) {
            result[i] = vector[i];
        }
        return result;
    }

    /**
     * Each value with probability {@code density}, divided by it, zero otherwise. Yu et al. 2023, "DARE",
     * arXiv:2311.03099.
     */
    static double[] keepRandom(double[] vector, double density, Random random) {
        return Arrays.stream(vector).map(value -> random.nextDouble() < density ? value / density : 0).toArray();
    }
}
