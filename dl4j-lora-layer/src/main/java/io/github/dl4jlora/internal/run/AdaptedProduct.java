package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;

/**
 * A frozen matrix with low-rank paths beside it:
 *
 * <pre>
 * z  = x·W + s·x·A·B
 * dx = dz·Wᵀ + s·dz·Bᵀ·Aᵀ        dA = s·xᵀ·dz·Bᵀ        dB = s·(x·A)ᵀ·dz
 * </pre>
 */
public final class AdaptedProduct {

    private static final ThreadLocal<GrowingScratch> SUM = ThreadLocal.withInitial(GrowingScratch::new);
    private static final ThreadLocal<GrowingScratch> SCALED = ThreadLocal.withInitial(GrowingScratch::new);

    private final FrozenMatrix matrix;
    private final List<Route> paths;
    private final GrowingScratch slim;

    /**
     * @param paths each for some rows of x
     * @param slim  for products with A, or with Bᵀ
     */
    public AdaptedProduct(FrozenMatrix matrix, List<Route> paths, GrowingScratch slim) {
        this.matrix = matrix;
        this.paths = paths;
        this.slim = slim;
    }

    /**
     * The same for many products one after the other, in the calling thread's memory: with W + s·A·B in the place of W, if W is
     * an array or would be restored as one. A sum in bfloat16 would lose what the adapter learns.
     *
     * @param m          rows of each
     * @param transposed whether they are those of {@link #timesTransposed}
     */
    public AdaptedProduct forManyProducts(long m, boolean transposed) {
        if (matrix.multipliesCodes() || paths.size() != 1 || paths.get(0).from() > 0 || paths.get(0).to() < m) {
            return new AdaptedProduct(matrix.forManyProducts(m, transposed), paths, slim);
        }
        Route path = paths.get(0);
        DataType type = path.a().dataType();
        INDArray sum = SUM.get().of(type, matrix.rows(), matrix.columns(), 'f').assign(matrix.lent());
        INDArray b = SCALED.get().of(type, path.b().size(0), path.b().size(1), 'f').assign(path.b()).muli(path.factor());
        DenseArithmetic.addProduct(path.a(), b, sum);
        return new AdaptedProduct(new PlainMatrix(sum).forManyProducts(m, transposed), List.of(), slim);
    }

    /** nOut. */
    public long columns() {
        return matrix.columns();
    }

    /** @param z overwritten */
    public void times(INDArray x, INDArray z) {
        matrix.times(x, z);
        if (paths.size() > 1 && Blas.addLowRank(x, z, paths)) {
            return;
        }
        for (Route path : paths) {
            INDArray own = Views.rows(x, path.from(), path.to());
            INDArray u = slim.of(x.dataType(), own.size(0), path.a().size(1));
            Blas.gemm(own, path.a(), u, false, false, 1, 0);
            Blas.gemm(u, path.b(), Views.rows(z, path.from(), path.to()), false, false, path.factor(), 1);
        }
    }

    /**
     * For paths of all rows.
     *
     * @param dx overwritten
     */
    public void timesTransposed(INDArray dz, INDArray dx) {
        matrix.timesTransposed(dz, dx);
        for (Route path : paths) {
            INDArray v = slim.of(dz.dataType(), dz.size(0), path.a().size(1));
            Blas.gemm(dz, path.b(), v, false, true, 1, 0);
            Blas.gemm(v, path.a(), dx, false, true, path.factor(), 1);
        }
    }

    /**
     * The one path's part in {@link SlimGradients}.
     *
     * @param dA null if A does not train
     * @param dB null if B does not train
     */
    public SlimGradients.Part gradients(INDArray x, @Nullable INDArray dA, @Nullable INDArray dB) {
        return new SlimGradients.Part(paths.get(0), x, dA, dB);
    }

    /**
     * The gradients of the one path for columns of M = W + s·A·B that are no product's, to be called after
     * {@link SlimGradients}.
     *
     * @param special dL/dM of the last columns, {@code [nIn, count]}
     * @param dA      added to; null if A does not train
     * @param dB      overwritten in these columns; null if B does not train
     */
    public void specialGradients(INDArray special, @Nullable INDArray dA, @Nullable INDArray dB) {
        Route path = paths.get(0);
        INDArray b = path.b();
        long from = b.size(1) - special.size(1);
        if (dB != null) {
            Blas.gemm(path.a(), special, Views.part(dB, 1, from, dB.size(1)), true, false, path.factor(), 0);
        }
        if (dA != null) {
            Blas.gemm(special, Views.part(b, 1, from, b.size(1)), dA, false, true, path.factor(), 1);
        }
    }

    /**
     * Columns of M = W + s·A·B that are no product's, one array each.
     *
     * @param from the first of them
     * @param rows that paths may be for
     * @return {@code [columns][rows · nIn]}
     */
    public double[][] special(long from, int rows) {
        INDArray frozen = Views.part(matrix.lent(), 1, from, matrix.columns()).dup('f');
        double[][] special = new double[(int) frozen.size(1)][];
        for (int column = 0; column < special.length; column++) {
            double[] one = frozen.getColumn(column).toDoubleVector();
            special[column] = new double[rows * one.length];
            for (int row = 0; row < rows; row++) {
                System.arraycopy(one, 0, special[column], row * one.length, one.length);
            }
        }
        for (Route path : paths) {
            INDArray share = Blas.gemm(path.a(), Views.part(path.b(), 1, from, path.b().size(1)), frozen, false, false,
                    path.factor(), 0);
            for (int column = 0; column < special.length; column++) {
                double[] one = share.getColumn(column).toDoubleVector();
                for (int at = (int) path.from() * one.length; at < path.to() * one.length; at++) {
                    special[column][at] += one[at % one.length];
                }
            }
        }
        return special;
    }
}
