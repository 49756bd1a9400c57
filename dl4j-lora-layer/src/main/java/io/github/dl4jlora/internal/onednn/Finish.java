package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * What becomes of a result z, channel by channel: scale · z + shift and, if it rectifies, zero where that is below zero. NaN
 * stays, and -∞ may become NaN.
 *
 * @param scale {@code [channels]}, or a row; null for 1
 * @param shift {@code [channels]}, or a row; null for 0
 */
public record Finish(@Nullable INDArray scale, @Nullable INDArray shift, boolean rectifies) {

    /** z stays as it is. */
    public static final Finish NOTHING = new Finish(null, null, false);

    /** z plus a bias, if there is one. */
    public static Finish biased(@Nullable INDArray bias, boolean rectifies) {
        return new Finish(null, bias, rectifies);
    }

    boolean isNothing() {
        return scale == null && shift == null && !rectifies;
    }

    /** Which parts there are, as a number. */
    long parts() {
        return (scale != null ? 1 : 0) + (shift != null ? 2 : 0) + (rectifies ? 4 : 0);
    }

    /** Whether oneDNN can read scale and shift where they are. */
    boolean isReadable(long channels) {
        return arrays().allMatch(array -> array.dataType() == DataType.FLOAT && array.length() == channels && Lie.isPlain(array)
                && HostMemory.holds(array));
    }

    /** Addresses, followed by those of scale and shift as far as there are any. */
    Pointer[] operands(Pointer... addresses) {
        return Stream.concat(Arrays.stream(addresses), arrays().map(array -> array.data().addressPointer()))
                .toArray(Pointer[]::new);
    }

    private Stream<INDArray> arrays() {
        return Stream.of(scale, shift).filter(Objects::nonNull).map(Objects::requireNonNull);
    }
}
