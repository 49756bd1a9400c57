package io.github.dl4jlora.variant;

import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Random;

/**
 * PiSSA's start: with the largest singular values S and vectors U, V of W, A = U·√(S/s) and B = √(S/s)·Vᵀ.
 *
 * <p>The randomised way is Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1,
 * with a basis of twice the rank, orthonormalised after every product. It needs products with slim matrices only.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).loraInit(LoRAInit.PISSA).pissaIterations(4).build();
 * }</pre>
 */
public final class PrincipalStart {

    private PrincipalStart() {
    }

    /**
     * Fills A and B.
     *
     * @param w          {@code [nIn, nOut]}, not written to
     * @param a          {@code [nIn, rank]}, overwritten
     * @param b          {@code [rank, nOut]}, overwritten
     * @param factor     s
     * @param iterations 0: an exact decomposition
     * @param random     where the values come from
     * @throws IllegalArgumentException for a rank above min(nIn, nOut) or a factor that is not positive
     */
    public static void take(INDArray w, INDArray a, INDArray b, double factor, int iterations, Random random) {
        int rank = Math.toIntExact(a.size(1));
        Matrices.requireRank("LoRAInit.PISSA", w, rank);
        if (!(factor > 0)) {
            throw new IllegalArgumentException(
                    "LoRAInit.PISSA divides singular values by the factor of ΔW and takes the square root, but the factor is "
                            + factor + ". Choose an alpha above 0");
        }
        double[][] rows = Matrices.of(w);
        double[][] left;
        double[] values;
        double[][] right;
        if (iterations == 0) {
            SingularValueDecomposition svd = new SingularValueDecomposition(new Array2DRowRealMatrix(rows, false));
            left = svd.getU().getData();
            values = svd.getSingularValues();
            right = svd.getV().getData();
        } else {
            double[][] q = range(rows, Math.min(2 * rank, Math.min(rows.length, rows[0].length)), iterations, random);
            double[][] slim = Matrices.transposedProduct(rows, q);
            SingularValueDecomposition svd = new SingularValueDecomposition(new Array2DRowRealMatrix(slim, false));
            left = Matrices.product(q, svd.getV().getData());
            values = svd.getSingularValues();
            right = svd.getU().getData();
        }
        a.assign(Matrices.of(scaled(left, values, factor, rank)));
        b.assign(Matrices.of(Matrices.transpose(scaled(right, values, factor, rank))));
    }

    /** An orthonormal basis of approximately the directions to which W maps most strongly. */
    private static double[][] range(double[][] w, int size, int iterations, Random random) {
        double[][] q = Matrices.orthonormal(Matrices.product(w, Matrices.gaussian(w[0].length, size, random)));
        for (int i = 0; i < iterations; i++) {
            double[][] back = Matrices.orthonormal(Matrices.transposedProduct(w, q));
            q = Matrices.orthonormal(Matrices.product(w, back));
        }
        return q;
    }

    private static double[][] scaled(double[][] vectors, double[] values, double factor, int rank) {
        double[][] result = new double[vectors.length][rank];
        for (int i = 0; i < result.length; i++) {
            for (int j = 0; j < rank; j++) {
                result[i][j] = vectors[i][j] * Math.sqrt(values[j] / factor);
            }
        }
        return result;
    }
}
