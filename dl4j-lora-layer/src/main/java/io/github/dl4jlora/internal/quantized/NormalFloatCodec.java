package io.github.dl4jlora.internal.quantized;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Four bits for each value: the nearest of 16, times the largest magnitude of its block of 64. The first of two values that
 * share a byte has the lower half.
 *
 * <pre>
 * codes    (length + 1) / 2 bytes
 * scales   for each group of 256 blocks, the last ones may be short:
 *          mean       float   of the blocks' magnitudes
 *          deviation  float   the largest magnitude of what is left without the mean
 *          a byte for each block: its magnitude is mean + deviation · {@link SmallFloat}
 * </pre>
 */
final class NormalFloatCodec implements LineCodec {

    /** Values of a block. */
    static final int BLOCK = 64;
    /** Blocks of a group. */
    static final int GROUP = 256;

    private static final int HEAD = 2 * Float.BYTES;
    private static final int HALF = 4;
    private static final int MASK = 15;
    private static final int BYTE = 0xff;

    /** Quantiles of the normal distribution, with zero exactly, as published with QLoRA and in bitsandbytes. */
    private static final float[] VALUES = {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
        -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
        0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};
    private static final byte ZERO = 7;

    /** The number of equal parts of -1 to 1, so narrow that none has more than one bound between two codes. */
    private static final int PARTS = 32;
    private static final float[] BOUNDS = bounds();
    private static final byte[] FIRST = firstOfParts();

    private static final float[] LOW = ofBytes(0);
    private static final float[] HIGH = ofBytes(HALF);

    /** The value of a code at full magnitude. */
    static float value(int code) {
        return VALUES[code];
    }

    private static float[] bounds() {
        float[] bounds = new float[VALUES.length];
        for (int i = 0; i + 1 < VALUES.length; i++) {
            bounds[i] = (VALUES[i] + VALUES[i + 1]) / 2;
        }
        bounds[VALUES.length - 1] = Float.POSITIVE_INFINITY;
        return bounds;
    }

    private static byte[] firstOfParts() {
        byte[] first = new byte[PARTS + 1];
        for (int part = 0; part <= PARTS; part++) {
            float from = part * 2f / PARTS - 1;
            while (from > BOUNDS[first[part]]) {
                first[part]++;
            }
        }
        return first;
    }

    private static float[] ofBytes(int shift) {
        float[] values = new float[1 << Byte.SIZE];
        for (int i = 0; i < values.length; i++) {
            values[i] = VALUES[i >> shift & MASK];
        }
        return values;
    }

    /** The code of the nearest of the 16 values; of two equally near, the lower. */
    static int nearest(float ratio) {
        float within = Math.max(-1, Math.min(1, ratio));
        int code = FIRST[(int) ((within + 1) * (PARTS / 2))];
        return within > BOUNDS[code] ? code + 1 : code;
    }

    private static int blocks(long length) {
        return (int) ((length + BLOCK - 1) / BLOCK);
    }

    @Override
    public long codeBytes(long length) {
        return (length + 1) / 2;
    }

    @Override
    public long scaleBytes(long length) {
        long blocks = blocks(length);
        return blocks + HEAD * ((blocks + GROUP - 1) / GROUP);
    }

    /** Where a block's group begins within the scales of a line. */
    private static int group(int block) {
        return block / GROUP * (HEAD + GROUP);
    }

    /** The magnitude of a block as it is given back: neither below zero nor infinite, whatever the scales. */
    private static float magnitude(float mean, float deviation, byte code) {
        float magnitude = mean + deviation * SmallFloat.value(code);
        return magnitude > 0 ? magnitude < Float.MAX_VALUE ? magnitude : Float.MAX_VALUE : 0;
    }

    private static float magnitude(ByteBuffer scales, int at, int block) {
        int group = at + group(block);
        return magnitude(scales.getFloat(group), scales.getFloat(group + Float.BYTES),
                scales.get(group + HEAD + block % GROUP));
    }

    /** The means of a block's group in several lines; with {@code second}, the deviations. */
    static void groupNumbers(ByteBuffer scales, int each, int block, boolean second, int lines, float[] to) {
        int at = group(block) + (second ? Float.BYTES : 0);
        for (int line = 0; line < lines; line++) {
            to[line] = scales.getFloat(line * each + at);
        }
    }

    /**
     * The magnitudes of one block of several lines.
     *
     * @param scales of the lines, one after the other
     * @param each   bytes of the scales of a line
     */
    static void magnitudes(float[] means, float[] deviations, byte[] scales, int each, int block, int lines, float[] to) {
        int at = group(block) + HEAD + block % GROUP;
        for (int line = 0; line < lines; line++) {
            to[line] = magnitude(means[line], deviations[line], scales[line * each + at]);
        }
    }

    /** The sum of two values, each times the value of its code, for each of the 256 pairs of codes. */
    static void tabulate(float first, float second, float[] to, int at) {
        for (int i = 0; i < LOW.length; i++) {
            to[at + i] = first * LOW[i] + second * HIGH[i];
        }
    }

    @Override
    public void store(float[] line, byte[] codes, ByteBuffer scales) {
        float[] magnitudes = new float[blocks(line.length)];
        for (int i = 0; i < line.length; i++) {
            magnitudes[i / BLOCK] = Math.max(magnitudes[i / BLOCK], Math.abs(line[i]));
        }
        for (int block = 0; block < magnitudes.length; block += GROUP) {
            storeGroup(magnitudes, block, Math.min(magnitudes.length, block + GROUP), scales);
        }
        Arrays.fill(codes, (byte) 0);
        for (int block = 0; block < magnitudes.length; block++) {
            float magnitude = magnitude(scales, 0, block);
            for (int i = block * BLOCK; i < Math.min(line.length, (block + 1) * BLOCK); i++) {
                int code = magnitude == 0 ? ZERO : nearest(line[i] / magnitude);
                codes[i / 2] |= (byte) (code << i % 2 * HALF);
            }
        }
    }

    private static void storeGroup(float[] magnitudes, int from, int to, ByteBuffer scales) {
        double sum = 0;
        for (int block = from; block < to; block++) {
            sum += magnitudes[block];
        }
        float mean = (float) (sum / (to - from));
        float deviation = 0;
        for (int block = from; block < to; block++) {
            deviation = Math.max(deviation, Math.abs(magnitudes[block] - mean));
        }
        int at = group(from);
        scales.putFloat(at, mean);
        scales.putFloat(at + Float.BYTES, deviation);
        for (int block = from; block < to; block++) {
            float ratio = deviation == 0 ? 0 : (magnitudes[block] - mean) / deviation;
            scales.put(at + HEAD + block - from, SmallFloat.nearest(ratio));
        }
    }

    @Override
    public void restore(byte[] codes, int codesAt, ByteBuffer scales, int scalesAt, float[] to, int at, int length) {
        for (int block = 0; block < blocks(length); block += GROUP) {
            int group = scalesAt + group(block);
            float mean = scales.getFloat(group);
            float deviation = scales.getFloat(group + Float.BYTES);
            int end = Math.min(blocks(length), block + GROUP);
            for (int b = block; b < end; b++) {
                float magnitude = magnitude(mean, deviation, scales.get(group + HEAD + b - block));
                int from = b * BLOCK;
                int count = length - from;
                if (count >= BLOCK) {
                    restoreBlock(codes, codesAt + from / 2, magnitude, to, at + from);
                } else {
                    restoreBytes(codes, codesAt + from / 2, count / 2, magnitude, to, at + from);
                    if (count % 2 != 0) {
                        to[at + length - 1] = LOW[codes[codesAt + length / 2] & BYTE] * magnitude;
                    }
                }
            }
        }
    }

    /** The values of {@code count} bytes. */
    private static void restoreBytes(byte[] codes, int codesAt, int count, float magnitude, float[] to, int at) {
        for (int i = 0; i < count; i++) {
            int two = codes[codesAt + i] & BYTE;
            to[at + 2 * i] = LOW[two] * magnitude;
            to[at + 2 * i + 1] = HIGH[two] * magnitude;
        }
    }

    /** HotSpot makes faster code for a known length. */
    private static void restoreBlock(byte[] codes, int codesAt, float magnitude, float[] to, int at) {
        restoreBytes(codes, codesAt, BLOCK / 2, magnitude, to, at);
    }

    @Override
    public @Nullable String fault(ByteBuffer scales, int at, int length) {
        for (int block = 0; block < blocks(length); block += GROUP) {
            String fault = LineCodec.fault("mean", scales.getFloat(at + group(block)));
            if (fault == null) {
                fault = LineCodec.fault("deviation", scales.getFloat(at + group(block) + Float.BYTES));
            }
            if (fault != null) {
                return fault;
            }
        }
        return null;
    }
}
