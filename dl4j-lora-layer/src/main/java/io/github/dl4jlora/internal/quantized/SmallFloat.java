package io.github.dl4jlora.internal.quantized;

/**
 * Numbers from -1 to 1 in a byte: a sign, four bits of exponent and three of fraction.
 *
 * <pre>
 * exponent e &gt; 0   ±(1 + fraction / 8) · 2^(e - 15)
 * exponent 0      ±fraction / 8 · 2^-14
 * </pre>
 */
final class SmallFloat {

    private static final int SIGN = 0x80;
    private static final int FRACTION = 3;
    private static final int BIAS = 15;
    private static final int FLOAT_BIAS = 127;
    private static final int FLOAT_FRACTION = 23;

    private static final float[] VALUES = values();

    private SmallFloat() {
    }

    private static float[] values() {
        float[] values = new float[2 * SIGN];
        for (int code = 0; code < SIGN; code++) {
            int exponent = code >> FRACTION;
            int fraction = code & (1 << FRACTION) - 1;
            int whole = exponent == 0 ? fraction : fraction + (1 << FRACTION);
            values[code] = Math.scalb((float) whole, Math.max(1, exponent) - BIAS - FRACTION);
            values[code + SIGN] = -values[code];
        }
        return values;
    }

    static float value(byte code) {
        return VALUES[code & 0xff];
    }

    /** The nearest of these numbers; of two equally near, that of larger magnitude. */
    static byte nearest(float ratio) {
        float magnitude = Math.min(1, Math.abs(ratio));
        int code;
        if (magnitude < Math.scalb(1f, 1 - BIAS)) {
            code = Math.round(Math.scalb(magnitude, BIAS - 1 + FRACTION));
        } else {
            int dropped = FLOAT_FRACTION - FRACTION;
            code = (Float.floatToIntBits(magnitude) + (1 << dropped - 1) >> dropped) - (FLOAT_BIAS - BIAS << FRACTION);
        }
        return (byte) (ratio < 0 ? code | SIGN : code);
    }
}
