package io.github.dl4jlora.internal.kernel;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An activation whose backward pass needs nothing but its slopes, which it can keep in half the memory that its input takes: two
 * to a value of {@link DataType#INT}.
 */
public interface PackedSlopes {

    /** Whether it can for arrays of a type, without gaps. */
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
