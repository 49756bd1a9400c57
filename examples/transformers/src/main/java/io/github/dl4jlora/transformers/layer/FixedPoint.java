package io.github.dl4jlora.transformers.layer;

/**
 * Numbers between -1/2 and 3/2, exclusive, in 16 bits, rounded to the nearest multiple of 2⁻¹⁵, two to an int, in loops that
 * HotSpot vectorises. A bias is added to a float, so that this multiple is in the low bits of the sum.
 */
final class FixedPoint {

    /** The sum is above 256 and below 512, where a float's last bit is worth 2⁻¹⁵. */
    private static final float BIAS = 383.5f;
    /** The bits of the biased middle of the range. */
    private static final int BITS = Float.floatToRawIntBits(384);
    private static final int LOW = 0xffff;

    private FixedPoint() {
    }

    static void bias(float[] x, int length) {
        for (int i = 0; i < length; i++) {
            x[i] += BIAS;
        }
    }

    static void unbias(float[] x, int length) {
        for (int i = 0; i < length; i++) {
            x[i] -= BIAS;
        }
    }

    /**
     * Packs the bits of biased numbers, those of the second half above those of the first, to the front of the array.
     *
     * @return how many ints they are
     */
    static int pack(int[] biased, int length) {
        int half = length / 2;
        int rest = length - half;
        for (int i = 0; i < half; i++) {
            biased[i] = biased[i] & LOW | biased[rest + i] << 16;
        }
        return rest;
    }

    /** The bits of biased numbers. */
    static void unpack(int[] pairs, int[] biased, int length) {
        int half = length / 2;
        int rest = length - half;
        for (int i = 0; i < rest; i++) {
            biased[i] = (pairs[i] << 16 >> 16) + BITS;
        }
        for (int i = 0; i < half; i++) {
            biased[rest + i] = (pairs[i] >> 16) + BITS;
        }
    }
}
