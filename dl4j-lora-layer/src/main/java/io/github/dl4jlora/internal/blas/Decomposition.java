package io.github.dl4jlora.internal.blas;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;
import java.util.stream.DoubleStream;

/**
 * A singular value decomposition M = U·S·Vᵀ in double precision, by LAPACK, with k = min(m, n):
 *
 * <pre>
 * M [m, n], m ≥ n   M = Q·R,  R = P·S·Vᵀ   U = Q·P
 * </pre>
 *
 * LAPACK's own decomposition would form a square U or V of the longer side, which is long for an embedding; the QR avoids that.
 * The columns of U and V are orthonormal even where singular values are zero.
 *
 * @param u      {@code [m, k]}
 * @param values k of them, the largest first
 * @param v      {@code [n, k]}
 */
public record Decomposition(INDArray u, double[] values, INDArray v) {

    /** Up to this length of the shorter side, LAPACK takes a few milliseconds. */
    private static final int SMALL = 64;
    /** PEFT has 4 iterations; 8 cost little more, and leave less to chance. */
    private static final int ITERATIONS = 8;

    /** @param matrix {@code [m, n]} in double, finite; not written to */
    public static Decomposition of(INDArray matrix) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (matrix.size(0) < matrix.size(1)) {
                Decomposition transposed = of(matrix.transpose());
                return new Decomposition(transposed.v, transposed.values, transposed.u);
            }
            INDArray q = matrix.dup('f');
            long n = matrix.size(1);
            INDArray r = square(n);
            Nd4j.getBlasWrapper().lapack().geqrf(q, r);
            INDArray p = square(n);
            INDArray vTransposed = square(n);
            INDArray s = Nd4j.create(DataType.DOUBLE, 1, n);
            Nd4j.getBlasWrapper().lapack().gesvd(r, s, p, vTransposed);
            return new Decomposition(q.mmul(p), s.toDoubleVector(), vTransposed.transpose());
        }
    }

    /**
     * The strongest terms: exact for a small matrix; for a large one by subspace iteration, which needs only products with slim
     * matrices. Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1, with a basis of
     * twice as many columns, as in PEFT. ({@code PrincipalStart} does the same in plain Java, since other machines must find the
     * same result.)
     *
     * @param matrix {@code [m, n]} in double, finite; not written to
     * @param count  of terms, at least 1
     * @return at least as many, or all
     */
    public static Decomposition leading(INDArray matrix, int count) {
        long side = Math.min(matrix.size(0), matrix.size(1));
        if (side <= Math.max(2L * count, SMALL)) {
            return of(matrix);
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray basis = orthonormal(product(matrix, gaussian(matrix.size(1), 2 * count), false));
            for (int i = 0; i < ITERATIONS; i++) {
                basis = orthonormal(product(matrix, orthonormal(product(matrix, basis, true)), false));
            }
            Decomposition slim = of(product(matrix, basis, true));
            return new Decomposition(basis.mmul(slim.v), slim.values, slim.u);
        }
    }

    /** Drawn from a generator of its own, so that the iteration always starts from the same values. */
    private static INDArray gaussian(long rows, int columns) {
        Random random = new Random(columns);
        double[] values = DoubleStream.generate(random::nextGaussian).limit(rows * columns).toArray();
        return Nd4j.createFromArray(values).reshape('f', rows, columns);
    }

    private static INDArray product(INDArray matrix, INDArray slim, boolean transposed) {
        INDArray result = Nd4j.create(DataType.DOUBLE, new long[] {matrix.size(transposed ? 1 : 0), slim.size(1)}, 'f');
        return Blas.gemm(matrix, slim, result, transposed, false, 1, 0);
    }

    /** An orthonormal basis of the columns; overwrites its argument. */
    private static INDArray orthonormal(INDArray slim) {
        Nd4j.getBlasWrapper().lapack().geqrf(slim, square(slim.size(1)));
        return slim;
    }

    private static INDArray square(long size) {
        return Nd4j.create(DataType.DOUBLE, new long[] {size, size}, 'f');
    }
}
