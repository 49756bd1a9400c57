package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.StoredForm.Part;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A file of a base that is used where it lies: magic, length of the header, header, sections. */
class MappedFileTest {

    private static final int PREFIX = 16;

    @TempDir
    private Path folder;

    private static FrozenWeights weights(long seed, int rows, int columns) {
        INDArray values = Networks.random(DataType.FLOAT, seed, (long) rows * columns);
        return FrozenWeights.unregisteredOwn(values, Map.of("W", values.reshape(rows, columns)));
    }

    private static byte[] bytes(FrozenWeights... weights) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        MappedFile.write(out, "MultiLayerNetwork", "{}", List.of(weights));
        return out.toByteArray();
    }

    private static byte[] withHeader(String header, int values) {
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        int begin = (PREFIX + text.length + 63) / 64 * 64;
        byte[] magic = "DL4JBASE".getBytes(StandardCharsets.US_ASCII);
        return ByteBuffer.allocate(begin + values).order(ByteOrder.LITTLE_ENDIAN).put(magic)
                .putLong(text.length).put(text).array();
    }

    /** Layers of two values each at these places. */
    private static String header(long... offsets) {
        List<String> layers = new ArrayList<>();
        for (long offset : offsets) {
            layers.add("{\"id\":\"" + layers.size() + "\",\"signature\":\"FLOAT W[1,2]\",\"form\":null,\"errors\":{},"
                    + "\"sections\":[{\"offset\":" + offset + ",\"length\":8}]}");
        }
        return "{\"format\":1,\"network\":\"MultiLayerNetwork\",\"configuration\":\"{}\",\"layers\":[" + String.join(",", layers)
                + "]}";
    }

    private MappedFile open(byte[] bytes) throws IOException {
        return MappedFile.open(Files.write(folder.resolve("base"), bytes));
    }

    private void refused(byte[] bytes, String... parts) {
        assertThatThrownBy(() -> open(bytes)).isInstanceOf(IOException.class).hasMessageContainingAll(parts);
    }

    @Test
    void weightsLieAsTheyWereWritten() throws IOException {
        FrozenWeights array = weights(1, 3, 7);
        FrozenWeights other = weights(2, 5, 64);
        FrozenWeights stored = other.quantized(Quantization.INT8, List.of(new Part("W", 5, 64, false)));

        MappedFile file = open(bytes(array, stored));

        assertThat(file.configuration()).isEqualTo("{}");
        assertThat(file.weights().keySet()).containsExactly(array.id(), stored.id());
        assertThat(file.weights().get(array.id()).values()).isEqualTo(array.values());
        assertThat(file.weights().get(stored.id()).values()).isEqualTo(stored.values());
        assertThat(file.weights().values()).allMatch(FrozenWeights::isIntact).allMatch(FrozenWeights::isOwn);
        assertThat(bytes(array, stored).length % 64).as("padded").isZero();
    }

    /** Whoever writes to values in a file has a copy, which may be the last that somebody holds. */
    @Test
    void aCopyInMemoryIsFoundByItsId() throws IOException {
        FrozenWeights mapped = open(bytes(weights(3, 3, 7))).weights().values().iterator().next();
        FrozenWeights copy = mapped.inMemory();

        assertThat(copy).isNotSameAs(mapped);
        assertThat(FrozenWeightsRegistry.find(mapped.id())).containsSame(copy);
        assertThat(copy.inMemory()).isSameAs(copy);
    }

    @Test
    void theSameWeightsAreNotThereTwice() throws IOException {
        FrozenWeights weights = weights(1, 3, 7);

        refused(bytes(weights, weights), "has the weights " + weights.id() + " twice");
    }

    @Test
    void aFileIsRecognisedByItsFirstBytes() throws IOException {
        Path file = folder.resolve("it");
        byte[] bytes = bytes(weights(1, 3, 7));

        assertThat(MappedFile.recognises(Files.write(file, Arrays.copyOf(bytes, PREFIX)))).isTrue();
        assertThat(MappedFile.recognises(Files.write(file, Arrays.copyOf(bytes, PREFIX - 1)))).isFalse();
        bytes[7]++;
        assertThat(MappedFile.recognises(Files.write(file, bytes))).isFalse();
        refused(bytes, "was not written by LoRA.writeBase");
        refused(Arrays.copyOf(bytes(), PREFIX - 1), "was not written by LoRA.writeBase");
    }

    @Test
    void aHeaderMayEndWithTheFileButNotAfterIt() throws IOException {
        byte[] bytes = bytes();
        int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(8);

        assertThat(open(Arrays.copyOf(bytes, PREFIX + length)).weights()).isEmpty();
        refused(Arrays.copyOf(bytes, PREFIX + length - 1), "claims " + length + " bytes, but only " + (length - 1) + " follow");
        refused(Arrays.copyOf(bytes, PREFIX), "claims " + length + " bytes, but only 0 follow");
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 0, 1, Long.MIN_VALUE, Long.MAX_VALUE})
    void aHeaderHasALengthThatCanBe(long length) throws IOException {
        byte[] bytes = bytes(weights(1, 3, 7));
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(8, length);

        refused(bytes, "claims " + length + " bytes");
    }

    @Test
    void anotherFormatOrOneWithoutEndIsRefused() {
        refused(withHeader(header().replace("\"format\":1", "\"format\":2"), 0), "it has format 2; this version reads 1");
        refused(withHeader("[".repeat(100_000), 0), "nested more than 8 levels deep");
        assertThatThrownBy(() -> open(withHeader("{}".replace("}", "\"format\":1}"), 0)))
                .hasMessageContaining("lacks network, configuration or layers");
    }

    @ParameterizedTest
    @CsvSource({"0, 64, 72", "64, 0, 72", "0, 128, 136"})
    void sectionsMayLieInAnyOrderAndEndWithTheFile(long first, long second, int available) throws IOException {
        assertThat(open(withHeader(header(first, second), available)).weights()).hasSize(2);
        refused(withHeader(header(first, second), available - 1), "are said to begin at " + Math.max(first, second) + " of "
                + (available - 1), "truncated or damaged");
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "-64, 64", "0, 8", "0, 63", "0, 65", "0, 9223372036854775744"})
    void sectionsThatOverlapOrBeginElsewhereAreRefused(long first, long second) {
        refused(withHeader(header(first, second), 1024), "are said to begin at", "truncated or damaged");
    }

    @Test
    void valuesAreFoundBehindTheHeaderWhereverItEnds() throws IOException {
        byte[] bytes = withHeader(header(0, 64), 128);
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(bytes.length - 128 + 4, 5).putFloat(bytes.length - 64, 6);

        MappedFile file = open(bytes);

        assertThat(file.weights().get("0").values().toFloatVector()).containsExactly(0, 5);
        assertThat(file.weights().get("1").values().toFloatVector()).containsExactly(6, 0);
    }
}
