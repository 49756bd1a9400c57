package io.github.dl4jlora;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;
import java.util.function.DoubleSupplier;

/**
 * How A {@code [nIn, rank]} starts. B {@code [rank, nOut]} always starts at zero, so that a fresh adapter changes nothing.
 */
public enum LoRAInit {

    /** U(−1/√nIn, 1/√nIn): what loralib and PEFT compute; the default. */
    KAIMING_UNIFORM {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return uniform(1 / Math.sqrt(nIn), random);
        }
    },

    /** U(−1/√rank, 1/√rank): PyTorch's {@code kaiming_uniform_(A, a=√5)} on a tensor laid out {@code [nIn, rank]}. */
    KAIMING_UNIFORM_RANK {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return uniform(1 / Math.sqrt(rank), random);
        }
    },

    /** N(0, 1/rank), the number being the standard deviation: PEFT's {@code init_lora_weights="gaussian"}. */
    GAUSSIAN {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return () -> random.nextGaussian() / rank;
        }
    };

    abstract DoubleSupplier sampler(long nIn, long rank, Random random);

    private static DoubleSupplier uniform(double bound, Random random) {
        return () -> bound * (2 * random.nextDouble() - 1);
    }

    /**
     * Overwrites A with fresh values. The source of randomness is Java's, not ND4J's, so that a conversion
     * leaves the random sequence of the surrounding program as it was and gives the same A on every backend.
     *
     * @param a      the array to fill, {@code [nIn, rank]}, any floating-point type
     * @param random where the values come from
     */
    public void fill(INDArray a, Random random) {
        fill(a, sampler(a.size(0), a.size(1), random));
    }

    /** Overwrites a matrix with values from N(0, 1). */
    public static void fillNormal(INDArray matrix, Random random) {
        fill(matrix, random::nextGaussian);
    }

    private static void fill(INDArray matrix, DoubleSupplier next) {
        double[][] values = new double[Math.toIntExact(matrix.size(0))][Math.toIntExact(matrix.size(1))];
        for (double[] row : values) {
            for (int j = 0; j < row.length; j++) {
                row[j] = next.getAsDouble();
            }
        }
        matrix.assign(Nd4j.create(values));
    }
}
