package io.github.dl4jlora.conf;

import io.github.dl4jlora.variant.GradientStart;
import io.github.dl4jlora.variant.OrthogonalStart;
import io.github.dl4jlora.variant.PrincipalStart;
import io.github.dl4jlora.variant.QrStart;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;
import java.util.function.DoubleSupplier;

/**
 * How A {@code [nIn, rank]} and B {@code [rank, nOut]} start. A fresh adapter changes nothing: B starts at zero or, with
 * {@link #ORTHOGONAL}, orthogonal to A; the start of {@link #PISSA}, {@link #OLORA} and {@link #LORA_GA} is taken out of W.
 *
 * <p>Except for the starts from data, all values are computed in double precision by Java, not by ND4J. So a conversion leaves
 * the random sequence of the surrounding program as it was, and gives the same start on every backend and machine.
 */
public enum LoRAInit {

    /** A of U(−1/√nIn, 1/√nIn): what loralib and PEFT compute; the default. */
    KAIMING_UNIFORM {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return uniform(1 / Math.sqrt(nIn), random);
        }
    },

    /** A of U(−1/√rank, 1/√rank): PyTorch's {@code kaiming_uniform_(A, a=√5)} on a tensor laid out {@code [nIn, rank]}. */
    KAIMING_UNIFORM_RANK {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return uniform(1 / Math.sqrt(rank), random);
        }
    },

    /** A of N(0, 1/rank), where 1/rank is the standard deviation: PEFT's {@code init_lora_weights="gaussian"}. */
    GAUSSIAN {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return () -> random.nextGaussian() / rank;
        }
    },

    /** A and B both away from zero, with A·B = 0: PEFT's {@code "orthogonal"}. Even ranks only. */
    ORTHOGONAL {
        @Override
        public void fill(INDArray a, INDArray b, Random random) {
            OrthogonalStart.fill(a, b, random);
        }
    },

    /**
     * s·A·B is the part of W with the largest singular values, which is taken out of W: Meng et al. 2024, "PiSSA:
     * Principal Singular Values and Singular Vectors Adaptation of Large Language Models", arXiv:2404.02948, equations 2
     * to 4; PEFT's {@code "pissa"}. Needs a positive factor s and a rank of at most min(nIn, nOut).
     */
    PISSA {
        @Override
        public boolean isTakenFromW() {
            return true;
        }

        @Override
        public void take(INDArray w, INDArray a, INDArray b, double factor, int iterations, Random random) {
            PrincipalStart.take(w, a, b, factor, iterations, random);
        }
    },

    /**
     * A·B is the first {@code rank} terms of a QR decomposition of Wᵀ, and s·A·B is taken out of W: Büyükakyüz 2024,
     * "OLoRA: Orthonormal Low-Rank Adaptation of Large Language Models", arXiv:2406.01775; PEFT's {@code "olora"}. Needs
     * a rank of at most min(nIn, nOut).
     */
    OLORA {
        @Override
        public boolean isTakenFromW() {
            return true;
        }

        @Override
        public void take(INDArray w, INDArray a, INDArray b, double factor, int iterations, Random random) {
            QrStart.take(w, a, b);
        }
    },

    /**
     * s·A·B is the part with the largest singular values of W − Q(W), which quantising loses, so that a fresh network is closer
     * to the original base than the quantised one is: Li et al. 2023, "LoftQ: LoRA-Fine-Tuning-Aware Quantization for Large
     * Language Models", arXiv:2310.08659, algorithm 1 with one alternation, PEFT's default; further alternations would quantise
     * another matrix for each adapter. {@link #take take} is given W − Q(W). Needs {@code quantize}, the original base, a
     * positive factor s and a rank of at most min(nIn, nOut); for dense and output layers.
     */
    LOFTQ {
        @Override
        DoubleSupplier sampler(long nIn, long rank, Random random) {
            return KAIMING_UNIFORM.sampler(nIn, rank, random);
        }

        @Override
        public void take(INDArray w, INDArray a, INDArray b, double factor, int iterations, Random random) {
            PrincipalStart.take(w, a, b, factor, iterations, random);
        }
    },

    /**
     * A is the {@code rank} strongest principal components of the layer's inputs, found batch by batch; B is zero: Paischer et
     * al. 2024, "Parameter Efficient Fine-tuning via Explained Variance Adaptation", arXiv:2410.07170; PEFT's {@code "eva"}, with
     * its tau of 0.99. From data: {@code LoRA.apply(base, config, data)}. For dense and output layers, whose inputs are rows, and
     * convolutions, whose inputs are the windows of the kernel. Needs a rank of at most nIn. {@code rankBudget} distributes
     * ranks by it.
     */
    EVA {
        @Override
        public boolean needsData() {
            return true;
        }
    },

    /**
     * A and B are the singular vectors of dW, the gradient of the loss at W, A the first {@code rank} of one side, B the next
     * {@code rank} of the other; s·A·B is taken out of W: Wang et al. 2024, "LoRA-GA: Low-Rank Adaptation with Gradient
     * Approximation", arXiv:2407.05000, with its stable scale (see {@link GradientStart}); PEFT's {@code "lora_ga"}, ArB2r. From
     * data: {@code LoRA.apply(base, config, data)}. For dense and output layers. Needs a rank of at most min(nIn, nOut).
     */
    LORA_GA {
        @Override
        public boolean isTakenFromW() {
            return true;
        }

        @Override
        public boolean needsData() {
            return true;
        }
    };

    DoubleSupplier sampler(long nIn, long rank, Random random) {
        refuseWithoutData();
        throw new IllegalArgumentException(this + " initialises A and B together: use fill(a, b, random), or take(...) for a "
                + "start that is taken from W");
    }

    private static DoubleSupplier uniform(double bound, Random random) {
        return () -> bound * (2 * random.nextDouble() - 1);
    }

    /** {@return whether A and B start from data, so that the start cannot be recomputed from W and a seed} */
    public boolean needsData() {
        return false;
    }

    private void refuseWithoutData() {
        if (needsData()) {
            throw new IllegalArgumentException(this + " starts from data: use LoRA.apply(base, config, data)");
        }
    }

    /** {@return whether A and B start as a part of W, which then stands for the rest of it} */
    public boolean isTakenFromW() {
        return false;
    }

    /** {@return whether A and B start from the values of W, so that the rank is bounded by W's} */
    public boolean dependsOnW() {
        return isTakenFromW() || this == LOFTQ;
    }

    /**
     * Overwrites A with fresh values, for the starts whose B is zero.
     *
     * @param a      the array to fill, {@code [nIn, rank]}, any floating-point type
     * @param random where the values come from
     */
    public void fill(INDArray a, Random random) {
        fill(a, sampler(a.size(0), a.size(1), random));
    }

    /**
     * Overwrites a matrix with values from N(0, 1).
     *
     * @param matrix overwritten
     * @param random where the values come from
     */
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

    /**
     * Overwrites A and B with fresh values, for the starts that are not taken from W.
     *
     * @param a      {@code [nIn, rank]}, overwritten
     * @param b      {@code [rank, nOut]}, overwritten
     * @param random where the values come from
     * @throws IllegalArgumentException for a start that is taken from W, or an odd rank with {@link #ORTHOGONAL}
     */
    public void fill(INDArray a, INDArray b, Random random) {
        fill(a, random);
        b.assign(0);
    }

    /**
     * Overwrites A and B with a part of W, for the starts that are taken from W.
     *
     * @param w          {@code [nIn, nOut]}, not written to
     * @param a          {@code [nIn, rank]}, overwritten
     * @param b          {@code [rank, nOut]}, overwritten
     * @param factor     s
     * @param iterations of PISSA's randomised decomposition; 0: an exact one
     * @param random     where that starts from
     * @throws IllegalArgumentException for any other start, a rank above min(nIn, nOut), or a factor that is not positive
     *                                  with {@link #PISSA}
     */
    public void take(INDArray w, INDArray a, INDArray b, double factor, int iterations, Random random) {
        refuseWithoutData();
        throw new IllegalArgumentException(this + " is not taken from W");
    }
}
