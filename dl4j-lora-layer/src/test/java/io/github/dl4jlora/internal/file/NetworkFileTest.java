package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.stored.StoredConfiguration;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.schedule.FixedSchedule;
import org.nd4j.linalg.schedule.RampSchedule;

import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Self-contained files of adapted networks, and everything else that may lie where one is expected. */
class NetworkFileTest {

    @TempDir
    Path folder;
    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("model.zip");
    }

    @ParameterizedTest
    @EnumSource
    void aLoadedNetworkTrainsOnAsTheSavedOne(Kind kind) throws IOException {
        Model adapted = kind.adapt(kind.base());
        Models.fitSteps(adapted, 0, 3);
        List<Long> frozen = Models.frozen(adapted);

        LoRA.save(adapted, file, true);
        Model loaded = kind.load(file);

        assertThat(Models.outputs(loaded)).isEqualTo(Models.outputs(adapted));
        assertThat(Models.updaterState(loaded)).isEqualTo(Models.updaterState(adapted));
        Models.fitSteps(loaded, 3, 6);
        Models.fitSteps(adapted, 3, 6);
        assertThat(Models.params(loaded)).isEqualTo(Models.params(adapted));
        assertThat(Models.frozen(loaded)).isEqualTo(frozen).isEqualTo(Models.frozen(adapted));
    }

    /** An entry that shrinks a thousandfold, as many zeros do, could not be told from one that is made to fill the memory. */
    @Test
    void whatHoldsValuesIsNotCompressed() throws IOException {
        Model adapted = Kind.LAYERS_SHARED.adapt(Networks.trainedLayers());
        adapted.params().assign(0);

        LoRA.save(adapted, file, true);

        try (ZipFile zip = new ZipFile(file.toFile())) {
            List<? extends ZipEntry> values = zip.stream().filter(entry -> !entry.getName().endsWith(".json")).toList();
            assertThat(values).extracting(ZipEntry::getName)
                    .contains(ModelSerializer.COEFFICIENTS_BIN, ModelSerializer.UPDATER_BIN);
            assertThat(values).allSatisfy(entry ->
                    assertThat(entry.getCompressedSize()).as(entry.getName()).isGreaterThanOrEqualTo(entry.getSize()));
        }
    }

    @Test
    void aNetworkThatCouldNeverBeReadIsNotWritten() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder().name("o".repeat(StoredConfiguration.LONGEST)).nIn(2).nOut(2).build()).build());

        assertThatThrownBy(() -> LoRA.writeBase(base, file, null)).isInstanceOf(IOException.class)
                .hasMessageContaining("not written", "longer than " + StoredConfiguration.LONGEST + " bytes");
        assertThat(file).doesNotExist();
    }

    /** The registry holds weights weakly; the base, which would hold them too, is gone. */
    @ParameterizedTest
    @EnumSource
    void aLoadedNetworkHoldsItsWeights(Kind kind) throws Exception {
        double[] expected = saveAndForget(kind);
        Model loaded = kind.load(file);

        System.gc();

        assertThat(Models.outputs(loaded)).isEqualTo(expected);
    }

    private double[] saveAndForget(Kind kind) throws Exception {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        LoRA.save(adapted, file, false);
        double[] outputs = Models.outputs(adapted);
        WeakReference<Model> gone = new WeakReference<>(base);
        base = null;
        adapted = null;
        for (int i = 0; i < 100 && gone.get() != null; i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertThat(gone.get()).isNull();
        return outputs;
    }

    /** DL4J writes this schedule as JSON and has no way to read it. */
    @ParameterizedTest
    @EnumSource(names = {"LAYERS_SHARED", "GRAPH_SHARED"})
    void aNetworkWithAScheduleThatCannotBeReadIsNotWritten(Kind kind) {
        Model adapted = Models.apply(kind.base(), kind.config().updater(
                new Adam(new RampSchedule(new FixedSchedule(0.01), 5))).build());

        assertThatThrownBy(() -> LoRA.save(adapted, file, true)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("is not written", "RampSchedule");
        assertThat(file).doesNotExist();
    }

    @Test
    void aFileOfTheOtherNetworkTypeNamesTheMethodForIt() throws IOException {
        LoRA.save(Kind.GRAPH_SHARED.adapt(Networks.trainedGraph()), file, false);
        Path layers = folder.resolve("layers.zip");
        LoRA.save(Kind.LAYERS_SHARED.adapt(Networks.trainedLayers()), layers, false);

        refused(() -> LoRA.loadMultiLayerNetwork(file), "holds a ComputationGraph: use LoRA.loadComputationGraph");
        assertThat(LoRA.load(file)).isInstanceOf(ComputationGraph.class);
        assertThat(LoRA.load(layers)).isInstanceOf(MultiLayerNetwork.class);
        assertThatThrownBy(() -> LoRA.loadComputationGraph(layers)).isInstanceOf(IOException.class)
                .hasMessageContaining("layers.zip holds a MultiLayerNetwork: use LoRA.loadMultiLayerNetwork");
    }

    @Test
    void aMissingFileIsNamed() {
        refused("does not exist");
    }

    @Test
    void aFolderIsNoFile() throws IOException {
        Files.createDirectory(file);

        refused("is a folder, but a saved network is a file");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "not a zip at all, only text"})
    void somethingElseThanAZipIsRefused(String content) throws IOException {
        Files.writeString(file, content);

        refused("not a saved network");
    }

    @Test
    void someOtherZipIsRefused() throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry("holiday.jpg"));
            zip.write(1);
        }

        refused("was not written by LoRA.save");
    }

    @Test
    void aPlainModelIsSentToModelSerializerAndAttach() throws IOException {
        ModelSerializer.writeModel(Networks.trainedGraph(), file.toFile(), true);

        refused("was not written by LoRA.save", "ModelSerializer", "LoRA.attach");
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.01, 0.3, 0.7, 0.95, 0.999})
    void aTruncatedFileIsRefused(double fraction) throws IOException {
        byte[] whole = saved();

        Files.write(file, Arrays.copyOf(whole, (int) (whole.length * fraction)));

        refused("truncated");
    }

    @Test
    void aFlippedByteInAFrozenEntryIsFoundByItsContentId() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        LoRA.save(Kind.GRAPH_SHARED.adapt(base), file, false);
        byte[] bytes = Files.readAllBytes(file);
        float weight = base.getParam("fc1_W").getFloat(0);
        int position = indexOf(bytes, ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(weight).array());

        bytes[position] ^= 1;
        Files.write(file, bytes);

        refused("is damaged: the frozen weights", "FLOAT W[6,5] b[5]", "hash to");
    }

    /** Wherever a bit flips, the file is refused or it did not matter: there is never another network in it. */
    @Test
    void noFlippedBitMakesAnotherNetwork() throws IOException {
        ComputationGraph adapted = (ComputationGraph) Kind.GRAPH_SHARED.adapt(Networks.trainedGraph());
        Models.fitSteps(adapted, 0, 2);
        LoRA.save(adapted, file, true);
        byte[] whole = Files.readAllBytes(file);
        double[] expected = Models.outputs(adapted);
        int refused = 0;
        int tried = 0;
        for (int position = 0; position < whole.length; position += 41, tried++) {
            byte[] damaged = whole.clone();
            damaged[position] ^= (byte) (1 << position % 8);
            Files.write(file, damaged);
            try {
                assertThat(Models.outputs(LoRA.loadComputationGraph(file))).as("byte %d", position).isEqualTo(expected);
            } catch (IOException e) {
                assertThat(e).hasMessageContaining("model.zip");
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(tried / 2);
    }

    @Test
    void aMissingFolderIsMadeOnSave() throws IOException {
        Path nowhere = folder.resolve("no").resolve("where").resolve("model.zip");

        LoRA.save(Kind.GRAPH_SHARED.adapt(Networks.trainedGraph()), nowhere, true);

        assertThat(LoRA.loadComputationGraph(nowhere)).isNotNull();
    }

    @Test
    void aSaveThatFailsHalfWayLeavesTheOldFile() throws IOException {
        byte[] old = saved();
        Model adapted = Kind.GRAPH_SHARED.adapt(Networks.trainedGraph());
        INDArray closed = Networks.random(DataType.FLOAT, 1, 30);
        FrozenWeights weights = FrozenWeights.of(closed, Map.of("W", closed.reshape(5, 6)));
        closed.close();

        assertThatThrownBy(() -> NetworkFile.save(adapted, List.of(weights), file, true)).isInstanceOf(RuntimeException.class);

        assertThat(Files.readAllBytes(file)).isEqualTo(old);
        assertThat(names()).containsExactly("model.zip");
        assertThat(Models.outputs(LoRA.loadComputationGraph(file))).hasSize(15);
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void aBaseThatMovedIsNotSaved(Kind kind) throws IOException {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        LoRA.save(adapted, file, true);
        byte[] old = Files.readAllBytes(file);

        Models.fit(base, 5);

        assertThatThrownBy(() -> LoRA.save(adapted, file, true)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("have changed");
        assertThat(Files.readAllBytes(file)).isEqualTo(old);
    }

    private byte[] saved() throws IOException {
        LoRA.save(Kind.GRAPH_SHARED.adapt(Networks.trainedGraph()), file, true);
        return Files.readAllBytes(file);
    }

    private void refused(String... parts) {
        refused(() -> LoRA.loadComputationGraph(file), parts);
        refused(() -> LoRA.loadMultiLayerNetwork(file), parts);
    }

    private void refused(ThrowingCallable load, String... parts) {
        assertThatThrownBy(load).isInstanceOf(IOException.class).hasMessageContaining("model.zip").hasMessageContainingAll(parts);
    }

    private static int indexOf(byte[] bytes, byte[] sought) {
        for (int i = 0; i <= bytes.length - sought.length; i++) {
            if (Arrays.equals(bytes, i, i + sought.length, sought, 0, sought.length)) {
                return i;
            }
        }
        throw new AssertionError("not found");
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }
}
