package io.github.dl4jlora.internal.blas;

import io.github.dl4jlora.internal.processor.Processor.Vectors;
import io.github.dl4jlora.internal.processor.Processor;
import org.bytedeco.javacpp.FloatPointer;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasColMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.blas_get_num_threads;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

/**
 * Products of few rows with a large matrix, into a column-major result. OpenBLAS first copies the whole matrix into panels, which
 * for 32 rows takes as long as the product itself. Its AVX-512 kernels for small products read the matrix in place; they take
 * a million multiplications at most, and no transposed left operand. So the product is cut into small ones, and a left operand
 * that lies by rows is transposed first.
 *
 * <p>These kernels run on the caller's thread. Where BLAS has several threads, a large product is left to them.
 */
public final class FewRows {

    /** With more rows, a product in blocks takes as long as one in panels, or longer. */
    public static final int MOST_ROWS = 64;

    /** Multiplications that OpenBLAS's kernels for small products take. */
    static final long SMALL = 1_000_000;
    /** With fewer multiplications, several threads of BLAS wait for each other longer than they compute. */
    private static final long WORTH_THREADS = 4 * SMALL;
    /**
     * The same with very few rows or columns, for which OpenBLAS's threads copy the large matrix, too: with two threads, products
     * of 8 rows by 2,048 × 2,048 took 1 to 4 times as long as with small kernels on one, gradients of A and B 2 to 5 times.
     */
    private static final long SLIM_WORTH_THREADS = 1 << 25;
    private static final int VERY_FEW = 16;
    /** A slice as deep as that repays one pass over the result. */
    static final int LEAST_DEPTH = 32;
    private static final int COLUMNS = 128;
    private static final int EIGHT = 8;

    private static final ThreadLocal<FloatPointer> TURNED = ThreadLocal.withInitial(FloatPointer::new);

    private FewRows() {
    }

    /** OpenBLAS's name for its kernels never changes, and is asked for at the first large product. */
    private static final class Kernels {
        static final boolean ARE_SMALL = Processor.kernel().map(Vectors::ofKernel).orElse(Vectors.UNKNOWN) == Vectors.AVX_512;
    }

    /** Whether a product of m × k and k × n is faster here. */
    public static boolean gains(long m, long n, long k) {
        return m <= MOST_ROWS && gains(m * n * k, m);
    }

    /**
     * Whether a product of so many multiplications is faster as several small ones, if it is cut well.
     *
     * @param slim the number of its rows or columns, whichever is small
     */
    static boolean gains(long multiplications, long slim) {
        long mostAlone = slim <= VERY_FEW ? SLIM_WORTH_THREADS : WORTH_THREADS;
        return multiplications > SMALL && Kernels.ARE_SMALL && (multiplications <= mostAlone || blas_get_num_threads() == 1);
    }

    /** As {@code cblas_sgemm} for column-major matrices of such a size; correct also without such kernels. */
    static void gemm(int transposeA, int transposeB, int m, int n, int k, float alpha, FloatPointer a, int leadingA,
            FloatPointer b, int leadingB, float beta, FloatPointer c, int leadingC) {
        boolean turn = transposeA == CblasTrans;
        FloatPointer left = turn ? turned(a, leadingA, m, k) : a;
        int leadingLeft = turn ? m : leadingA;
        boolean liesByRows = transposeB == CblasTrans;
        // For very few rows, a row of the right operand is read in one piece if that leaves enough of its rows for a slice.
        boolean wholeRows = liesByRows && m <= VERY_FEW && SMALL / ((long) m * n) >= LEAST_DEPTH;
        int deep = wholeRows ? (int) Math.min(k, SMALL / 2 / ((long) m * n)) : depth(m, k);
        int wide = wholeRows ? n : width(m, deep);
        for (int column = 0; column < n; column += wide) {
            int columns = Math.min(wide, n - column);
            inSlices(transposeB, m, columns, k, deep, alpha, left, leadingLeft,
                    b.getPointer(liesByRows ? column : (long) column * leadingB), leadingB, beta,
                    c.getPointer((long) column * leadingC), leadingC);
        }
    }

    /**
     * As {@code cblas_sgemm} without a transposed left operand, as a sum of products.
     *
     * @param deep how many columns of the left operand each of them takes
     */
    static void inSlices(int transposeB, int m, int n, int k, int deep, float alpha, FloatPointer a, int leadingA, FloatPointer b,
            int leadingB, float beta, FloatPointer c, int leadingC) {
        FloatPointer left = new FloatPointer(a);
        FloatPointer right = new FloatPointer(b);
        for (int at = 0; at < k; at += deep) {
            cblas_sgemm(CblasColMajor, CblasNoTrans, transposeB, m, n, Math.min(deep, k - at), alpha,
                    left.position((long) at * leadingA), leadingA,
                    right.position(transposeB == CblasTrans ? (long) at * leadingB : at), leadingB, at == 0 ? beta : 1, c,
                    leadingC);
        }
    }

    /** How many columns of the left operand stay in the second-level cache beside a block of the right one, in equal parts. */
    private static int depth(int m, int k) {
        int most = m <= MOST_ROWS / 2 ? 2 * COLUMNS : COLUMNS;
        int parts = (k + most - 1) / most;
        return (k + parts - 1) / parts;
    }

    private static int width(int m, int depth) {
        long columns = SMALL / ((long) m * depth);
        return (int) Math.min(COLUMNS, columns / EIGHT * EIGHT);
    }

    /** A copy of the matrix of which {@code a} is the transpose. */
    private static FloatPointer turned(FloatPointer a, int leading, int m, int k) {
        FloatPointer space = HostMemory.room(TURNED.get(), (long) m * k);
        TURNED.set(space);
        DirectBlas.turn(a, leading, m, k, space);
        return space;
    }
}
