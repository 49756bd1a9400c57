package io.github.dl4jlora.internal.blas;

import io.github.dl4jlora.internal.common.Views;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * What replaces a layer's own adapter, for some rows of the layer's input:
 *
 * <pre>
 * z = c ⊙ (x·W + s·x·A·B) + b
 * </pre>
 *
 * @param from  first row
 * @param to    row after the last
 * @param slim  A and B
 * @param factor s
 * @param scale c {@code [1, nOut]}; null for ones
 * @param bias  {@code [1, nOut]}, in place of the layer's bias; null for the layer's own
 */
public record Route(long from, long to, SlimFactors slim, double factor, @Nullable INDArray scale, @Nullable INDArray bias) {

    /** A route that only adds. */
    public Route(long from, long to, INDArray a, INDArray b, double factor) {
        this(from, to, new SlimFactors(a, b), factor, null, null);
    }

    /** {@code [nIn, rank]}. */
    public INDArray a() {
        return slim.a();
    }

    /** {@code [rank, nOut]}. */
    public INDArray b() {
        return slim.b();
    }

    /** The same for other rows. */
    public Route over(long first, long end) {
        return new Route(first, end, slim, factor, scale, bias);
    }

    /** The same for an array with several rows for each of these. */
    public Route times(long rowsForEach) {
        return over(from * rowsForEach, to * rowsForEach);
    }

    /** A view of its rows of an array of any rank. */
    public INDArray rowsOf(INDArray array) {
        return Views.rows(array, from, to);
    }

    /** The same with another A and B, whose inputs or outputs are in another order. */
    public Route with(INDArray otherA, INDArray otherB) {
        return new Route(from, to, new SlimFactors(otherA, otherB), factor, scale, bias);
    }

    /** Whether both compute the same, by the identity of the objects they hold. */
    public boolean isSameAs(Route other) {
        return slim == other.slim && factor == other.factor && scale == other.scale && bias == other.bias;
    }
}
