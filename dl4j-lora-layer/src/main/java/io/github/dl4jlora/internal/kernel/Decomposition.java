package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A singular value decomposition M = U·S·Vᵀ in double precision, by LAPACK, with k = min(m, n):
 *
 * <pre>
 * M [m, n], m ≥ n   M = Q·R,  R = P·S·Vᵀ   U = Q·P
 * </pre>
 *
 * LAPACK's would form a U or V as large as the longer side is long, which an embedding's is; the QR sees to that. Where
 * singular values are zero the columns of U and V are orthonormal all the same.
 *
 * @param u      {@code [m, k]}
 * @param values k of them, the largest first
 * @param v      {@code [n, k]}
 */
public record Decomposition(INDArray u, double[] values, INDArray v) {

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

    private static INDArray square(long size) {
        return Nd4j.create(DataType.DOUBLE, new long[] {size, size}, 'f');
    }
}
