package io.github.dl4jlora.variant;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;

/**
 * Products of Java arrays, summed in one order everywhere: a start that is recomputed on another machine is the same to
 * the last bit, which no BLAS promises.
 */
final class Matrices {

    private Matrices() {
    }

    static double[][] of(INDArray matrix) {
        return matrix.castTo(DataType.DOUBLE).toDoubleMatrix();
    }

    static INDArray of(double[][] rows) {
        return Nd4j.create(rows);
    }

    static double[][] gaussian(int rows, int columns, Random random) {
        double[][] result = new double[rows][columns];
        for (double[] row : result) {
            for (int j = 0; j < columns; j++) {
                row[j] = random.nextGaussian();
            }
        }
        return result;
    }

    /** a·b. */
    static double[][] product(double[][] a, double[][] b) {
        double[][] result = new double[a.length][b[0].length];
        for (int i = 0; i < a.length; i++) {
            for (int k = 0; k < b.length; k++) {
                addScaled(result[i], b[k], a[i][k]);
            }
        }
        return result;
    }

    /** aᵀ·b. */
    static double[][] transposedProduct(double[][] a, double[][] b) {
        double[][] result = new double[a[0].length][b[0].length];
        for (int k = 0; k < a.length; k++) {
            for (int i = 0; i < result.length; i++) {
                addScaled(result[i], b[k], a[k][i]);
            }
        }
        return result;
    }

    private static void addScaled(double[] to, double[] row, double factor) {
        for (int j = 0; j < to.length; j++) {
            to[j] += factor * row[j];
        }
    }

    static double[][] transpose(double[][] a) {
        double[][] result = new double[a[0].length][a.length];
        for (int i = 0; i < a.length; i++) {
            for (int j = 0; j < a[0].length; j++) {
                result[j][i] = a[i][j];
            }
        }
        return result;
    }

    /**
     * An orthonormal basis of the columns by Householder reflections, with LAPACK's signs.
     *
     * @param a {@code [m, n]}, m ≥ n; may be overwritten
     * @return Q {@code [m, n]} of a = Q·R
     */
    static double[][] orthonormal(double[][] a) {
        int m = a.length;
        int n = a[0].length;
        double[][] reflectors = new double[n][];
        double[] scales = new double[n];
        for (int k = 0; k < n; k++) {
            double rest = 0;
            for (int i = k + 1; i < m; i++) {
                rest += a[i][k] * a[i][k];
            }
            if (rest == 0) {
                continue;
            }
            double beta = -Math.copySign(Math.sqrt(a[k][k] * a[k][k] + rest), a[k][k]);
            double[] v = new double[m];
            v[k] = 1;
            for (int i = k + 1; i < m; i++) {
                v[i] = a[i][k] / (a[k][k] - beta);
            }
            reflectors[k] = v;
            scales[k] = (beta - a[k][k]) / beta;
            reflect(a, v, scales[k], k);
        }
        double[][] q = new double[m][n];
        for (int k = 0; k < n; k++) {
            q[k][k] = 1;
        }
        for (int k = n - 1; k >= 0; k--) {
            if (reflectors[k] != null) {
                reflect(q, reflectors[k], scales[k], k);
            }
        }
        return q;
    }

    /** a := (I − scale·v·vᵀ)·a, v zero above {@code from}. */
    private static void reflect(double[][] a, double[] v, double scale, int from) {
        double[] projection = new double[a[0].length];
        for (int i = from; i < v.length; i++) {
            addScaled(projection, a[i], v[i]);
        }
        for (int i = from; i < v.length; i++) {
            addScaled(a[i], projection, -scale * v[i]);
        }
    }

    /**
     * @throws IllegalArgumentException for a rank above min(nIn, nOut)
     */
    static void requireRank(String start, INDArray w, long rank) {
        long most = Math.min(w.size(0), w.size(1));
        if (rank > most) {
            throw new IllegalArgumentException(start + " takes A and B from W [" + w.size(0) + ", " + w.size(1)
                    + "], whose rank is at most " + most + ", but the adapter's rank is " + rank + ". Choose a smaller rank");
        }
    }
}
