package io.github.dl4jlora.internal.quantized;

import io.github.dl4jlora.conf.Quantization;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;

/** What lines are stored as, computed by hand. */
class LineCodecTest {

    private static final float[] NF4 = {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
        -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
        0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

    private record Stored(byte[] codes, ByteBuffer scales) {

        static Stored of(Quantization scheme, float... line) {
            LineCodec lines = LineCodec.of(scheme);
            Stored stored = new Stored(new byte[(int) lines.codeBytes(line.length)],
                    ByteBuffer.allocate((int) lines.scaleBytes(line.length)).order(ByteOrder.LITTLE_ENDIAN));
            lines.store(line, stored.codes, stored.scales);
            return stored;
        }

        float[] restored(Quantization scheme, int length) {
            float[] line = new float[length];
            LineCodec.of(scheme).restore(codes, 0, scales, 0, line, 0, length);
            return line;
        }
    }

    @Test
    void bf16IsTheNearestUpperHalfAndOfTwoTheEven() {
        float[] line = floats(0x3f800000, 0x3f808000, 0x3f808001, 0x3f818000, 0x3f817fff, 0xbf808001, 0x3fffffff, 0x80000000,
                0x00000001, 0x00008001, 0x00018000, 0x7f7fffff, 0xff7f8000, 0x7f7f7fff);

        Stored stored = Stored.of(Quantization.BF16, line);

        assertThat(stored.scales.capacity()).isZero();
        assertThat(stored.codes).startsWith(0x80, 0x3f, 0x80, 0x3f, 0x81, 0x3f);
        assertThat(bits(stored.restored(Quantization.BF16, line.length))).containsExactly(0x3f800000, 0x3f800000, 0x3f810000,
                0x3f820000, 0x3f810000, 0xbf810000, 0x40000000, 0x80000000, 0, 0x00010000, 0x00020000, 0x7f7f0000, 0xff7f0000,
                0x7f7f0000);
    }

    @Test
    void bf16ChangesNormalNumbersByNoMoreThanThe256thPart() {
        for (int bits = 0x00800000; bits < 0x7f800000 && bits > 0; bits += 77_777) {
            float value = Float.intBitsToFloat(bits);

            float given = Stored.of(Quantization.BF16, value).restored(Quantization.BF16, 1)[0];

            assertThat(Math.abs((double) given - value)).as("%s", value).isLessThanOrEqualTo(value / 256.0);
        }
    }

    @Test
    void everyFiniteBf16IsGivenBackAsItIs() {
        for (int code = 0; code < 1 << Short.SIZE; code++) {
            float value = Float.intBitsToFloat(code << Short.SIZE);
            if (Float.isFinite(value)) {
                assertThat(bits(Stored.of(Quantization.BF16, value).restored(Quantization.BF16, 1)))
                        .containsExactly(code << Short.SIZE);
            }
        }
    }

    private static float[] floats(int... bits) {
        float[] values = new float[bits.length];
        for (int i = 0; i < bits.length; i++) {
            values[i] = Float.intBitsToFloat(bits[i]);
        }
        return values;
    }

    private static int[] bits(float... values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            bits[i] = Float.floatToRawIntBits(values[i]);
        }
        return bits;
    }

    @Test
    void int8IsTheNearestHundredTwentySeventhOfTheLargest() {
        Stored stored = Stored.of(Quantization.INT8, 0, 254, -254, 3.1f, -2.9f, 0.9f, -127);

        assertThat(stored.scales.getFloat(0)).isEqualTo(2);
        assertThat(stored.codes).containsExactly(0, 127, -127, 2, -1, 0, -64);
        assertThat(stored.restored(Quantization.INT8, 7)).containsExactly(0, 254, -254, 4, -2, 0, -128);
    }

    @Test
    void int8OfTheSmallestMagnitudesStaysWithinItsCodes() {
        for (float tiny : new float[] {Float.MIN_VALUE, 63 * Float.MIN_VALUE, 64 * Float.MIN_VALUE, 190 * Float.MIN_VALUE}) {
            Stored stored = Stored.of(Quantization.INT8, tiny, -tiny);

            assertThat(stored.codes[0]).isBetween((byte) 0, (byte) 127).isEqualTo((byte) -stored.codes[1]);
        }
    }

    @Test
    void nf4HasThePublishedValues() {
        for (int code = 0; code < NF4.length; code++) {
            assertThat(NormalFloatCodec.value(code)).isEqualTo(NF4[code]);
            assertThat(NormalFloatCodec.nearest(NF4[code])).isEqualTo(code);
        }
    }

    @Test
    void nf4CodesAreTheNearest() {
        for (int i = -20_000; i <= 20_000; i++) {
            float ratio = i / 19_900f;
            float nearest = NormalFloatCodec.value(NormalFloatCodec.nearest(ratio));
            for (float value : NF4) {
                assertThat(Math.abs(ratio - nearest)).as("%s", ratio).isLessThanOrEqualTo(Math.abs(ratio - value));
            }
        }
    }

    @Test
    void twoCodesOfNf4ShareAByteTheFirstInItsLowerHalf() {
        Stored stored = Stored.of(Quantization.NF4, 2, -2, 0, 0.34f, -1.4f);

        assertThat(stored.codes).containsExactly(0x0f, 9 << 4 | 7, 1);
        assertThat(stored.scales.getFloat(0)).as("mean").isEqualTo(2);
        assertThat(stored.scales.getFloat(4)).as("deviation").isZero();
        assertThat(stored.restored(Quantization.NF4, 5)).containsExactly(2, -2, 0, 2 * NF4[9], 2 * NF4[1]);
    }

    @Test
    void nf4QuantisesMagnitudesOfBlocksByWhatTheyDeviateFromTheirMean() {
        float[] line = new float[65 + 63 + 1];
        line[3] = -1;
        line[64] = 2;
        line[128] = 6;

        Stored stored = Stored.of(Quantization.NF4, line);

        // Magnitudes 1, 2, 6: mean 3, deviations -2, -1, 3; -2/3 is between 10/16 and 11/16, -1/3 between 10/32 and 11/32.
        assertThat(stored.scales.capacity()).isEqualTo(11);
        assertThat(stored.scales.getFloat(0)).isEqualTo(3);
        assertThat(stored.scales.getFloat(4)).isEqualTo(3);
        assertThat(stored.scales.get(8)).isEqualTo((byte) (0x80 | 14 << 3 | 3));
        assertThat(stored.scales.get(9)).isEqualTo((byte) (0x80 | 13 << 3 | 3));
        assertThat(stored.scales.get(10)).isEqualTo((byte) (15 << 3));
        float[] given = stored.restored(Quantization.NF4, line.length);
        assertThat(given[3]).isEqualTo(-(3 - 3 * 0.6875f));
        assertThat(given[64]).isEqualTo(3 - 3 * 0.34375f);
        assertThat(given[128]).isEqualTo(6);
        given[3] = 0;
        given[64] = 0;
        given[128] = 0;
        assertThat(given).containsOnly(0f);
    }

    @Test
    void nf4GroupsHave256BlocksAndNumbersOfTheirOwn() {
        float[] line = new float[64 * 256 + 1];
        Arrays.fill(line, 0, 64 * 256, 0.5f);
        line[64 * 256] = -100;

        Stored stored = Stored.of(Quantization.NF4, line);

        assertThat(stored.scales.capacity()).isEqualTo(8 + 256 + 8 + 1);
        assertThat(stored.scales.getFloat(0)).isEqualTo(0.5f);
        assertThat(stored.scales.getFloat(264)).isEqualTo(100);
        assertThat(stored.restored(Quantization.NF4, line.length)).isEqualTo(line);
    }

    @Test
    void smallFloatsAreTheNearestOfTheirKind() {
        for (int code = 0; code <= 15 << 3; code++) {
            assertThat(SmallFloat.nearest(SmallFloat.value((byte) code))).isEqualTo((byte) code);
        }
        assertThat(SmallFloat.value((byte) 1)).isEqualTo((float) Math.pow(2, -17));
        assertThat(SmallFloat.value((byte) (15 << 3))).isEqualTo(1);
        assertThat(SmallFloat.value((byte) (0x80 | 14 << 3 | 4))).isEqualTo(-0.75f);
        for (int i = -3000; i <= 3000; i++) {
            float ratio = (float) Math.pow(i / 3000.0, 5);
            float nearest = SmallFloat.value(SmallFloat.nearest(ratio));
            for (int code = 0; code < 256; code++) {
                assertThat(Math.abs(ratio - nearest)).isLessThanOrEqualTo(Math.abs(ratio - SmallFloat.value((byte) code)));
            }
        }
    }
}
