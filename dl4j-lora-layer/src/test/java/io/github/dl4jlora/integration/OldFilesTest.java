package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.MemoryBases;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipFile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/**
 * What releases wrote: for each kind of layers and adapters a base, the adapted network as LoRA.save and as DL4J's
 * ModelSerializer write it, its adapter, and what it computed.
 */
@Tag("heavy")
class OldFilesTest {

    /** Layers, by the last words of their names, and settings. */
    private static final List<String> WORDS = List.of("layer.LoRADenseLayer", "layer.AdaptedOutputLayer",
            "layer.LoRAWrapperLayer", "layer.LoRAWrapperVertex", "layer.LowRankLayer", "frozen.FrozenBaseLayer",
            "frozen.FrozenBaseVertex", "frozen.TrainedSameDiffLayer", "frozen.TrainedSameDiffVertex", "layers.DenseLayer",
            "layers.OutputLayer", "layers.RnnOutputLayer", "layers.CenterLossOutputLayer", "layers.ConvolutionLayer",
            "layers.Convolution1DLayer", "layers.Convolution3D", "layers.Deconvolution2D", "layers.Deconvolution3D",
            "layers.DepthwiseConvolution2D", "layers.SeparableConvolution2D", "layers.EmbeddingLayer",
            "layers.EmbeddingSequenceLayer", "layers.LSTM", "layers.GravesLSTM", "layers.GravesBidirectionalLSTM",
            "recurrent.SimpleRnn", "recurrent.Bidirectional", "recurrent.LastTimeStep", "recurrent.TimeDistributed",
            "util.MaskZeroLayer", "layers.SelfAttentionLayer", "layers.RecurrentAttentionLayer", "graph.AttentionVertex",
            "layers.LocallyConnected1D", "layers.LocallyConnected2D", "layers.PrimaryCapsules", "layers.CapsuleLayer",
            "layers.AutoEncoder", "variational.VariationalAutoencoder", "layers.BatchNormalization", "ocnn.OCNNOutputLayer",
            "misc.FrozenLayer", "misc.FrozenLayerWithBackprop", "LoRA", "LoRA-FA", "DoRA", "ALPHA", "ALPHA_OVER_RANK",
            "ALPHA_OVER_SQRT_RANK", "KAIMING_UNIFORM", "KAIMING_UNIFORM_RANK", "GAUSSIAN", "ORTHOGONAL", "PISSA", "OLORA",
            "LOFTQ", "EVA", "LORA_GA", "FUSED", "SAMEDIFF", "EFFECTIVE_WEIGHTS", "SHARED", "EMBEDDED", "INT8", "NF4");

    private static final double SAME = 2e-6;

    @TempDir
    private Path temporary;

    static Stream<OldFolder> saved() throws IOException {
        return having(OldFolder.SAVED);
    }

    static Stream<OldFolder> serialized() throws IOException {
        return having(OldFolder.SERIALIZED);
    }

    static Stream<OldFolder> adapters() throws IOException {
        return having(OldFolder.ADAPTER);
    }

    static Stream<OldFolder> zippedAdapters() throws IOException {
        return having(OldFolder.ADAPTER_ZIP);
    }

    static Stream<OldFolder> mapped() throws IOException {
        return having(OldFolder.MAPPED);
    }

    static Stream<OldFolder> objects() throws IOException {
        return having(OldFolder.OBJECT);
    }

    private static Stream<OldFolder> having(String file) throws IOException {
        return OldFolder.all().filter(folder -> folder.has(file));
    }

    /** An old file's settings and updater state are of use; 0.1.0 did not say what comes of another step. */
    @ParameterizedTest
    @MethodSource("saved")
    void aNetworkThatLoRASavedComputesWhatItDidGoesOnTrainingAndTakesItsAdapterBack(OldFolder folder) throws IOException {
        Path file = folder.file(OldFolder.SAVED);
        Model network = LoRA.load(file);

        assertComputesWhatItDid(network, folder);
        assertThat(LoRA.isSelfContained(file)).isTrue();
        assertThat(LoRA.restoreNormalizer(file)).isEqualTo(
                folder.is("normalised") ? Optional.of(OldKinds.NORMALIZER) : Optional.empty());
        if (folder.is("frozen")) {
            assertThat(network.numParams()).isZero();
            return;
        }
        INDArray before = network.params().dup();

        OldFolder.step(network, folder.arrays(OldFolder.FEATURES), folder.arrays(OldFolder.OUTPUT));

        assertThat(network.params()).isNotEqualTo(before);
        if (!folder.isOf("0.1.0")) {
            assertComputes(folder, network, OldFolder.CONTINUED, 1e-4);
        }
        if (folder.has(OldFolder.ADAPTER)) {
            LoRAAdapter.load(folder.file(OldFolder.ADAPTER)).applyTo(network);
            assertComputesWhatItDid(network, folder);
        }
    }

    @ParameterizedTest
    @MethodSource("serialized")
    void aNetworkThatModelSerializerWroteComputesWhatItDidOnItsBase(OldFolder folder) throws IOException {
        if (folder.is("located")) {
            MemoryBases.put(folder.location(), Files.readAllBytes(folder.file(OldFolder.BASE)));
        }
        File file = folder.file(OldFolder.SERIALIZED).toFile();
        Model restored = LoRA.restore(file.toPath(), true);
        Model theirs = restored instanceof ComputationGraph ? ModelSerializer.restoreComputationGraph(file)
                : ModelSerializer.restoreMultiLayerNetwork(file);
        boolean lacksItsBase = folder.has(OldFolder.BASE) && !folder.is("embedded") && !folder.is("located");
        Model base = lacksItsBase ? base(folder) : null;

        for (Model network : List.of(restored, theirs)) {
            if (lacksItsBase) {
                Models.attach(network, base);
            }
            assertComputesWhatItDid(network, folder);
        }
    }

    @ParameterizedTest
    @MethodSource("objects")
    void aNetworkThatJavaSerializedComputesWhatItDidOnItsBase(OldFolder folder) throws IOException, ClassNotFoundException {
        // DL4J closes what it reads from.
        Model network = (Model) new ObjectInputStream(new ByteArrayInputStream(Files.readAllBytes(folder.file(OldFolder.OBJECT))))
                .readObject();
        Models.attach(network, base(folder));

        assertComputesWhatItDid(network, folder);
    }

    @ParameterizedTest
    @MethodSource("adapters")
    void anAdapterAppliesToItsBase(OldFolder folder) throws IOException {
        assertAppliesToItsBase(LoRAAdapter.load(folder.file(OldFolder.ADAPTER)), folder);
    }

    @ParameterizedTest
    @MethodSource("zippedAdapters")
    void anAdapterInOneFileAppliesToItsBase(OldFolder folder) throws IOException {
        try (InputStream zip = Files.newInputStream(folder.file(OldFolder.ADAPTER_ZIP))) {
            assertAppliesToItsBase(LoRAAdapter.loader().load(zip), folder);
        }
    }

    /** By the copy of the configuration in the tensors' file. */
    @ParameterizedTest
    @MethodSource("zippedAdapters")
    void theTensorsOfAnAdapterAloneApplyToItsBase(OldFolder folder) throws IOException {
        String tensors = "adapter_model.safetensors";
        Files.copy(folder.file(OldFolder.ADAPTER).resolve(tensors), temporary.resolve(tensors));

        assertAppliesToItsBase(LoRAAdapter.load(temporary), folder);
    }

    private static void assertAppliesToItsBase(LoRAAdapter adapter, OldFolder folder) throws IOException {
        Model base = base(folder);
        Model network = folder.has(OldFolder.MAPPED) ? Models.with(base, adapter)
                : Models.with(base, adapter, LoRAConfig.builder().quantize(scheme(folder)).build());

        // Matrices of adapted recurrent layers stayed as they were before 0.3.0, those of frozen ones before 0.4.0.
        boolean hasRecurrent = folder.is("sequences") || folder.is("words") || folder.is("two");
        boolean isOfMoreBits = hasRecurrent && scheme(folder) != null;
        assertComputes(folder, network, OldFolder.OUTPUT, isOfMoreBits ? 0.05 : SAME);
    }

    @ParameterizedTest
    @MethodSource("mapped")
    void aMappedBaseComputesWhatItDidAndServesTheNetworkOnIt(OldFolder folder) throws IOException {
        Path file = folder.file(OldFolder.MAPPED);
        Model opened = LoRA.openBase(file);
        Model network = LoRA.restore(folder.file(OldFolder.SERIALIZED), true);
        Models.attach(network, opened);

        assertThat(LoRA.isBase(file)).isTrue();
        assertComputes(folder, opened, OldFolder.BASE_OUTPUT, 2e-6);
        assertComputesWhatItDid(network, folder);
    }

    @ParameterizedTest
    @CsvSource({"0.1.0, base.zip, 11", "0.1.0, saved.zip, 11", "0.1.0, serialized.zip, 12", "0.1.0, adapter, 11",
        "0.1.0, output.txt, 12", "0.2.0, base.zip, 97", "0.2.0, base.mapped, 4", "0.2.0, saved.zip, 91",
        "0.2.0, serialized.zip, 91", "0.2.0, object.bin, 1", "0.2.0, adapter, 86", "0.2.0, adapter.zip, 2",
        "0.2.0, continued.txt, 86", "0.2.0, output.txt, 99", "0.3.0, base.zip, 97", "0.3.0, base.mapped, 4",
        "0.3.0, saved.zip, 91", "0.3.0, serialized.zip, 91", "0.3.0, object.bin, 1", "0.3.0, adapter, 86",
        "0.3.0, adapter.zip, 2", "0.3.0, continued.txt, 86", "0.3.0, output.txt, 99"})
    void noneOfTheFilesIsLost(String release, String file, int count) throws IOException {
        assertThat(OldFolder.all().filter(folder -> folder.isOf(release) && folder.has(file))).hasSize(count);
    }

    @ParameterizedTest
    @ValueSource(strings = {"0.2.0", "0.3.0"})
    void networksThatAReleaseWroteHaveAllLayersAndSettings(String release) throws IOException {
        String configurations = Stream.concat(saved(), serialized()).filter(folder -> folder.isOf(release))
                .map(OldFilesTest::configuration).collect(Collectors.joining());

        assertThat(WORDS).allMatch(word -> Pattern.compile("[\".]" + Pattern.quote(word) + '"').matcher(configurations).find());
    }

    private static String configuration(OldFolder folder) {
        String file = folder.has(OldFolder.SAVED) ? OldFolder.SAVED : OldFolder.SERIALIZED;
        try (ZipFile zip = new ZipFile(folder.file(file).toFile());
                InputStream in = zip.getInputStream(zip.getEntry("configuration.json"))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Model base(OldFolder folder) throws IOException {
        return folder.has(OldFolder.MAPPED) ? LoRA.openBase(folder.file(OldFolder.MAPPED))
                : LoRA.restore(folder.file(OldFolder.BASE), false);
    }

    /** {@return how the network keeps its base in fewer bits; null: as it is} */
    private static Quantization scheme(OldFolder folder) {
        return Stream.of(Quantization.values()).filter(scheme -> folder.is(scheme.toString().toLowerCase(Locale.ROOT)))
                .findFirst().orElse(null);
    }

    private static void assertComputesWhatItDid(Model network, OldFolder folder) throws IOException {
        assertComputes(folder, network, OldFolder.OUTPUT, SAME);
    }

    private static void assertComputes(OldFolder folder, Model network, String file, double closeness) throws IOException {
        INDArray[] expected = folder.arrays(file);
        INDArray[] outputs = OldFolder.outputs(network, folder.arrays(OldFolder.FEATURES));

        assertThat(outputs).hasSameSizeAs(expected);
        for (int i = 0; i < expected.length; i++) {
            boolean coarse = expected[i].dataType() == DataType.HALF || expected[i].dataType() == DataType.BFLOAT16;
            assertThat(outputs[i].dataType()).isEqualTo(expected[i].dataType());
            assertThat(Models.values(outputs[i])).containsExactly(Models.values(expected[i]), within(coarse ? 0.02 : closeness));
        }
    }
}
