package io.github.dl4jlora.internal.quantized;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/** One code of eight bits for each value, -127 to 127; the scale is one float: the largest magnitude over 127. */
final class Int8Codec implements LineCodec {

    private static final int LARGEST = 127;
    /** The largest scale with which the value of the largest code is still finite. */
    private static final float LARGEST_SCALE = Math.nextDown(Float.MAX_VALUE / LARGEST);

    @Override
    public long codeBytes(long length) {
        return length;
    }

    @Override
    public long scaleBytes(long length) {
        return Float.BYTES;
    }

    @Override
    public void store(float[] line, byte[] codes, ByteBuffer scales) {
        float largest = 0;
        for (float value : line) {
            largest = Math.max(largest, Math.abs(value));
        }
        float scale = Math.min(largest / LARGEST, LARGEST_SCALE);
        scales.putFloat(0, scale);
        for (int i = 0; i < line.length; i++) {
            // For the smallest magnitudes that floats have, the scale is zero or imprecise.
            float ratio = scale == 0 ? 0 : Math.max(-LARGEST, Math.min(LARGEST, line[i] / scale));
            codes[i] = (byte) Math.rint(ratio);
        }
    }

    @Override
    public void restore(byte[] codes, int codesAt, ByteBuffer scales, int scalesAt, float[] to, int at, int length) {
        float scale = scales.getFloat(scalesAt);
        for (int i = 0; i < length; i++) {
            to[at + i] = codes[codesAt + i] * scale;
        }
    }

    @Override
    public @Nullable String fault(ByteBuffer scales, int at, int length) {
        return LineCodec.fault("scale", scales.getFloat(at));
    }
}
