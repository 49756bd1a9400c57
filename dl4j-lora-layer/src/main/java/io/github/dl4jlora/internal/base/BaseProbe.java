package io.github.dl4jlora.internal.base;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Random;

/**
 * A few values of a layer's frozen weights, remembered to find out cheaply that the base has moved: {@value #SAMPLES} reads
 * per look, a few microseconds, against milliseconds for hashing all of them.
 *
 * <p>The places are spread over the whole array, one drawn from each of as many equal parts, the same for arrays of one
 * length. What it cannot see: a change that spares all these places. Training in full moves nearly every value, {@code
 * setParams} most; but an embedding moves only in the rows of words that occurred, a single {@code putScalar} in one place,
 * and a weight whose gradient was exactly zero (a dead ReLU's) not at all. Merge, unload, save and adapter export hash
 * everything and see these too.
 */
final class BaseProbe {

    /** How many values are remembered, at most. */
    static final int SAMPLES = 16;

    private final INDArray values;
    private final long[] places;
    private final long[] bits;

    /**
     * @param values flat; read now and at each look
     */
    BaseProbe(INDArray values) {
        this.values = values;
        this.places = places(values.length());
        this.bits = new long[places.length];
        for (int i = 0; i < places.length; i++) {
            bits[i] = bits(places[i]);
        }
    }

    private static long[] places(long length) {
        int parts = (int) Math.min(SAMPLES, length);
        Random random = new Random(length);
        long[] places = new long[parts];
        for (int i = 0; i < parts; i++) {
            long from = i * length / parts;
            long to = (i + 1) * length / parts;
            places[i] = from + (long) (random.nextDouble() * (to - from));
        }
        return places;
    }

    private long bits(long place) {
        // Bits, so that a NaN in a base equals itself.
        return Double.doubleToRawLongBits(values.getDouble(place));
    }

    /** Whether the remembered values are what they were; the array must not be closed. */
    boolean isUnmoved() {
        for (int i = 0; i < places.length; i++) {
            if (bits(places[i]) != bits[i]) {
                return false;
            }
        }
        return true;
    }
}
