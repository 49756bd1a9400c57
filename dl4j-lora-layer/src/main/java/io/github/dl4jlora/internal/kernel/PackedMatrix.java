package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Products;
import io.github.dl4jlora.internal.onednn.Weights;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.function.BooleanSupplier;

/** A frozen matrix whose products and convolutions use packed copies, where oneDNN has them. */
public final class PackedMatrix implements FrozenMatrix {

    private final FrozenMatrix unpacked;
    private final BooleanSupplier isOn;
    private final PackedCopies copies;

    /**
     * @param isOn   whether to use the copies; asked again and again
     * @param copies of the matrix
     */
    public PackedMatrix(FrozenMatrix unpacked, BooleanSupplier isOn, PackedCopies copies) {
        this.unpacked = unpacked;
        this.isOn = isOn;
        this.copies = copies;
    }

    @Override
    public @Nullable PackedCopies copies() {
        return isOn.getAsBoolean() && OneDnn.isUsed() ? copies : null;
    }

    private @Nullable Weights packed(boolean transposed) {
        PackedCopies here = copies();
        return here == null ? null : here.of(transposed, () -> unpacked.weights(transposed));
    }

    @Override
    public long rows() {
        return unpacked.rows();
    }

    @Override
    public long columns() {
        return unpacked.columns();
    }

    @Override
    public void times(INDArray x, INDArray z) {
        if (!multiply(x, false, z)) {
            unpacked.times(x, z);
        }
    }

    @Override
    public void timesTransposed(INDArray dz, INDArray dx) {
        if (!multiply(dz, true, dx)) {
            unpacked.timesTransposed(dz, dx);
        }
    }

    private boolean multiply(INDArray from, boolean transposed, INDArray to) {
        Weights packed = packed(transposed);
        boolean done = packed != null && Products.multiply(from, packed, to);
        // Making a copy reads the matrix where it lies.
        Reference.reachabilityFence(unpacked);
        return done;
    }

    @Override
    public char resultOrder(long m, boolean transposed) {
        return packed(transposed) != null ? 'c' : unpacked.resultOrder(m, transposed);
    }

    @Override
    public void pull(int[] words, INDArray to) {
        unpacked.pull(words, to);
    }

    @Override
    public FrozenMatrix forManyProducts(long m, boolean transposed) {
        return packed(transposed) != null ? this : unpacked.forManyProducts(m, transposed);
    }

    /** Without copies. */
    @Override
    public FrozenMatrix transposed() {
        return unpacked.transposed();
    }

    @Override
    public @Nullable Weights weights(boolean transposed) {
        return unpacked.weights(transposed);
    }

    @Override
    public Weights.Type multipliedAs() {
        return unpacked.multipliedAs();
    }

    @Override
    public INDArray lent() {
        return unpacked.lent();
    }
}
