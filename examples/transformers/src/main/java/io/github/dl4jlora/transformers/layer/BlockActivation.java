package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.FastExp;
import io.github.dl4jlora.internal.kernel.PackedSlopes;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.BaseActivationFunction;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * An activation that is computed element by element: in FLOAT on the CPU by loops over blocks that fit the first-level cache,
 * elsewhere by ND4J's operations. Works in place, as DL4J's activations do. All instances of one class are equal.
 */
abstract class BlockActivation extends BaseActivationFunction implements PackedSlopes {

    private static final long serialVersionUID = 1L;

    private static final float FAR = 10;

    /** {@return the factor of x, of x's shape, by ND4J's operations; x is not changed} */
    abstract INDArray factor(INDArray x);

    /** {@return dy/dx, of x's shape, by ND4J's operations; x is not changed} */
    abstract INDArray slope(INDArray x);

    /** Overwrites x with y. */
    abstract void activate(float[] x, int length);

    /** Overwrites x with y and slope, as long as x, with dy/dx. */
    abstract void activate(float[] x, float[] slope, int length);

    @Override
    public final INDArray getActivation(INDArray x, boolean training) {
        if (!HostFloats.reaches(x)) {
            return x.muli(factor(x));
        }
        HostFloats values = HostFloats.of(x);
        float[] block = new float[HostFloats.BLOCK];
        HostFloats.forEachBlock(x.length(), (from, length) -> {
            values.read(from, block, length);
            activate(block, length);
            values.write(from, block, length);
        });
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
        float[] slope = new float[HostFloats.BLOCK];
        HostFloats.forEachBlock(x.length(), (from, length) -> {
            values.read(from, block, length);
            activate(block, slope, length);
            errors.read(from, block, length);
            multiply(block, slope, length);
            values.write(from, block, length);
        });
        return new Pair<>(x, null);
    }

    @Override
    public final boolean packs(DataType type) {
        return HostFloats.reaches(type);
    }

    @Override
    public final void activate(INDArray z, INDArray slopes) {
        HostFloats values = HostFloats.of(z);
        HostFloats packed = HostFloats.of(slopes);
        float[] block = new float[HostFloats.BLOCK];
        float[] slope = new float[HostFloats.BLOCK];
        int[] fixed = new int[HostFloats.BLOCK];
        HostFloats.forEachBlock(z.length(), (from, length) -> {
            values.read(from, block, length);
            activate(block, slope, length);
            FixedPoint.bias(slope, length);
            // The values are written and read again as bits, since HotSpot does not vectorise conversions of floats to bits.
            values.write(from, slope, length);
            values.readBits(from, fixed, length);
            packed.writeBits(from / 2, fixed, FixedPoint.pack(fixed, length));
            values.write(from, block, length);
        });
    }

    @Override
    public final void backprop(INDArray slopes, INDArray epsilon, INDArray delta) {
        HostFloats packed = HostFloats.of(slopes);
        HostFloats errors = HostFloats.of(epsilon);
        HostFloats out = HostFloats.of(delta);
        float[] error = new float[HostFloats.BLOCK];
        float[] slope = new float[HostFloats.BLOCK];
        int[] pairs = new int[HostFloats.BLOCK / 2];
        int[] fixed = new int[HostFloats.BLOCK];
        HostFloats.forEachBlock(epsilon.length(), (from, length) -> {
            errors.read(from, error, length);
            packed.readBits(from / 2, pairs, (length + 1) / 2);
            FixedPoint.unpack(pairs, fixed, length);
            out.writeBits(from, fixed, length);
            out.read(from, slope, length);
            FixedPoint.unbias(slope, length);
            multiply(error, slope, length);
            out.write(from, error, length);
        });
    }

    /**
     * Limits x to the range outside of which either unit is x above and 0 below. There, {@link FastExp} stays at 1e-13, which a
     * factor x or x³ would make arbitrarily large.
     */
    static float bounded(float x) {
        return Math.max(Math.min(x, FAR), -FAR);
    }

    private static void multiply(float[] x, float[] by, int length) {
        for (int i = 0; i < length; i++) {
            x[i] *= by[i];
        }
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
