package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Values of 16 bits become floats, whole or in the pieces that ND4J with several threads is asked for. */
class Bfloat16Test {

    private static final int CODES = 1 << Short.SIZE;

    /** @param first where the codes begin in their memory, which need not be even */
    private static int[] widened(int first, int count, int piece) {
        ByteBuffer codes = ByteBuffer.allocate(first + Short.BYTES * count).order(ByteOrder.LITTLE_ENDIAN).position(first);
        for (int i = 0; i < count; i++) {
            codes.putShort((short) i);
        }
        float[] values = new float[count + 1];
        try (BytePointer from = new BytePointer(codes.array()); FloatPointer to = new FloatPointer(count + 1)) {
            to.put(count, 99);

            Bfloat16.widen(from.position(first), count, to, piece);

            to.get(values);
        }
        assertThat(values[count]).as("what follows").isEqualTo(99);
        return IntStream.range(0, count).map(i -> Float.floatToRawIntBits(values[i])).toArray();
    }

    private static int[] expected(int count) {
        return IntStream.range(0, count).map(i -> i << Short.SIZE).toArray();
    }

    @Test
    void everyCodeBecomesItsFloat() {
        assertThat(widened(0, CODES, CODES)).isEqualTo(expected(CODES));
    }

    @ParameterizedTest(name = "{0} in pieces of {1}")
    @CsvSource({"1, 1", "1024, 1024", "1025, 1024", "5000, 1024", "5000, 5000", "7, 2", "4096, 1024"})
    void soItDoesInPiecesAndFromAnyAddress(int count, int piece) {
        assertThat(widened(3, count, piece)).isEqualTo(expected(count));
    }

    @Test
    void threadsDoNotMeet() {
        IntStream.range(0, 64).parallel().map(i -> 1000 + 37 * i)
                .forEach(count -> assertThat(widened(0, count, 400)).isEqualTo(expected(count)));
    }
}
