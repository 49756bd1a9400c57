package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Products;
import io.github.dl4jlora.internal.onednn.Weights;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.Reference;

/**
 * A matrix that is an array.
 *
 * @param w {@code [nIn, nOut]}, in either order
 */
public record PlainMatrix(INDArray w) implements FrozenMatrix {

    @Override
    public long rows() {
        return w.size(0);
    }

    @Override
    public long columns() {
        return w.size(1);
    }

    @Override
    public char resultOrder(long m, boolean transposed) {
        boolean byRows = w.stride(transposed ? 0 : 1) == 1;
        return w.dataType() == DataType.FLOAT && Products.gains(m, transposed ? rows() : columns(),
                transposed ? columns() : rows(), byRows) ? 'c' : FrozenMatrix.super.resultOrder(m, transposed);
    }

    @Override
    public void times(INDArray x, INDArray z) {
        if (!Products.multiply(x, w, false, z)) {
            Blas.gemm(x, w, z, false, false, 1, 0);
        }
    }

    @Override
    public void timesTransposed(INDArray dz, INDArray dx) {
        if (!Products.multiply(dz, w, true, dx)) {
            Blas.gemm(dz, w, dx, false, true, 1, 0);
        }
    }

    @Override
    public void pull(int[] words, INDArray to) {
        Nd4j.pullRows(w, to, 1, words);
    }

    @Override
    public FrozenMatrix forManyProducts(long m, boolean transposed) {
        Weights here = weights(transposed);
        PackedCopies packed = here == null ? null : PackedCopies.lent(here, transposed);
        Reference.reachabilityFence(w);
        return packed == null ? this : new PackedMatrix(this, () -> true, packed);
    }

    @Override
    public @Nullable Weights weights(boolean transposed) {
        return OneDnn.isUsed() ? Weights.of(w, transposed) : null;
    }

    @Override
    public FrozenMatrix transposed() {
        return new PlainMatrix(w.transpose());
    }

    @Override
    public Weights.Type multipliedAs() {
        return Weights.Type.FLOAT;
    }

    @Override
    public INDArray lent() {
        return w;
    }
}
