package io.github.dl4jlora.internal.blas;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;

/** Bytes become floats, whole or in the pieces that ND4J with several threads is asked for. */
class HostMemoryTest {

    @ParameterizedTest(name = "{0} in pieces of {1}")
    @CsvSource({"1, 1", "1024, 1024", "1025, 1024", "5000, 1024", "5000, 5000", "7, 2", "4096, 1024"})
    void everyByteBecomesItsFloatWhateverThePieces(int count, int piece) {
        byte[] codes = new byte[3 + count];
        float[] expected = new float[count];
        for (int i = 0; i < count; i++) {
            codes[3 + i] = (byte) (i * 37 + 11);
            expected[i] = codes[3 + i];
        }
        float[] values = new float[count + 1];
        try (BytePointer from = new BytePointer(codes); FloatPointer to = new FloatPointer(count + 1)) {
            to.put(count, 99);

            HostMemory.widen(from.position(3), count, to, piece);

            to.get(values);
        }
        assertThat(Arrays.copyOf(values, count)).containsExactly(expected);
        assertThat(values[count]).as("what follows").isEqualTo(99);
    }
}
