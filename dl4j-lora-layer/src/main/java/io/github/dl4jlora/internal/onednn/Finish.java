package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.stream.Stream;

/**
 * What becomes of a result z, channel by channel: z + shift and, if it rectifies, zero where that is below zero. NaN stays, and
 * -∞ may become NaN.
 *
 * @param shift {@code [channels]}, or a row; null for 0
 */
public record Finish(@Nullable INDArray shift, boolean rectifies) {

    /** z stays as it is. */
    public static final Finish NOTHING = new Finish(null, false);

    /** Which parts there are, as a number. */
    long parts() {
        return (shift != null ? 1 : 0) + (rectifies ? 2 : 0);
    }

    /** Whether oneDNN can read the shift where it is. */
    boolean isReadable(long channels) {
        return shift == null || isReadable(shift, channels);
    }

    /** Whether oneDNN can read numbers of channels where they are. */
    static boolean isReadable(INDArray array, long channels) {
        return array.dataType() == DataType.FLOAT && array.length() == channels && Lie.isPlain(array) && HostMemory.holds(array);
    }

    /** Addresses, followed by that of the shift if there is one. */
    Pointer[] operands(Pointer... addresses) {
        return shift == null ? addresses
                : Stream.concat(Arrays.stream(addresses), Stream.of(shift.data().addressPointer())).toArray(Pointer[]::new);
    }
}
