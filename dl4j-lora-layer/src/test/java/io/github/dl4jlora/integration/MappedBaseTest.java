package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.SaveOption;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A base that is used where it lies in its file. */
@Tag("heavy")
class MappedBaseTest {

    private static final INDArray X = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("base.lora");
    }

    /** Kinds of network and schemes; null is none. */
    static Stream<Arguments> all() {
        return Stream.of(Models.Kind.GRAPH_SHARED, Models.Kind.LAYERS_SHARED).flatMap(kind -> Stream.concat(
                Stream.of(Arguments.of(kind, null)), Stream.of(Quantization.values()).map(scheme -> Arguments.of(kind, scheme))));
    }

    private Model opened(Model base, Quantization scheme) throws IOException {
        LoRA.writeBase(base, file, scheme);
        return LoRA.openBase(file);
    }

    private static INDArray output(Model network) {
        return Models.output(network, X);
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(2);
    }

    @ParameterizedTest
    @MethodSource("all")
    void computesWhatTheFrozenBaseDoes(Models.Kind kind, Quantization scheme) throws IOException {
        Model base = kind.base();
        Model opened = opened(base, scheme);

        assertThat(output(opened)).isEqualTo(output(Models.freeze(base, scheme)));
        assertThat(opened).hasSameClassAs(Models.freeze(base, scheme));
        assertThat(Models.topology(opened)).isEqualTo(Models.topology(Models.freeze(base, scheme)));
        assertThatThrownBy(() -> Models.fit(opened, 1)).hasMessageContaining("frozen");
    }

    @ParameterizedTest
    @MethodSource("all")
    void isAdaptedAndTrainedAsTheFrozenBaseIs(Models.Kind kind, Quantization scheme) throws IOException {
        Model base = kind.base();
        Model tuned = Models.apply(opened(base, scheme), config().build());
        Model oracle = Models.apply(Models.freeze(base, scheme), config().build());
        Models.fitSteps(tuned, 0, 3);
        Models.fitSteps(oracle, 0, 3);

        assertThat(tuned.params()).isEqualTo(oracle.params());
        assertThat(output(tuned)).isEqualTo(output(oracle));
        assertThat(output(Models.merge(tuned))).isEqualTo(output(Models.merge(oracle)));
        assertThat(Models.unload(tuned).params()).isEqualTo(Models.unload(oracle).params());
    }

    @ParameterizedTest
    @MethodSource("all")
    void isWrittenAgainAndFrozenAsItIs(Models.Kind kind, Quantization scheme) throws IOException {
        Model opened = opened(kind.base(), scheme);
        Path again = folder.resolve("again.lora");
        LoRA.writeBase(opened, again, null);

        assertThat(output(LoRA.openBase(again))).isEqualTo(output(opened));
        assertThat(output(Models.freeze(opened))).isEqualTo(output(opened));
        assertThat(output(Models.copy(opened))).isEqualTo(output(opened));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void aBaseAsItIsIsQuantisedFromTheFile(Quantization scheme) throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers();
        Model opened = opened(base, null);
        Model tuned = Models.apply(opened, config().quantize(scheme).build());
        Path quantized = folder.resolve("quantized.lora");
        LoRA.writeBase(opened, quantized, scheme);

        assertThat(output(tuned)).isEqualTo(output(LoRA.apply(base, config().quantize(scheme).build())));
        assertThat(output(LoRA.openBase(quantized))).isEqualTo(output(LoRA.freeze(base, scheme)));
    }

    @ParameterizedTest
    @MethodSource("all")
    void whatStandsOnItIsSavedWhole(Models.Kind kind, Quantization scheme) throws IOException {
        Model tuned = Models.apply(opened(kind.base(), scheme), config().build());
        Models.fit(tuned, 1);
        LoRA.save(tuned, folder.resolve("tuned.zip"), true);
        LoRA.save(LoRA.openBase(file), folder.resolve("frozen.zip"), false);
        INDArray before = output(tuned);

        assertThat(output(kind.load(folder.resolve("tuned.zip")))).isEqualTo(before);
        assertThat(output(kind.load(folder.resolve("frozen.zip")))).isEqualTo(output(LoRA.openBase(file)));
    }

    @ParameterizedTest
    @MethodSource("all")
    void isAttachedToWhatDl4jRestored(Models.Kind kind, Quantization scheme) throws IOException {
        Model tuned = Models.apply(opened(kind.base(), scheme), config().build());
        Models.fit(tuned, 1);
        ModelSerializer.writeModel(tuned, folder.resolve("adapter.zip").toFile(), true);
        Model restored = kind.restore(folder.resolve("adapter.zip").toFile(), true);
        Models.attach(restored, LoRA.openBase(file));

        assertThat(output(restored)).isEqualTo(output(tuned));
        Models.fit(restored, 2);
        Models.fit(tuned, 2);
        assertThat(restored.params()).isEqualTo(tuned.params());
    }

    @Test
    void theScopeWithoutAdaptersComputesTheOpenedBase() throws IOException {
        MultiLayerNetwork opened = (MultiLayerNetwork) opened(Networks.trainedLayers(), Quantization.INT8);
        MultiLayerNetwork tuned = LoRA.apply(opened, config().build());
        Models.fit(tuned, 1);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(output(tuned)).isEqualTo(output(LoRA.unload(tuned)));
        }
        assertThat(LoRA.summary(tuned)).isEqualTo(LoRA.summary(LoRA.apply(Networks.trainedLayers(),
                config().quantize(Quantization.INT8).build())));
    }

    @ParameterizedTest
    @CsvSource({"GRAPH_SHARED,", "LAYERS_SHARED, INT8", "GRAPH_SHARED, NF4"})
    void replicasFindItsWeights(Models.Kind kind, Quantization scheme) throws Exception {
        assertReplicasFindItsWeights(kind, scheme);
    }

    @ParameterizedTest
    @MethodSource("all")
    void replicasOfEveryKindFindItsWeights(Models.Kind kind, Quantization scheme) throws Exception {
        assertReplicasFindItsWeights(kind, scheme);
    }

    private void assertReplicasFindItsWeights(Models.Kind kind, Quantization scheme) throws Exception {
        Model tuned = Models.apply(opened(kind.base(), scheme), config().build());
        ParallelWrapper.Builder<Model> builder = new ParallelWrapper.Builder<>(tuned);
        try (ParallelWrapper wrapper = builder.workers(2).prefetchBuffer(0)
                .trainingMode(ParallelWrapper.TrainingMode.AVERAGING).averagingFrequency(2).averageUpdaters(true).build()) {
            wrapper.fit(new ListDataSetIterator<>(Networks.data(DataType.FLOAT, 64, 8).asList(), 8));
        }

        assertThat(output(tuned)).isNotEqualTo(output(LoRA.openBase(file)));
        assertThat(output(Models.copy(tuned))).isEqualTo(output(tuned));
    }

    @Test
    void aBankServesManyAdaptersOnIt() throws IOException {
        MultiLayerNetwork opened = (MultiLayerNetwork) opened(Networks.trainedLayers(), Quantization.INT8);
        MultiLayerNetwork tuned = LoRA.apply(opened, config().build());
        Models.fit(tuned, 1);
        try (AdapterBank bank = new AdapterBank(opened)) {
            bank.add("a", LoRAAdapter.of(tuned));
            assertThat(Networks.difference(bank.output("a", X), output(tuned))).isLessThan(1e-6);
        }
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"DOUBLE", "HALF", "BFLOAT16"})
    void otherDataTypesAreMappedToo(DataType type) throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers().convertDataType(type);
        INDArray x = X.castTo(type);

        assertThat(Models.output(opened(base, null), x)).isEqualTo(Models.output(LoRA.freeze(base), x));
    }

    @Test
    @EnabledOnOs(OS.WINDOWS)
    void aFileThatIsOpenStaysOnWindowsAndTheMessageSaysWhy() throws IOException {
        Model opened = opened(Networks.trainedLayers(), null);
        INDArray before = output(opened);

        assertThatThrownBy(() -> LoRA.writeBase(Models.Kind.LAYERS_SHARED.stranger(), file, null))
                .isInstanceOf(IOException.class).hasMessageContainingAll(file.toString(), "open or mapped", "another name");
        assertThat(output(LoRA.openBase(file))).isEqualTo(before);
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "Windows replaces no file that is mapped")
    void aFileThatIsOpenIsReplacedAndTheNetworkStays() throws IOException {
        Model opened = opened(Networks.trainedLayers(), null);
        Model other = Models.Kind.LAYERS_SHARED.stranger();
        INDArray before = output(opened);
        LoRA.writeBase(other, file, null);

        assertThat(output(opened)).isEqualTo(before);
        assertThat(output(LoRA.openBase(file))).isEqualTo(output(other)).isNotEqualTo(before);
        assertThatThrownBy(() -> LoRA.writeBase(other, file, null, SaveOption.NEW_ONLY))
                .isInstanceOf(FileAlreadyExistsException.class);
    }

    @Test
    void anAdaptedNetworkIsNoBase() {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), config().build());

        assertThatThrownBy(() -> LoRA.writeBase(tuned, file, null)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("fc1").hasMessageContaining("LoRA.merge").hasMessageContaining("LoRA.save");
        assertThat(file).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource({"W,", "b,", "W, INT8", "b, INT8", "b, BF16"})
    void aWeightThatIsNotFiniteIsRefusedByItsLayer(String key, Quantization scheme) {
        MultiLayerNetwork base = Networks.trainedLayers();
        base.getLayer("fc1").getParam(key).putScalar(0, Double.NaN);

        assertThatThrownBy(() -> LoRA.writeBase(base, file, scheme)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("fc1").hasMessageContaining("NaN");
        assertThat(file).doesNotExist();
    }

    @Test
    void whoeverReadsOtherFilesIsToldToOpenIt() throws IOException {
        LoRA.writeBase(Networks.trainedLayers(), file, null);

        assertThatThrownBy(() -> LoRA.load(file)).isInstanceOf(IOException.class)
                .hasMessageContainingAll(file.toString(), "LoRA.openBase");
        assertThatThrownBy(() -> LoRA.loadQuantized(file, Quantization.INT8)).isInstanceOf(IOException.class)
                .hasMessageContainingAll(file.toString(), "LoRA.openBase");
    }

    @Test
    void typedOnesNameTheOther() throws IOException {
        LoRA.writeBase(Networks.trainedLayers(), file, null);

        assertThat(LoRA.openMultiLayerNetworkBase(file).output(X)).isNotNull();
        assertThatThrownBy(() -> LoRA.openComputationGraphBase(file)).hasMessageContaining("base.lora")
                .hasMessageContaining("openMultiLayerNetworkBase");
    }

    @Test
    void otherValuesThanTheIdsSayAreFoundByWhoeverVerifies() throws IOException {
        LoRA.writeBase(Networks.trainedLayers(), file, null);
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 128] ^= 1;
        Files.write(file, bytes);
        MultiLayerNetwork opened = LoRA.openMultiLayerNetworkBase(file);

        assertThatThrownBy(() -> LoRA.apply(opened, config().build())).hasMessageContaining("id was");
        assertThatThrownBy(() -> LoRA.save(opened, folder.resolve("saved.zip"), false)).hasMessageContaining("id was");
    }
}
