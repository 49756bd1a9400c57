package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.AdapterFiles;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Where in a file the reader of safetensors looks, and what it does with a file that changes meanwhile. */
class SafetensorsReadingTest {

    private static final int PIECE = 1 << 20;

    @TempDir
    private Path folder;

    private Path file(String name, Map<String, INDArray> tensors) throws IOException {
        Path file = folder.resolve(name);
        AdapterFiles.write(file, tensors, Map.of());
        return file;
    }

    private static Map<String, INDArray> two(INDArray first, INDArray second) {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        tensors.put("first", first);
        tensors.put("second", second);
        return tensors;
    }

    /** As it is, converted, and into columns. */
    @ParameterizedTest
    @ValueSource(strings = {"FLOAT", "HALF"})
    void aTensorThatIsNotTheFirstIsReadFromWhereItLies(DataType type) throws IOException {
        INDArray second = Networks.random(type, 2, 3, 4);
        INDArray rows = Nd4j.zeros(DataType.FLOAT, 3, 4);
        INDArray columns = Nd4j.zeros(DataType.FLOAT, 4, 3).transpose();

        try (Safetensors read = Safetensors.open(file("a", two(Networks.random(type, 1, 5), second)))) {
            assertThat(read.read("second")).isEqualTo(second);
            read.readInto("second", rows);
            read.readInto("second", columns);
        }

        assertThat(rows).isEqualTo(second.castTo(DataType.FLOAT));
        assertThat(columns).isEqualTo(second.castTo(DataType.FLOAT));
    }

    @Test
    void aTensorAsLongAsAPieceIsConverted() throws IOException {
        INDArray stored = Nd4j.valueArrayOf(new long[] {PIECE}, 3, DataType.HALF);
        INDArray target = Nd4j.zeros(DataType.FLOAT, PIECE);

        try (Safetensors read = Safetensors.open(file("a", Map.of("it", stored)))) {
            read.readInto("it", target);
        }

        assertThat(target.sumNumber().longValue()).isEqualTo(3L * PIECE);
    }

    /** A header that stays, and values that go. */
    @ParameterizedTest
    @CsvSource({"F32, 4", "F8_E4M3, 1", "F8_E5M2, 1"})
    void aFileThatIsShortenedMeanwhileIsRefused(String type, int width) throws IOException {
        Path file = Files.write(folder.resolve("a"), AdapterFiles.safetensors("{\"it\":{\"dtype\":\"" + type
                + "\",\"shape\":[3],\"data_offsets\":[0," + 3 * width + "]}}", new byte[3 * width]));

        try (Safetensors read = Safetensors.open(file)) {
            assertThat(read.read("it").toFloatVector()).containsExactly(0, 0, 0);
            try (RandomAccessFile shortened = new RandomAccessFile(file.toFile(), "rw")) {
                shortened.setLength(shortened.length() - 1);
            }
            assertThatThrownBy(() -> read.read("it")).isInstanceOf(AdapterFormatException.class)
                    .hasMessage(file + " was shortened while it was read");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 11})
    void infinityIsFoundInAnyPlaceOfATensor(int position) throws IOException {
        INDArray values = Networks.random(DataType.FLOAT, 1, 3, 4);
        values.putScalar(position, Float.POSITIVE_INFINITY);

        try (Safetensors read = Safetensors.open(file("a", Map.of("it", values)))) {
            assertThatThrownBy(() -> read.read("it")).hasMessageContaining("NaN or infinity at position " + position);
            assertThatThrownBy(() -> read.readInto("it", Nd4j.zeros(DataType.DOUBLE, 3, 4)))
                    .hasMessageContaining("NaN or infinity at position " + position);
        }
    }

    @Test
    void theChannelIsClosedWithTheReaderAndWhereThereIsNothingToRead() throws IOException {
        SeekableByteChannel sound = Files.newByteChannel(file("a", Map.of("it", Nd4j.zeros(DataType.FLOAT, 2))));
        SeekableByteChannel damaged = Files.newByteChannel(Files.write(folder.resolve("b"), new byte[3]));

        Safetensors.open(folder, sound).close();
        assertThatThrownBy(() -> Safetensors.open(folder, damaged)).isInstanceOf(AdapterFormatException.class);

        assertThat(sound.isOpen()).isFalse();
        assertThat(damaged.isOpen()).isFalse();
    }

    @Test
    void theShortestFileHasAHeaderAndNoTensor() throws IOException {
        try (Safetensors read = Safetensors.open(Files.write(folder.resolve("a"), AdapterFiles.safetensors("{}", new byte[0])))) {
            assertThat(read.names()).isEmpty();
            assertThat(read.metadata()).isEmpty();
        }
        assertThatThrownBy(() -> Safetensors.open(Files.write(folder.resolve("b"), new byte[8])))
                .hasMessageContaining("the header claims 0 bytes, but the file has 8");
    }

    @Test
    void aHeaderMayListTensorsInAnyOrder() throws IOException {
        byte[] data = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(1).putFloat(2).array();
        Path file = Files.write(folder.resolve("a"), AdapterFiles.safetensors(
                "{\"second\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
                        + "\"first\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", data));

        try (Safetensors read = Safetensors.open(file)) {
            assertThat(read.names()).containsExactly("first", "second");
            assertThat(read.read("first").toFloatVector()).containsExactly(1);
            assertThat(read.read("second").toFloatVector()).containsExactly(2);
        }
    }

    @Test
    void theBytesOfATensorThatHasOthersAreCounted() throws IOException {
        Path file = Files.write(folder.resolve("a"), AdapterFiles.safetensors(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,8]}}", new byte[8]));
        Path noList = Files.write(folder.resolve("b"), AdapterFiles.safetensors(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", new byte[4]));

        assertThatThrownBy(() -> Safetensors.open(file)).hasMessageContaining("\"b\" has 4 bytes, which does not match F32[2]");
        assertThatThrownBy(() -> Safetensors.open(noList)).hasMessageContaining("VALUE_NUMBER_INT instead of START_ARRAY");
    }

    @Test
    void aTensorMayHaveEightDimensions() throws IOException {
        Path file = Files.write(folder.resolve("a"), AdapterFiles.safetensors(
                "{\"it\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", new byte[8]));

        try (Safetensors read = Safetensors.open(file)) {
            assertThat(read.shape("it")).hasSize(8).endsWith(2);
        }
    }

    @Test
    void tensorsAreTheSameIfTypeShapeAndEveryByteAre() throws IOException {
        INDArray large = Nd4j.arange(0, PIECE / 4 + 3).castTo(DataType.FLOAT);
        INDArray lastIsOther = large.dup();
        lastIsOther.putScalar(large.length() - 1, -1);
        INDArray firstIsOther = large.dup();
        firstIsOther.putScalar(0, -1);
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        tensors.put("before", Nd4j.zeros(DataType.FLOAT, 1));
        tensors.put("large", large);
        tensors.put("again", large.dup());
        tensors.put("last", lastIsOther);
        tensors.put("first", firstIsOther);
        tensors.put("row", large.reshape(1, large.length()));
        tensors.put("piece", Nd4j.zeros(DataType.FLOAT, PIECE / 4));
        tensors.put("bits", Nd4j.zeros(DataType.HALF, 2));
        tensors.put("others", Nd4j.zeros(DataType.BFLOAT16, 2));
        Map<String, INDArray> elsewhere = two(Networks.random(DataType.FLOAT, 1, 7), large);

        try (Safetensors one = Safetensors.open(file("a", tensors)); Safetensors other = Safetensors.open(file("b", elsewhere))) {
            assertThat(one.isSame("large", one, "again")).isTrue();
            assertThat(one.isSame("large", other, "second")).isTrue();
            assertThat(other.isSame("second", one, "large")).isTrue();
            assertThat(one.isSame("piece", one, "piece")).isTrue();
            for (String different : new String[] {"last", "first", "row", "piece"}) {
                assertThat(one.isSame("large", one, different)).as(different).isFalse();
                assertThat(other.isSame("second", one, different)).as(different).isFalse();
            }
            assertThat(one.isSame("bits", one, "others")).as("the same bytes of another type").isFalse();
        }
    }
}
