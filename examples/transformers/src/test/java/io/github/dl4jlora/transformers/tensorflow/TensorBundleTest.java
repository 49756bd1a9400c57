package io.github.dl4jlora.transformers.tensorflow;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.tensorflow.framework.TensorShapeProto;
import org.tensorflow.framework.TensorSliceProto;
import org.tensorflow.util.BundleEntryProto;
import org.tensorflow.util.BundleHeaderProto;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class TensorBundleTest {

    private static final String MATRIX = "bert/kernel";

    @TempDir
    private Path folder;
    private Path prefix;

    @BeforeEach
    void name() {
        prefix = folder.resolve("model.ckpt");
        Nd4j.getRandom().setSeed(24);
    }

    private static INDArray numbers(long... shape) {
        return Nd4j.rand(DataType.FLOAT, shape);
    }

    private static BundleFiles some(int shards) {
        return new BundleFiles(shards).put(MATRIX, numbers(3, 4)).put("bert/bias", numbers(4)).put("cls", numbers(2, 1, 2));
    }

    @Test
    void tensorsAreReadFromOneFileAndFromSeveral() throws IOException {
        INDArray matrix = numbers(3, 4);
        INDArray vector = numbers(7);
        INDArray one = Nd4j.scalar(3f);
        for (int shards : new int[] {1, 3}) {
            new BundleFiles(shards).put("matrix", matrix).put("vector", vector).put("one", one).put("f", matrix.dup('f'))
                    .write(prefix);

            try (TensorBundle bundle = TensorBundle.open(prefix)) {
                assertThat(bundle.names()).containsExactly("f", "matrix", "one", "vector");
                assertThat(bundle.shape("matrix")).containsExactly(3, 4);
                assertThat(bundle.shape("one")).isEmpty();
                assertThat(bundle.read("matrix")).isEqualTo(matrix);
                assertThat(bundle.read("f")).isEqualTo(matrix);
                assertThat(bundle.read("vector")).isEqualTo(vector);
                assertThat(bundle.read("one")).isEqualTo(one);
            }
        }
    }

    @Test
    void aTensorGivesItsMemoryBackWhenItIsClosed() throws IOException {
        some(1).write(prefix);
        try (TensorBundle bundle = TensorBundle.open(prefix)) {
            INDArray matrix = bundle.read(MATRIX);

            matrix.close();

            assertThat(matrix.wasClosed()).isTrue();
        }
    }

    static Stream<Arguments> lies() {
        return Stream.of(
                arguments("a shape of more", entry(e -> shape(e, 3, 5)), "has 48 bytes, which is not DT_FLOAT[3, 5]"),
                arguments("a huge shape", entry(e -> shape(e, 1L << 40, 1L << 40)), "overflows"),
                arguments("a negative shape", entry(e -> shape(e, -3, -4)), "has the shape [-3, -4]"),
                arguments("an empty shape", entry(e -> shape(e, 3, 0)), "has the shape [3, 0]"),
                arguments("too many dimensions", entry(e -> shape(e, 3, 4, 1, 1, 1, 1, 1, 1, 1)),
                        "which is not DT_FLOAT[3, 4, 1"),
                arguments("no rank", entry(e -> e.setShape(TensorShapeProto.newBuilder().setUnknownRank(true))),
                        "which is not DT_FLOAT[]"),
                arguments("half numbers", entry(e -> e.setDtype(org.tensorflow.framework.DataType.DT_HALF)),
                        "is of the type DT_HALF; only DT_FLOAT is supported"),
                arguments("an unknown type", entry(e -> e.setDtypeValue(999)), "is of the type UNRECOGNIZED"),
                arguments("slices", entry(e -> e.addSlices(TensorSliceProto.getDefaultInstance())), "stored in 1 slices"),
                arguments("a size beyond the file", entry(e -> e.setSize(1L << 40)), "has 1099511627776 bytes at 0"),
                arguments("all there is and more", entry(e -> e.setSize(Long.MAX_VALUE).setOffset(Long.MAX_VALUE)), "bytes at"),
                arguments("a negative size", entry(e -> e.setSize(-48)), "has -48 bytes"),
                arguments("a negative offset", entry(e -> e.setOffset(-1)), "at -1 of"),
                arguments("an offset beyond the file", entry(e -> e.setOffset(1000)), "at 1000 of"),
                arguments("another tensor's place", entry(e -> e.setOffset(4)), "is damaged: its checksum differs"),
                arguments("another checksum", entry(e -> e.setCrc32C(7)), "is damaged: its checksum differs"),
                arguments("another file", entry(e -> e.setShardId(1)), "is in file 1 of 1"),
                arguments("a file before the first", entry(e -> e.setShardId(-1)), "is in file -1 of 1"),
                arguments("no tensor", (Consumer<BundleFiles>) files -> files.remove(MATRIX), "has no tensor \"bert/kernel\""),
                arguments("NaN", (Consumer<BundleFiles>) files -> files.put(MATRIX, Nd4j.create(new float[] {1, Float.NaN})),
                        "holds NaN or infinity at position 1"),
                arguments("big-endian", header(h -> h.setEndianness(BundleHeaderProto.Endianness.BIG)), "byte order BIG"),
                arguments("a later version", header(h -> h.getVersionBuilder().setMinConsumer(2)), "for readers of version 2"),
                arguments("no files", header(h -> h.setNumShards(0)), "in 0 files"),
                arguments("files without end", header(h -> h.setNumShards(Integer.MAX_VALUE)), "in 2147483647 files"),
                arguments("more files", header(h -> h.setNumShards(2)), "data-00000-of-00002 does not exist"));
    }

    private static Consumer<BundleFiles> entry(Consumer<BundleEntryProto.Builder> change) {
        return files -> files.change(MATRIX, change);
    }

    private static Consumer<BundleFiles> header(Consumer<BundleHeaderProto.Builder> change) {
        return files -> files.changeHeader(change);
    }

    private static void shape(BundleEntryProto.Builder entry, long... sizes) {
        TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
        Arrays.stream(sizes).forEach(size -> shape.addDim(TensorShapeProto.Dim.newBuilder().setSize(size)));
        entry.setShape(shape);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("lies")
    void aLyingIndexIsRefused(String lie, Consumer<BundleFiles> change, String reason) throws IOException {
        BundleFiles files = some(1);
        change.accept(files);
        files.write(prefix);

        refused(reason);
    }

    private void refused(String reason) {
        assertThatThrownBy(() -> {
            try (TensorBundle bundle = TensorBundle.open(prefix)) {
                bundle.read(MATRIX);
            }
        }).isInstanceOf(IOException.class).hasMessageContaining(prefix.toString()).hasMessageContaining(reason);
    }

    @Test
    void aTableThatIsNoCheckpointIsRefused() throws IOException {
        TreeMap<String, byte[]> table = new TreeMap<>();
        table.put("a", new byte[] {1});
        Files.write(Path.of(prefix + ".index"), TableBytes.of(table));
        refused("without the header of a TensorFlow checkpoint");

        table.put("", new byte[] {7});
        Files.write(Path.of(prefix + ".index"), TableBytes.of(table));
        refused("is damaged");
    }

    @Test
    void missingAndShortenedFilesAreRefused() throws IOException {
        refused("model.ckpt.index does not exist");
        some(1).write(prefix);
        Path data = BundleFiles.file(prefix, 0, 1);
        byte[] values = Files.readAllBytes(data);

        Files.write(data, Arrays.copyOf(values, 40));
        refused("which has 40");

        Files.write(data, values);
        try (TensorBundle bundle = TensorBundle.open(prefix)) {
            Files.write(data, Arrays.copyOf(values, 40));
            assertThatThrownBy(() -> bundle.read(MATRIX)).isInstanceOf(IOException.class)
                    .hasMessageContaining(data + " was shortened");
        }

        Files.delete(data);
        refused("model.ckpt.data-00000-of-00001 does not exist");
    }

    @Test
    void aDamagedValueIsNoticed() throws IOException {
        some(1).write(prefix);
        Path data = BundleFiles.file(prefix, 0, 1);
        byte[] values = Files.readAllBytes(data);
        values[17] ^= 1;
        Files.write(data, values);

        refused("is damaged: its checksum differs");
    }
}
