package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.FloatPointer;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;

/**
 * Products of a large matrix with few columns, into a column-major result, such as the gradient of A: xᵀ·v. OpenBLAS copies the
 * large matrix into panels, which takes several times as long as the product. So the product is cut into ones that OpenBLAS's
 * kernels for small products take; see {@link FewRows}, which is for few rows.
 */
final class FewColumns {

    static final int MOST_COLUMNS = 32;

    private FewColumns() {
    }

    /**
     * Whether a product of m × k and k × n is faster here.
     *
     * @param transposeA whether the large matrix is transposed, which kernels for small products do not take
     */
    static boolean gains(int transposeA, long m, long n, long k) {
        return transposeA == CblasNoTrans && n <= MOST_COLUMNS && m > FewRows.MOST_ROWS && FewRows.gains(m * n * k, n);
    }

    /** As {@code cblas_sgemm} for column-major matrices of such a size, the left one not transposed. */
    static void gemm(int transposeB, int m, int n, int k, float alpha, FloatPointer a, int leadingA, FloatPointer b, int leadingB,
            float beta, FloatPointer c, int leadingC) {
        int high = height(m, n);
        int deep = (int) Math.min(k, FewRows.SMALL / 2 / ((long) high * n));
        for (int row = 0; row < m; row += high) {
            FewRows.inSlices(transposeB, Math.min(high, m - row), n, k, deep, alpha, a.getPointer(row), leadingA, b, leadingB,
                    beta, c.getPointer(row), leadingC);
        }
    }

    /** How many rows of the result are computed at once, in equal parts. */
    private static int height(int m, int n) {
        int most = (int) (FewRows.SMALL / 2 / ((long) n * FewRows.LEAST_DEPTH));
        int parts = (m + most - 1) / most;
        return (m + parts - 1) / parts;
    }
}
