package io.github.dl4jlora.internal.quantized;

import io.github.dl4jlora.conf.Quantization;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

/** Matrices in fewer bits: their errors, their bytes, and memory that holds none. */
class QuantizedMatrixTest {

    @TempDir
    Path folder;

    private static float[][] normal(int lines, int length) {
        Random random = new Random(lines * 31L + length);
        float[][] values = new float[lines][length];
        for (float[] line : values) {
            for (int i = 0; i < length; i++) {
                line[i] = 0.02f * (float) random.nextGaussian();
            }
        }
        return values;
    }

    private static QuantizedMatrix quantized(Quantization scheme, float[][] values) {
        return QuantizedMatrix.of(scheme, values.length, values[0].length,
                (line, to) -> System.arraycopy(values[(int) line], 0, to, 0, to.length));
    }

    private static float[] restored(QuantizedMatrix matrix) {
        float[] values = new float[(int) (matrix.lines() * matrix.length())];
        matrix.restore(0, (int) matrix.lines(), values);
        return values;
    }

    private static byte[] written(QuantizedMatrix matrix) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        matrix.write(out);
        return out.toByteArray();
    }

    private static ByteBuffer direct(byte[] bytes, int from, int to) {
        return ByteBuffer.allocateDirect(to - from).put(bytes, from, to - from).flip();
    }

    @ParameterizedTest
    @CsvSource({"BF16, 0.0014, 0.002, 2", "INT8, 0.006, 0.011, 4", "NF4, 0.085, 0.1, 7.7"})
    void normalWeightsLoseWhatTheSchemeLoses(Quantization scheme, double least, double most, double smaller) {
        float[][] values = normal(64, 1024);
        QuantizedMatrix matrix = quantized(scheme, values);

        double norm = 0;
        double error = 0;
        float[] given = restored(matrix);
        for (int i = 0; i < given.length; i++) {
            norm += Math.pow(values[i / 1024][i % 1024], 2);
            error += Math.pow(values[i / 1024][i % 1024] - given[i], 2);
        }

        assertThat(matrix.relativeError()).isBetween(least, most).isCloseTo(Math.sqrt(error / norm), within(1e-9));
        assertThat(4.0 * given.length / matrix.bytes()).isBetween(smaller - 0.3, smaller);
    }

    @ParameterizedTest
    @EnumSource
    void aMatrixOfZerosIsGivenBackAsZeros(Quantization scheme) {
        QuantizedMatrix matrix = quantized(scheme, new float[3][129]);

        assertThat(matrix.relativeError()).isZero();
        assertThat(restored(matrix)).containsOnly(0f);
    }

    @ParameterizedTest
    @EnumSource
    void theLargestFloatsAreGivenBackFinite(Quantization scheme) {
        float[] given = restored(quantized(scheme, new float[][] {{Float.MAX_VALUE, -Float.MAX_VALUE, 0}}));

        assertThat(given[0]).isCloseTo(Float.MAX_VALUE, withinPercentage(1));
        assertThat(given[1]).isCloseTo(-Float.MAX_VALUE, withinPercentage(1));
    }

    @ParameterizedTest
    @EnumSource
    void aLineOfZerosAmongOthersIsGivenBackAsZeros(Quantization scheme) {
        float[][] values = normal(3, 200);
        values[1] = new float[200];
        float[] line = new float[200];

        quantized(scheme, values).restore(1, 1, line);

        assertThat(line).containsOnly(0f);
    }

    @ParameterizedTest
    @EnumSource
    void whatIsGivenBackIsStoredWithTheSameBytesAgain(Quantization scheme) throws IOException {
        float[][] values = normal(7, 333);

        assertThat(written(quantized(scheme, values))).isEqualTo(written(quantized(scheme, values)));
    }

    /** Ten digits of a hash, computed once: other processors and versions of Java must come to the same bytes. */
    @ParameterizedTest
    @CsvSource({"BF16, e5266cc31a", "INT8, b1fd33760b", "NF4, cd9a89dccf"})
    void everyMachineStoresTheSameBytes(Quantization scheme, String hash) throws NoSuchAlgorithmException {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        quantized(scheme, normal(5, 16500)).digest(digest);

        assertThat(String.format("%064x", new BigInteger(1, digest.digest()))).startsWith(hash);
    }

    @ParameterizedTest
    @CsvSource({"BF16, 1, 1", "BF16, 5, 130", "INT8, 1, 1", "INT8, 5, 130", "NF4, 1, 1", "NF4, 3, 64", "NF4, 5, 65",
        "NF4, 2, 20000"})
    void whatIsWrittenIsRead(Quantization scheme, int lines, int length) throws IOException {
        QuantizedMatrix matrix = quantized(scheme, normal(lines, length));
        byte[] bytes = written(matrix);
        ByteArrayInputStream in = new ByteArrayInputStream(bytes);

        QuantizedMatrix read = QuantizedMatrix.read(scheme, lines, length, in);

        assertThat(matrix.bytes()).isEqualTo(bytes.length);
        assertThat(in.available()).isZero();
        assertThat(restored(read)).isEqualTo(restored(matrix));
        assertThat(written(read)).isEqualTo(bytes);
        assertThat(read.relativeError()).isNaN();
    }

    @ParameterizedTest
    @EnumSource
    void aStreamThatEndsEarlyIsRefused(Quantization scheme) throws IOException {
        byte[] bytes = written(quantized(scheme, normal(3, 70)));

        for (int length : new int[] {0, 3, bytes.length - 1}) {
            assertThatThrownBy(() -> QuantizedMatrix.read(scheme, 3, 70, new ByteArrayInputStream(bytes, 0, length)))
                    .isInstanceOf(EOFException.class).hasMessageContaining("3 " + scheme + " lines of 70 values");
        }
    }

    @ParameterizedTest
    @EnumSource
    void theDigestIsThatOfWhatIsWritten(Quantization scheme) throws IOException, NoSuchAlgorithmException {
        QuantizedMatrix matrix = quantized(scheme, normal(9, 9001));
        MessageDigest digest = MessageDigest.getInstance("SHA-256");

        matrix.digest(digest);

        assertThat(digest.digest()).isEqualTo(MessageDigest.getInstance("SHA-256").digest(written(matrix)));
    }

    @ParameterizedTest
    @EnumSource
    void mappedMemoryIsAMatrix(Quantization scheme) throws IOException {
        QuantizedMatrix matrix = quantized(scheme, normal(6, 99));
        byte[] bytes = written(matrix);
        Path file = Files.write(folder.resolve("matrix"), bytes);
        long codes = 6 * LineCodec.of(scheme).codeBytes(99);
        QuantizedMatrix mapped;
        try (FileChannel channel = FileChannel.open(file)) {
            mapped = QuantizedMatrix.of(scheme, 6, 99, channel.map(FileChannel.MapMode.READ_ONLY, 0, codes),
                    channel.map(FileChannel.MapMode.READ_ONLY, codes, bytes.length - codes));
        }

        assertThat(restored(mapped)).isEqualTo(restored(matrix));
        assertThat(written(mapped)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @CsvSource({"INT8, 0, 0, NaN, scale NaN", "INT8, 2, 0, Infinity, scale Infinity", "INT8, 1, 0, -1, scale -1.0",
        "NF4, 1, 0, NaN, mean NaN", "NF4, 0, 0, -0.5, mean -0.5", "NF4, 2, 1, -Infinity, deviation -Infinity",
        "NF4, 2, 1, -3, deviation -3.0"})
    void scalesThatNoMatrixHasAreRefused(Quantization scheme, int line, int place, float value, String fault) throws IOException {
        byte[] bytes = written(quantized(scheme, normal(3, 70)));
        int codes = (int) (3 * LineCodec.of(scheme).codeBytes(70));
        int at = (int) (codes + line * LineCodec.of(scheme).scaleBytes(70) + place * Float.BYTES);
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(at, value);

        assertThatThrownBy(() -> QuantizedMatrix.of(scheme, 3, 70, direct(bytes, 0, codes), direct(bytes, codes, bytes.length)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("Line " + line).hasMessageContaining(fault);
        assertThatThrownBy(() -> QuantizedMatrix.read(scheme, 3, 70, new ByteArrayInputStream(bytes)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(fault);
    }

    /** Whatever the bytes, as long as the scales are numbers. BF16 has codes of NaN and infinity, as FLOAT has. */
    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "BF16")
    void anyCodesAreFiniteValues(Quantization scheme) {
        LineCodec form = LineCodec.of(scheme);
        ByteBuffer codes = ByteBuffer.allocateDirect((int) (2 * form.codeBytes(20000)));
        ByteBuffer scales = ByteBuffer.allocateDirect((int) (2 * form.scaleBytes(20000))).order(ByteOrder.LITTLE_ENDIAN);
        byte[] any = new byte[Math.max(codes.capacity(), scales.capacity())];
        new Random(5).nextBytes(any);
        codes.put(any, 0, codes.capacity()).flip();
        scales.put(any, 0, scales.capacity()).flip();
        for (int line = 0; line < 2; line++) {
            int at = (int) (line * form.scaleBytes(20000));
            float large = scheme == Quantization.INT8 ? 1e36f : Float.MAX_VALUE;
            scales.putFloat(at, large);
            if (scheme == Quantization.NF4) {
                scales.putFloat(at + 4, large).putFloat(at + 264, large).putFloat(at + 268, large);
            }
        }

        for (float value : restored(QuantizedMatrix.of(scheme, 2, 20000, codes, scales))) {
            assertThat(Float.isFinite(value)).isTrue();
        }
    }

    @Test
    void memoryOfAnotherSizeIsRefused() {
        ByteBuffer right = ByteBuffer.allocateDirect(12);

        assertThatThrownBy(() -> QuantizedMatrix.of(Quantization.INT8, 3, 4, ByteBuffer.allocateDirect(13), right))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("The codes of 3 INT8 lines of 4 values must be 12 bytes outside the heap, but are 13");
        assertThatThrownBy(() -> QuantizedMatrix.of(Quantization.INT8, 3, 4, right, ByteBuffer.allocateDirect(11)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("The scales of 3 INT8 lines of 4 values must be 12 bytes outside the heap, but are 11");
        assertThatThrownBy(() -> QuantizedMatrix.of(Quantization.INT8, 3, 4, ByteBuffer.allocate(12), right))
                .isInstanceOf(IllegalArgumentException.class).hasMessageEndingWith("but are 12 inside it");
        assertThatThrownBy(() -> QuantizedMatrix.of(Quantization.BF16, 3, 2, right, right))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("The scales of 3 BF16 lines of 2 values must be 0 bytes outside the heap, but are 12");
        assertThatThrownBy(() -> QuantizedMatrix.of(Quantization.BF16, 1, 1 << 30, right, right))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("A matrix cannot have 1 lines of 1073741824 values each");
        assertThatThrownBy(() -> QuantizedMatrix.of(Quantization.NF4, 0, 4, right, right))
                .isInstanceOf(IllegalArgumentException.class).hasMessage("A matrix cannot have 0 lines of 4 values each");
    }

    @ParameterizedTest
    @EnumSource
    void valuesThatAreNotFiniteAreRefusedWithTheirPlace(Quantization scheme) {
        for (float wrong : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            float[][] values = normal(3, 80);
            values[2][67] = wrong;

            assertThatThrownBy(() -> quantized(scheme, values)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("Value 67 of line 2 is " + wrong + "; only finite values can be quantised");
        }
    }

    @ParameterizedTest
    @EnumSource
    void allValuesAreGivenBackInEitherOrderAndAnyType(Quantization scheme) {
        for (int[] size : new int[][] {{1, 1}, {5, 70}, {3, 70_000}, {700, 300}}) {
            QuantizedMatrix matrix = quantized(scheme, normal(size[0], size[1]));
            INDArray expected = Nd4j.createFromArray(restored(matrix)).reshape('c', size[0], size[1]);
            for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16}) {
                INDArray lines = Nd4j.create(type, (long) size[0] * size[1]);
                INDArray interleaved = Nd4j.create(type, (long) size[0] * size[1]);

                matrix.restoreInto(lines, false);
                matrix.restoreInto(interleaved, true);

                assertThat(lines.reshape('c', size[0], size[1])).isEqualTo(expected.castTo(type));
                assertThat(interleaved.reshape('c', size[1], size[0]).transpose()).isEqualTo(expected.castTo(type));
            }
        }
    }

    @Test
    void anArrayOfAnotherSizeIsNotFilled() {
        QuantizedMatrix matrix = quantized(Quantization.INT8, normal(2, 3));

        assertThatThrownBy(() -> matrix.restoreInto(Nd4j.create(DataType.FLOAT, 7), false))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("2 lines of 3 values");
        assertThatThrownBy(() -> matrix.restoreInto(Nd4j.create(DataType.INT, 6), false))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
