package io.github.dl4jlora.internal.quantized;

import org.bytedeco.javacpp.BytePointer;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * One row times lines of NF4, without giving values back: a table has what the row makes of each pair of codes in a byte, so
 * that a byte of a line costs one addition. Tables of 16 bytes fit the first-level cache, and are made for many lines at a
 * time.
 *
 * <pre>
 * z[line] = Σ over blocks of magnitude[line, block] · Σ over bytes of table[byte, line's byte]
 * </pre>
 */
final class NormalFloatRow {

    private static final int LINES = 2048;
    /** Bytes of codes that go through Java's heap at a time. */
    private static final int MOST_BYTES = 1 << 24;
    private static final int BYTES = 16;
    private static final int ENTRIES = 256;
    private static final int BYTE = 0xff;

    private static final ThreadLocal<NormalFloatRow> OF_THREAD = ThreadLocal.withInitial(NormalFloatRow::new);

    private final float[] table = new float[BYTES * ENTRIES];
    private final float[] means = new float[LINES];
    private final float[] deviations = new float[LINES];
    private final float[] magnitudes = new float[LINES];
    private byte[] codes = new byte[0];
    private byte[] scales = new byte[0];

    private NormalFloatRow() {
    }

    static NormalFloatRow ofThread() {
        return OF_THREAD.get();
    }

    /**
     * @param x      {@code length} values
     * @param codes  of all lines, at the first of them
     * @param scales likewise
     * @param z      {@code lines} values, overwritten
     */
    void times(float[] x, int length, BytePointer codes, BytePointer scales, int lines, float[] z) {
        NormalFloatCodec form = new NormalFloatCodec();
        int codeBytes = (int) form.codeBytes(length);
        int scaleBytes = (int) form.scaleBytes(length);
        float[] row = new float[(length + NormalFloatCodec.BLOCK - 1) / NormalFloatCodec.BLOCK * NormalFloatCodec.BLOCK];
        System.arraycopy(x, 0, row, 0, length);
        Arrays.fill(z, 0, lines, 0);
        int most = Math.min(LINES, Math.max(1, MOST_BYTES / codeBytes));
        for (int from = 0; from < lines; from += most) {
            int count = Math.min(most, lines - from);
            this.codes = read(codes, (long) from * codeBytes, count * codeBytes, this.codes);
            this.scales = read(scales, (long) from * scaleBytes, count * scaleBytes, this.scales);
            for (int at = 0; at < length; at += NormalFloatCodec.BLOCK) {
                magnitudes(at / NormalFloatCodec.BLOCK, scaleBytes, count);
                for (int part = at; part < Math.min(length, at + NormalFloatCodec.BLOCK); part += 2 * BYTES) {
                    tabulate(row, part);
                    add(codeBytes, part / 2, count, z, from);
                }
            }
        }
    }

    /** The last bytes that are looked up may be beyond the last line, where the row is zero. */
    private static byte[] read(BytePointer memory, long at, int bytes, byte[] room) {
        byte[] to = room.length < bytes + BYTES ? new byte[bytes + BYTES] : room;
        new BytePointer(memory).position(memory.position() + at).get(to, 0, bytes);
        return to;
    }

    private void magnitudes(int block, int scaleBytes, int lines) {
        if (block % NormalFloatCodec.GROUP == 0) {
            ByteBuffer numbers = ByteBuffer.wrap(scales).order(ByteOrder.LITTLE_ENDIAN);
            NormalFloatCodec.groupNumbers(numbers, scaleBytes, block, false, lines, means);
            NormalFloatCodec.groupNumbers(numbers, scaleBytes, block, true, lines, deviations);
        }
        NormalFloatCodec.magnitudes(means, deviations, scales, scaleBytes, block, lines, magnitudes);
    }

    private void tabulate(float[] row, int from) {
        for (int i = 0; i < BYTES; i++) {
            NormalFloatCodec.tabulate(row[from + 2 * i], row[from + 2 * i + 1], table, i * ENTRIES);
        }
    }

    /** Written out, since HotSpot compiles it better than a loop: it takes half the time. */
    private void add(int codeBytes, int from, int lines, float[] z, int to) {
        float[] t = table;
        byte[] c = codes;
        for (int line = 0; line < lines; line++) {
            int k = line * codeBytes + from;
            float p = t[c[k] & BYTE] + t[4 * 256 + (c[k + 4] & BYTE)] + t[8 * 256 + (c[k + 8] & BYTE)]
                    + t[12 * 256 + (c[k + 12] & BYTE)];
            float q = t[256 + (c[k + 1] & BYTE)] + t[5 * 256 + (c[k + 5] & BYTE)] + t[9 * 256 + (c[k + 9] & BYTE)]
                    + t[13 * 256 + (c[k + 13] & BYTE)];
            float r = t[2 * 256 + (c[k + 2] & BYTE)] + t[6 * 256 + (c[k + 6] & BYTE)] + t[10 * 256 + (c[k + 10] & BYTE)]
                    + t[14 * 256 + (c[k + 14] & BYTE)];
            float s = t[3 * 256 + (c[k + 3] & BYTE)] + t[7 * 256 + (c[k + 7] & BYTE)] + t[11 * 256 + (c[k + 11] & BYTE)]
                    + t[15 * 256 + (c[k + 15] & BYTE)];
            z[to + line] += ((p + q) + (r + s)) * magnitudes[line];
        }
    }
}
