package io.github.dl4jlora.internal.quantized;

import org.jspecify.annotations.Nullable;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The upper 16 bits of each value's FLOAT, rounded to the nearest, of two equally near the even one; no scales. What would round
 * to infinity becomes the largest finite value.
 */
final class Bfloat16Codec implements LineCodec {

    private static final VarHandle SHORTS = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final int EXPONENT = 0x7f80;
    /** Just less than half of the last bit that stays. */
    private static final int ALMOST_HALF = 0x7fff;

    @Override
    public long codeBytes(long length) {
        return Math.multiplyExact(length, (long) Short.BYTES);
    }

    @Override
    public long scaleBytes(long length) {
        return 0;
    }

    /** The code of a finite value. */
    private static short nearest(float value) {
        int bits = Float.floatToRawIntBits(value);
        int code = bits + ALMOST_HALF + (bits >>> Short.SIZE & 1) >>> Short.SIZE;
        return (short) ((code & EXPONENT) == EXPONENT ? code - 1 : code);
    }

    @Override
    public void store(float[] line, byte[] codes, ByteBuffer scales) {
        for (int i = 0; i < line.length; i++) {
            SHORTS.set(codes, Short.BYTES * i, nearest(line[i]));
        }
    }

    @Override
    public void restore(byte[] codes, int codesAt, ByteBuffer scales, int scalesAt, float[] to, int at, int length) {
        for (int i = 0; i < length; i++) {
            to[at + i] = Float.intBitsToFloat((short) SHORTS.get(codes, codesAt + Short.BYTES * i) << Short.SIZE);
        }
    }

    @Override
    public @Nullable String fault(ByteBuffer scales, int at, int length) {
        return null;
    }
}
