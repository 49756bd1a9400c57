package io.github.dl4jlora.internal.recurrent;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;

/**
 * A frozen matrix with low-rank paths beside it:
 *
 * <pre>
 * z  = x·W + s·x·A·B
 * dx = dz·Wᵀ + s·dz·Bᵀ·Aᵀ        dA = s·xᵀ·dz·Bᵀ        dB = s·(x·A)ᵀ·dz
 * </pre>
 */
final class AdaptedProduct {

    private final FrozenMatrix matrix;
    private final List<Route> paths;
    private final GrowingScratch slim;

    /** @param slim for products with A, or with Bᵀ */
    AdaptedProduct(FrozenMatrix matrix, List<Route> paths, GrowingScratch slim) {
        this.matrix = matrix;
        this.paths = paths;
        this.slim = slim;
    }

    long columns() {
        return matrix.columns();
    }

    /** @param z overwritten */
    void times(INDArray x, INDArray z) {
        matrix.times(x, z);
        for (Route path : paths) {
            INDArray u = slim.of(x.dataType(), x.size(0), path.a().size(1));
            Blas.gemm(x, path.a(), u, false, false, 1, 0);
            Blas.gemm(u, path.b(), z, false, false, path.factor(), 1);
        }
    }

    /** @param dx overwritten */
    void timesTransposed(INDArray dz, INDArray dx) {
        matrix.timesTransposed(dz, dx);
        for (Route path : paths) {
            INDArray v = slim.of(dz.dataType(), dz.size(0), path.a().size(1));
            Blas.gemm(dz, path.b(), v, false, true, 1, 0);
            Blas.gemm(v, path.a(), dx, false, true, path.factor(), 1);
        }
    }

    /**
     * The gradients of the one path's A and B.
     *
     * @param dz      of the first columns
     * @param special dL/dM of the columns that are no product's, {@code [nIn, columns() - dz.columns()]}; null for none
     * @param dA      overwritten; null if A does not train
     * @param dB      overwritten; null if B does not train
     */
    void gradients(INDArray x, INDArray dz, @Nullable INDArray special, @Nullable INDArray dA, @Nullable INDArray dB) {
        Route path = paths.get(0);
        INDArray b = columns(path.b(), 0, dz.size(1));
        INDArray slimmed = slim.of(x.dataType(), x.size(0), path.a().size(1));
        if (dB != null) {
            Blas.gemm(x, path.a(), slimmed, false, false, 1, 0);
            Blas.gemm(slimmed, dz, columns(dB, 0, dz.size(1)), true, false, path.factor(), 0);
        }
        if (dA != null) {
            Blas.gemm(dz, b, slimmed, false, true, 1, 0);
            Blas.gemm(x, slimmed, dA, true, false, path.factor(), 0);
        }
        if (special != null) {
            addSpecial(path, special, dz.size(1), dA, dB);
        }
    }

    private static void addSpecial(Route path, INDArray special, long from, @Nullable INDArray dA, @Nullable INDArray dB) {
        if (dB != null) {
            Blas.gemm(path.a(), special, columns(dB, from, dB.size(1)), true, false, path.factor(), 0);
        }
        if (dA != null) {
            Blas.gemm(special, columns(path.b(), from, path.b().size(1)), dA, false, true, path.factor(), 1);
        }
    }

    /** Columns of M = W + s·A·B that are no product's: copies, one array each. */
    double[][] special(long from) {
        INDArray columns = columns(matrix.lent(), from, matrix.columns()).dup('f');
        for (Route path : paths) {
            Blas.gemm(path.a(), columns(path.b(), from, path.b().size(1)), columns, false, false, path.factor(), 1);
        }
        return columns.transpose().toDoubleMatrix();
    }

    private static INDArray columns(INDArray whole, long from, long to) {
        return from == 0 && to == whole.size(1) ? whole : Nd4j.create(whole.data(), new long[] {whole.size(0), to - from},
                whole.stride(), whole.offset() + from * whole.stride(1), whole.ordering());
    }
}
