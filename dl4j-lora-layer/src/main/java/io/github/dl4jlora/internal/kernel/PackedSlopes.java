package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An activation whose backward pass needs only its slopes. It can keep them in half the memory of its input: two slopes in one
 * value of {@link DataType#INT}.
 */
public interface PackedSlopes {

    /** Whether it can do so for arrays of this type that have no gaps. */
    boolean packs(DataType type);

    /**
     * @param z      overwritten with y = activation(z)
     * @param slopes written to: dy/dz, {@code [(length of z + 1) / 2]}
     */
    void activate(INDArray z, INDArray slopes);

    /**
     * @param epsilon dL/dy
     * @param delta   written to: dL/dz, of epsilon's shape and order
     */
    void backprop(INDArray slopes, INDArray epsilon, INDArray delta);
}
