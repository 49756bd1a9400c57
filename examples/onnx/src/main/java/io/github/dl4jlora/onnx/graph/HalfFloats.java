package io.github.dl4jlora.onnx.graph;

/** Floats in two bytes, rounded to the nearest, ties to even. */
final class HalfFloats {

    /** From here on FLOAT16 rounds to infinity. */
    private static final float TOO_LARGE = 65520;
    private static final float SMALLEST_NORMAL = 0x1p-14f;
    private static final int DROPPED = 13;

    private HalfFloats() {
    }

    /**
     * IEEE 754's binary16.
     *
     * @param name for the message
     * @throws IllegalArgumentException if it is too large
     */
    static short half(String name, float value) {
        float magnitude = Math.abs(value);
        if (magnitude >= TOO_LARGE) {
            throw new IllegalArgumentException("Weight \"" + name + "\" holds " + value + ", which FLOAT16 does not reach; "
                    + "nothing was written. Use WeightType.BF16 or FLOAT");
        }
        int sign = Float.floatToRawIntBits(value) >>> 16 & 0x8000;
        if (magnitude < SMALLEST_NORMAL) {
            // Counted in the smallest step that there is.
            return (short) (sign | (int) Math.rint(magnitude * 0x1p24f));
        }
        int bits = Float.floatToRawIntBits(magnitude) - (127 - 15 << 23);
        return (short) (sign | rounded(bits, DROPPED));
    }

    /** The upper half of a FLOAT. */
    static short bfloat(float value) {
        int bits = Float.floatToRawIntBits(value);
        int rounded = rounded(bits & Integer.MAX_VALUE, 16);
        // The largest floats would become infinite.
        return (short) (bits >>> 16 & 0x8000 | Math.min(rounded, 0x7F7F));
    }

    private static int rounded(int bits, int dropped) {
        return bits + (1 << dropped - 1) - 1 + (bits >>> dropped & 1) >>> dropped;
    }
}
