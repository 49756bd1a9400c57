package io.github.dl4jlora.variant;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Random;

/**
 * A and B away from zero with A·B = 0, PEFT's {@code init_lora_weights="orthogonal"}:
 *
 * <pre>
 * A = X·O / 10     B = Eᵀ·Y / 10     X [nIn, rank/2], Y [rank/2, nOut] of N(0, 1)
 * </pre>
 *
 * where O and E are every other row of an orthogonal matrix {@code [rank, rank]}, so that O·Eᵀ = 0.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).loraInit(LoRAInit.ORTHOGONAL).build();
 * }</pre>
 */
public final class OrthogonalStart {

    private OrthogonalStart() {
    }

    /**
     * Fills A and B.
     *
     * @param a      {@code [nIn, rank]}, overwritten
     * @param b      {@code [rank, nOut]}, overwritten
     * @param random where the values come from
     * @throws IllegalArgumentException for an odd rank
     */
    public static void fill(INDArray a, INDArray b, Random random) {
        int rank = Math.toIntExact(a.size(1));
        if (rank % 2 != 0) {
            throw new IllegalArgumentException("The rank is " + rank
                    + ", but LoRAInit.ORTHOGONAL halves it: choose an even rank");
        }
        double[][] q = Matrices.orthonormal(Matrices.gaussian(rank, rank, random));
        double[][] odd = new double[rank / 2][];
        double[][] even = new double[rank / 2][];
        for (int i = 0; i < rank; i++) {
            (i % 2 == 0 ? odd : even)[i / 2] = q[i];
        }
        double[][] x = Matrices.gaussian(Math.toIntExact(a.size(0)), rank / 2, random);
        double[][] y = Matrices.gaussian(rank / 2, Math.toIntExact(b.size(1)), random);
        a.assign(Matrices.of(Matrices.product(x, odd)).divi(10));
        b.assign(Matrices.of(Matrices.transposedProduct(even, y)).divi(10));
    }
}
