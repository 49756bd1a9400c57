package io.github.dl4jlora.transformers.layer;

import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.BaseActivationFunction;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An activation that is computed element by element: in FLOAT on the CPU by loops over blocks that fit the first-level cache,
 * elsewhere by ND4J's operations. Works in place, as DL4J's activations do. All of one class are equal.
 */
abstract class BlockActivation extends BaseActivationFunction {

    private static final long serialVersionUID = 1L;

    /** {@return what x is to be multiplied by, of x's shape, by ND4J's operations; x stays as it is} */
    abstract INDArray factor(INDArray x);

    /** {@return dy/dx, of x's shape, by ND4J's operations; x stays as it is} */
    abstract INDArray slope(INDArray x);

    /** Overwrites x with y. */
    abstract void activate(float[] x, int length);

    /** Overwrites x with {@code error · dy/dx}; scratch is as long as they are. */
    abstract void differentiate(float[] x, float[] error, float[] scratch, int length);

    @Override
    public final INDArray getActivation(INDArray x, boolean training) {
        if (!HostFloats.reaches(x)) {
            return x.muli(factor(x));
        }
        HostFloats values = HostFloats.of(x);
        float[] block = new float[HostFloats.BLOCK];
        for (long i = 0; i < x.length(); i += block.length) {
            int length = (int) Math.min(block.length, x.length() - i);
            values.read(i, block, length);
            activate(block, length);
            values.write(i, block, length);
        }
        return x;
    }

    /** Overwrites x with dL/dx. */
    @Override
    public final Pair<INDArray, INDArray> backprop(INDArray x, INDArray epsilon) {
        assertShape(x, epsilon);
        if (!HostFloats.reaches(x, epsilon) || x.ordering() != epsilon.ordering()) {
            return new Pair<>(x.assign(slope(x).muli(epsilon)), null);
        }
        HostFloats values = HostFloats.of(x);
        HostFloats errors = HostFloats.of(epsilon);
        float[] block = new float[HostFloats.BLOCK];
        float[] error = new float[HostFloats.BLOCK];
        float[] scratch = new float[HostFloats.BLOCK];
        for (long i = 0; i < x.length(); i += block.length) {
            int length = (int) Math.min(block.length, x.length() - i);
            values.read(i, block, length);
            errors.read(i, error, length);
            differentiate(block, error, scratch, length);
            values.write(i, block, length);
        }
        return new Pair<>(x, null);
    }

    @Override
    public final boolean equals(Object other) {
        return other != null && other.getClass() == getClass();
    }

    @Override
    public final int hashCode() {
        return getClass().hashCode();
    }
}
