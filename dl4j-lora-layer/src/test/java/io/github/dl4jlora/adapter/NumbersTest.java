package io.github.dl4jlora.adapter;

import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

import static org.assertj.core.api.Assertions.assertThat;

/** Every bit pattern of the two 16-bit types, against their definitions. */
class NumbersTest {

    @Test
    void everyHalfIsReadAsIeee754Says() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            double sign = (bits & 0x8000) == 0 ? 1 : -1;
            int exponent = bits >> 10 & 31;
            int fraction = bits & 1023;
            double expected = exponent == 31 ? fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN
                    : exponent == 0 ? sign * fraction * Math.pow(2, -24)
                    : sign * (1 + fraction / 1024.0) * Math.pow(2, exponent - 15);
            assertThat(read(bits, DataType.HALF)).as("%04x", bits).isEqualTo(Double.valueOf(expected));
        }
    }

    @Test
    void everyBfloat16IsTheUpperHalfOfAFloat() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            assertThat(read(bits, DataType.BFLOAT16)).as("%04x", bits)
                    .isEqualTo(Double.valueOf(Float.intBitsToFloat(bits << 16)));
        }
    }

    @Test
    void everyFiniteHalfIsWrittenAsItWasRead() {
        writesWhatItReads(DataType.HALF, 0x7c00);
    }

    @Test
    void everyFiniteBfloat16IsWrittenAsItWasRead() {
        writesWhatItReads(DataType.BFLOAT16, 0x7f80);
    }

    private static void writesWhatItReads(DataType type, int infinity) {
        int[] patterns = java.util.stream.IntStream.range(0, 1 << 16).filter(bits -> (bits & 0x7fff) < infinity).toArray();
        double[] values = java.util.Arrays.stream(patterns).mapToDouble(bits -> read(bits, type)).toArray();
        INDArray array = Nd4j.create(values, new long[] {values.length}, DataType.DOUBLE).castTo(type);

        ByteBuffer written = ByteBuffer.wrap(Numbers.bytes(array)).order(ByteOrder.LITTLE_ENDIAN);

        double[] reread = new double[values.length];
        for (int i = 0; i < reread.length; i++) {
            reread[i] = Numbers.get(written, type);
        }
        // What ND4J itself keeps of subnormal numbers is its own affair; the bytes are what it holds.
        assertThat(reread).isEqualTo(array.castTo(DataType.DOUBLE).data().asDouble());
        assertThat(java.util.stream.IntStream.range(0, values.length).filter(i -> reread[i] != values[i])
                .allMatch(i -> Math.abs(values[i]) < 1e-4)).isTrue();
    }

    private static double read(int bits, DataType type) {
        return Numbers.get(ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN).putShort(0, (short) bits), type);
    }
}
