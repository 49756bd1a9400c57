package io.github.dl4jlora.onnx.graph;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Values of weights as they are in the file. */
class ValuesTest {

    private static final int LARGE = Values.PIECE;

    private static INDArray numbered(char order, long... shape) {
        INDArray array = Nd4j.createUninitialized(DataType.FLOAT, shape, order);
        array.assign(Nd4j.arange(array.length()).castTo(DataType.FLOAT).reshape('c', shape));
        return array;
    }

    static Stream<Arguments> arrays() {
        return Stream.of(arguments("vector", numbered('c', LARGE + 3)), arguments("row", numbered('c', 1, LARGE + 3)),
                arguments("column", numbered('f', LARGE + 3, 1)), arguments("matrix", numbered('c', 700, 501)),
                arguments("turned", numbered('f', 700, 501)), arguments("narrow", numbered('f', LARGE + 1, 3)),
                arguments("wide", numbered('f', 2, LARGE + 1)), arguments("small", numbered('f', 2, 3)),
                arguments("transposed", numbered('f', 700, 501).transpose()),
                arguments("part", numbered('f', 700, 501).get(NDArrayIndex.interval(7, 600), NDArrayIndex.interval(3, 490))),
                arguments("part of a vector", numbered('c', 2 * LARGE).get(NDArrayIndex.interval(5, 5 + 600 * 500))
                        .reshape('f', 600, 500)),
                arguments("permuted", numbered('c', 90, 70, 8, 9).permute(1, 0, 3, 2)),
                arguments("images", numbered('f', 90, 70, 8, 9)), arguments("first of one", numbered('f', 1, 700, 501)),
                arguments("doubles", numbered('f', 700, 501).castTo(DataType.DOUBLE)),
                arguments("halves", numbered('f', 30, 50).castTo(DataType.HALF)),
                arguments("brain floats", numbered('c', 30, 8).castTo(DataType.BFLOAT16)));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("arrays")
    void everyOrderBecomesThatOfC(String name, INDArray array) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Initializer.floats("w", array.shape(), () -> array).content().writeTo(out);
        float[] found = new float[(int) array.length()];
        ByteBuffer.wrap(out.toByteArray()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(found);

        assertThat(out.size()).isEqualTo(4 * array.length());
        assertThat(found).isEqualTo(array.castTo(DataType.FLOAT).dup('c').reshape(array.length()).toFloatVector());
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void valuesThatAreNotFiniteAreFoundAnywhere(float value) {
        for (char order : new char[] {'c', 'f'}) {
            INDArray array = numbered(order, 700, 501);
            array.putScalar(699, 500, value);

            assertThatThrownBy(() -> Values.forEachPiece("w", array, (values, count, from) -> {
            })).isInstanceOf(IllegalArgumentException.class).hasMessageContaining("\"w\"");
        }
    }

    private static float ofHalf(short half) {
        int exponent = half >>> 10 & 31;
        float magnitude = exponent == 0 ? (half & 1023) * 0x1p-24f
                : (1 + (half & 1023) / 1024f) * (float) Math.pow(2, exponent - 15);
        return half < 0 ? -magnitude : magnitude;
    }

    @Test
    void halvesAreTheNearest() {
        Random random = new Random(1);
        for (int i = 0; i < 100_000; i++) {
            float value = (float) (random.nextGaussian() * Math.pow(2, random.nextInt(40) - 26));
            short half = HalfFloats.half("w", value);
            double distance = Math.abs((double) value - ofHalf(half));
            for (int next = -1; next <= 1; next += 2) {
                short neighbour = (short) (half + next);
                if ((neighbour & 0x7C00) < 0x7C00 && (neighbour < 0) == (half < 0)) {
                    double other = Math.abs((double) value - ofHalf(neighbour));
                    assertThat(distance < other || distance == other && half % 2 == 0).as("%s", value).isTrue();
                }
            }
        }
        assertThat(HalfFloats.half("w", 65519)).isEqualTo((short) 0x7BFF);
        assertThat(HalfFloats.half("w", -0f)).isEqualTo((short) 0x8000);
    }

    @Test
    void brainFloatsAreTheNearest() {
        Random random = new Random(2);
        for (int i = 0; i < 100_000; i++) {
            float value = Float.intBitsToFloat(random.nextInt());
            if (Float.isFinite(value) && Math.abs(value) < 3e38) {
                int code = HalfFloats.bfloat(value) & 0xFFFF;
                double distance = Math.abs((double) value - Float.intBitsToFloat(code << 16));
                for (int next = -1; next <= 1; next += 2) {
                    double other = Math.abs((double) value - Float.intBitsToFloat(code + next << 16));
                    assertThat(distance < other || distance == other && code % 2 == 0 || code << 17 == 0).isTrue();
                }
            }
        }
        assertThat(HalfFloats.bfloat(Float.MAX_VALUE)).isEqualTo((short) 0x7F7F);
        assertThat(HalfFloats.bfloat(-Float.MAX_VALUE)).isEqualTo((short) 0xFF7F);
    }
}
