package io.github.dl4jlora.internal.recurrent;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The cell of DL4J's SimpleRnn: h = f(z). */
final class SimpleCell<V> implements Cell<V> {

    private final Vectors<V> vectors;
    private final Curve f;

    SimpleCell(Vectors<V> vectors, Curve f) {
        this.vectors = vectors;
        this.f = f;
    }

    @Override
    public int gates() {
        return 1;
    }

    @Override
    public void forward(List<V> z, V before, @Nullable V mask, V memory, V output) {
        V value = z.get(0);
        vectors.apply(f, value, value);
        vectors.apply(Curve.IDENTITY, value, output);
        if (mask != null) {
            vectors.multiply(output, mask, output);
        }
    }

    @Override
    public void startBackward() {
        // It has no memory.
    }

    @Override
    public void backward(List<V> z, V before, @Nullable V mask, V dOutput, List<V> dz) {
        vectors.multiplySlope(f, z.get(0), dOutput);
        vectors.apply(Curve.IDENTITY, dOutput, dz.get(0));
        if (mask != null) {
            vectors.multiply(dz.get(0), mask, dz.get(0));
        }
    }
}
