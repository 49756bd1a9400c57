package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Products;
import io.github.dl4jlora.internal.onednn.Weights;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The frozen matrix W {@code [nIn, nOut]} of a layer, however it is stored, with the operations that running layers need.
 */
public interface FrozenMatrix {

    /** nIn. */
    long rows();

    /** nOut. */
    long columns();

    /**
     * z = x·W.
     *
     * @param x {@code [m, nIn]}, of the network's data type, in either order, not written to
     * @param z {@code [m, nOut]}, without gaps, overwritten
     */
    void times(INDArray x, INDArray z);

    /**
     * dx = dz·Wᵀ.
     *
     * @param dz {@code [m, nOut]}, not written to
     * @param dx {@code [m, nIn]}, without gaps, overwritten
     */
    void timesTransposed(INDArray dz, INDArray dx);

    /**
     * The order in memory of a result that is computed fastest.
     *
     * @param m          its rows
     * @param transposed whether it is that of {@link #timesTransposed}, otherwise that of {@link #times}
     */
    default char resultOrder(long m, boolean transposed) {
        return DenseArithmetic.resultOrder(m, transposed ? rows() : columns());
    }

    /**
     * Looks up rows of W.
     *
     * @param words indexes of rows, in range
     * @param to    {@code [words.length, nOut]}, 'c' order, overwritten: to's row i is W's row {@code words[i]}
     */
    void pull(int[] words, INDArray to);

    /**
     * The same for many products of so many rows one after the other: restored or packed, if that is faster. Then it is lent as
     * {@link #lent()} is.
     *
     * @param transposed whether they are those of {@link #timesTransposed}; only those are asked for then
     */
    FrozenMatrix forManyProducts(long m, boolean transposed);

    /** The transpose, a view. */
    FrozenMatrix transposed();

    /**
     * W, or Wᵀ, where it lies, as oneDNN's products take it; null if they need it as an array, or are not there. Whoever uses it
     * keeps this matrix reachable.
     */
    @Nullable Weights weights(boolean transposed);

    /** In what numbers products multiply by it here: FLOAT for an array, and for codes that are restored first. */
    Weights.Type multipliedAs();

    /** Whether products multiply by its codes, and round the other operand to bfloat16. */
    default boolean multipliesCodes() {
        return multipliedAs() != Weights.Type.FLOAT && Products.multipliesCodes(columns(), rows());
    }

    /** Copies that convolutions may make and use; null if they are to read the matrix where it lies. */
    default @Nullable PackedCopies copies() {
        return null;
    }

    /**
     * W as an array, lent to the calling thread until that thread's next call to any matrix; not to be written to.
     */
    INDArray lent();
}
