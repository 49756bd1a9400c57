package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.AdapterFiles;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
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
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** The reader of safetensors against files that lie. */
class SafetensorsTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void whatIsWrittenIsRead(DataType type) throws IOException {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        tensors.put("plain", Networks.random(type, 1, 3, 4));
        tensors.put("transposed", Networks.random(type, 2, 3, 4).transpose());
        tensors.put("vector", Networks.random(type, 3, 7));
        Path file = folder.resolve("file");

        AdapterFiles.write(file, tensors, Map.of("key", "täxt \" \n"));
        AdapterFiles.Tensors read = AdapterFiles.open(file);

        assertThat(read.names()).containsExactly("plain", "transposed", "vector");
        assertThat(read.metadata()).isEqualTo(Map.of("key", "täxt \" \n"));
        for (Map.Entry<String, INDArray> tensor : tensors.entrySet()) {
            INDArray found = read.read(tensor.getKey());
            assertThat(found.dataType()).isEqualTo(type);
            assertThat(found.shape()).isEqualTo(tensor.getValue().shape());
            assertThat(Networks.difference(found, tensor.getValue())).isZero();
        }
        assertThat((AdapterFiles.headerLength(Files.readAllBytes(file)) + 8) % 8).as("aligned data").isZero();
    }

    @Test
    void tensorsThatAreMadeOneByOneGiveTheSameBytesAndAreClosedAtOnce() throws IOException {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        tensors.put("matrix", Networks.random(DataType.FLOAT, 1, 3, 4));
        tensors.put("vector", Networks.random(DataType.HALF, 3, 7));
        List<INDArray> made = new ArrayList<>();
        Map<String, Safetensors.Later> later = new LinkedHashMap<>();
        tensors.forEach((name, array) -> later.put(name, new Safetensors.Later(array.dataType(), array.shape(), () -> {
            assertThat(made).allMatch(INDArray::wasClosed);
            made.add(array.dup());
            return made.get(made.size() - 1);
        })));
        ByteArrayOutputStream atOnce = new ByteArrayOutputStream();
        ByteArrayOutputStream oneByOne = new ByteArrayOutputStream();

        Safetensors.write(atOnce, tensors, Map.of());
        Safetensors.writeOneByOne(oneByOne, later, Map.of());

        assertThat(oneByOne.toByteArray()).isEqualTo(atOnce.toByteArray());
        assertThat(made).hasSize(2).allMatch(INDArray::wasClosed);
    }

    @Test
    void aTensorThatIsNotAsAnnouncedIsNotWritten() {
        INDArray array = Networks.random(DataType.FLOAT, 1, 3, 4);
        for (Safetensors.Later wrong : List.of(new Safetensors.Later(DataType.FLOAT, new long[] {4, 3}, array::dup),
                new Safetensors.Later(DataType.DOUBLE, new long[] {3, 4}, array::dup))) {
            assertThatThrownBy(() -> Safetensors.writeOneByOne(new ByteArrayOutputStream(), Map.of("t", wrong), Map.of()))
                    .isInstanceOf(IllegalStateException.class).hasMessageContaining("\"t\" was announced as")
                    .hasMessageContaining("but is FLOAT[3, 4]");
        }
    }

    static Stream<Arguments> lies() {
        String deep = "[".repeat(50_000);
        return Stream.of(
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,16]}}",
                        "was cut short: its tensors take 16 bytes, but it has 8"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", "lies at"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "lies at"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "lies at"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"u\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[3,7]}}", "lies at [3, 7)"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"u\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[5,7]}}", "lies at [5, 7)"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                        "4 bytes of data belong to no tensor"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
                        "has 8 bytes, which does not match F32[3]"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", "overflows"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[-1,-2],\"data_offsets\":[0,8]}}", "has the shape [-1, -2]"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", "has the shape [0]"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}",
                        "not a safetensors header"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", "longer than 8"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", "VALUE_NUMBER_FLOAT"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", "longer than 2"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", "lacks"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2]}}", "lacks"),
                arguments("{\"t\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}", "dtype C64"),
                arguments("{\"t\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,8]}}", "VALUE_NUMBER_INT"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"code\":1}}",
                        "unknown field \"code\""),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "Duplicate field 't'"),
                arguments("{\"__metadata__\":{\"a\":1}}", "VALUE_NUMBER_INT"),
                arguments("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", "Duplicate field 'a'"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":" + deep + "}", "not a safetensors header"),
                arguments("{\"t\":" + "{\"t\":".repeat(50_000) + "}", "not a safetensors header"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", "not a safetensors header"),
                arguments("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} {}", "more text follows its end"),
                arguments("[1]", "START_ARRAY"), arguments("  ", "not a safetensors header"),
                arguments("{\"t\":null}", "VALUE_NULL"));
    }

    @ParameterizedTest
    @MethodSource("lies")
    void aLyingHeaderIsRefused(String header, String reason) throws IOException {
        refused(AdapterFiles.safetensors(header, new byte[8]), reason);
    }

    @Test
    void moreMetadataThanAnyAdapterHasIsRefused() throws IOException {
        StringBuilder metadata = new StringBuilder("\"0\":\"\"");
        for (int i = 1; i <= 200_000; i++) {
            metadata.append(",\"").append(i).append("\":\"\"");
        }

        refused(AdapterFiles.safetensors("{\"__metadata__\":{" + metadata + "}}", new byte[0]),
                "more than 200000 entries of __metadata__");
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 0, 1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 32, 100_000_001, 60})
    void anAbsurdHeaderLengthIsRefused(long length) throws IOException {
        byte[] file = AdapterFiles.safetensors("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", new byte[0]);
        ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);

        refused(file, "the header claims " + length + " bytes");
    }

    @Test
    void aPointerOfGitLfsIsCalledSo() throws IOException {
        refused("version https://git-lfs.github.com/spec/v1\nsize 440449768\n".getBytes(StandardCharsets.UTF_8), "git lfs pull");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7})
    void aFileTooShortForAHeaderIsRefused(int length) throws IOException {
        refused(new byte[length], "has " + length + " bytes");
    }

    @Test
    void aTruncatedOrLengthenedFileIsRefused() throws IOException {
        byte[] file = AdapterFiles.safetensors("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", new byte[8]);

        for (int length = 0; length < file.length; length++) {
            refused(Arrays.copyOf(file, length), "file");
        }
        refused(Arrays.copyOf(file, file.length + 1), "1 bytes of data belong to no tensor");
    }

    /** Above what an int can count; a sparse file, of which only the end is read. */
    @Test
    void aFileMayBeLongerThanTwoGibibytes() throws IOException {
        long large = (1L << 31) + 8;
        byte[] header = String.format("{\"large\":{\"dtype\":\"F16\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                + "\"last\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%d,%d]}}", large / 2, large, large, large + 8)
                .getBytes(StandardCharsets.UTF_8);
        Path file = folder.resolve("file");
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.write(AdapterFiles.safetensors(new String(header, StandardCharsets.UTF_8), new byte[0]));
            out.seek(8 + header.length + large);
            out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(3).putFloat(-4).array());
        }

        try (Safetensors tensors = Safetensors.open(file)) {
            assertThat(tensors.shape("large")).containsExactly(large / 2);
            assertThat(tensors.read("last").toFloatVector()).containsExactly(3, -4);
        }
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void aTensorThatIsNotFiniteIsRefused(float value) throws IOException {
        byte[] data = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(1).putFloat(value).array();
        Path file = Files.write(folder.resolve("file"),
                AdapterFiles.safetensors("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", data));

        assertThatThrownBy(() -> AdapterFiles.open(file)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("tensor \"t\" holds NaN or infinity at position 1");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aLinkToAFolderIsRefused() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("link"), Files.createDirectory(folder.resolve("folder")));

        assertThatThrownBy(() -> Safetensors.open(link)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("is not a file");
    }

    private void refused(byte[] bytes, String reason) throws IOException {
        Path file = Files.write(folder.resolve("file"), bytes);
        assertThatThrownBy(() -> Safetensors.open(file)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining(file.toString())
                .hasMessageContaining(reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void aTensorIsReadIntoPartsOfAVector(DataType type) throws IOException {
        // Longer than a piece that is converted at a time.
        INDArray stored = Networks.random(type, 1, 3, 400_000);
        Path file = folder.resolve("file");
        AdapterFiles.write(file, Map.of("it", stored), Map.of());
        INDArray vector = Nd4j.zeros(DataType.FLOAT, 2 + 2 * stored.length());
        INDArray rows = vector.get(NDArrayIndex.interval(1, 1 + stored.length())).reshape('c', 3, 400_000);
        INDArray columns = vector.get(NDArrayIndex.interval(1 + stored.length(), 1 + 2 * stored.length()))
                .reshape('f', 400_000, 3);

        try (Safetensors read = Safetensors.open(file)) {
            read.readInto("it", rows);
            read.readInto("it", columns.transpose());
        }

        INDArray expected = stored.castTo(DataType.FLOAT);
        assertThat(rows).isEqualTo(expected);
        assertThat(columns).isEqualTo(expected.transpose());
        assertThat(vector.getFloat(0)).isZero();
        assertThat(vector.getFloat(vector.length() - 1)).isZero();
    }

    @Test
    void aTensorIsReadIntoWhatLiesOtherwise() throws IOException {
        INDArray stored = Networks.random(DataType.FLOAT, 1, 3, 4);
        AdapterFiles.write(folder.resolve("file"), Map.of("it", stored), Map.of());
        INDArray target = Nd4j.zeros(DataType.FLOAT, 4, 3).transpose();

        try (Safetensors read = Safetensors.open(folder.resolve("file"))) {
            read.readInto("it", target);
        }

        assertThat(target).isEqualTo(stored);
    }

    @Test
    void whatBecomesInfiniteInANarrowerArrayIsRefused() throws IOException {
        AdapterFiles.write(folder.resolve("file"), Map.of("it", Nd4j.createFromArray(1, 1e300)), Map.of());

        try (Safetensors read = Safetensors.open(folder.resolve("file"))) {
            assertThatThrownBy(() -> read.readInto("it", Nd4j.zeros(DataType.FLOAT, 2))).hasMessageContaining("\"it\"")
                    .hasMessageContaining("infinity at position 1");
        }
    }
}
