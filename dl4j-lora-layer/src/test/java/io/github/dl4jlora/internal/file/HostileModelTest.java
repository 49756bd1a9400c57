package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.stored.ModelZip;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * Files made to exhaust memory, stack or time, or to run code: each is refused with an IOException that names the file
 * and what is wrong with it, before anything of the promised size is allocated.
 */
class HostileModelTest extends HostileParameters {

    @Override
    int parameters() {
        return 42;
    }

    @Test
    void shapeInformationIsNeitherBelievedNorAllocated() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeUTF("LONG_SHAPE");
            out.writeLong(1L << 40);
            out.writeUTF("LONG");
        }
        entries.put(COEFFICIENTS, bytes.toByteArray());

        refused(COEFFICIENTS, "its shape claims 1099511627776 numbers");
    }

    @Test
    void stridesThatPointOutsideTheArrayAreIgnored() throws IOException {
        double[] expected = Models.outputs(LoRA.loadComputationGraph(file));
        byte[] coefficients = entries.get(COEFFICIENTS);
        // After "LONG_SHAPE", 8, "LONG": rank, two sizes, then the strides.
        int strides = 2 + 10 + 8 + 2 + 4 + 3 * 8;
        Arrays.fill(coefficients, strides, strides + 16, (byte) 0x7f);
        Zips.write(file, entries);

        assertThat(Models.outputs(LoRA.loadComputationGraph(file))).isEqualTo(expected);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "x", "\0\012LONG_SHAPE"})
    void parametersWithoutAHeaderAreRefused(String content) throws IOException {
        entries.put(COEFFICIENTS, content.getBytes(StandardCharsets.ISO_8859_1));

        refused(COEFFICIENTS);
    }

    /** A configuration of many parameters, and as many zeros, which take a thousandth of that in the file. */
    @Test
    void zerosThatExpandFarMoreThanWeightsDoAreRefused() throws IOException {
        long wide = 3_000_000;
        long length = (6 + 1 + 5) * wide + 5 + (5 + 1) * 3;
        ModelSerializer.writeModel(Networks.trainedLayers(), file.toFile(), false);
        String json = new String(Zips.read(file).get(CONFIGURATION), StandardCharsets.UTF_8);
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry(CONFIGURATION));
            zip.write(json.replaceFirst("\"nout\" : 5", "\"nout\" : " + wide).replaceFirst("\"nin\" : 5", "\"nin\" : " + wide)
                    .getBytes(StandardCharsets.UTF_8));
            Zips.putZeros(zip, COEFFICIENTS, header("FLOAT", length), 1 << 20);
        }

        assertThatThrownBy(() -> ModelZip.restore(file.toFile(), false)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", COEFFICIENTS, length + " values of type FLOAT", "expand");
    }

    @ParameterizedTest
    @CsvSource({"1000000000, 1000000000", "9223372036854775807, 2", "4294967296, 4294967296", "3037000500, 3037000500", "-5, 5"})
    void layersLargerThanTheFileAreRefusedBeforeTheyAreMade(long in, long out) throws IOException {
        ModelSerializer.writeModel(Networks.trainedLayers(), file.toFile(), true);
        entries = Zips.read(file);
        configure(configuration().replaceFirst("(?s)\"nin\" : 5(.*?)\"nout\" : 5", "\"nin\" : " + in + "$1\"nout\" : " + out));
        Zips.write(file, entries);

        assertThatThrownBy(() -> ModelZip.restore(file.toFile(), true)).isInstanceOf(IOException.class)
                .hasMessageContaining("model.zip");
    }

    @Test
    void aRankOfABillionIsRefused() throws IOException {
        configure(configuration().replaceFirst("\"rank\" : 2", "\"rank\" : 1000000000"));

        refused(COEFFICIENTS, "the configuration asks for 1");
    }

    @Test
    void aFrozenLayerWhoseWeightsTheFileLacksIsRefused() throws IOException {
        String id = configuration().replaceAll("(?s).*\"frozen\" : \\{.*?\"id\" : \"([0-9a-f]{64})\".*", "$1");
        configure(configuration().replace(id, id.substring(1) + "0").replaceAll("\"nout\" : \\d+", "\"nout\" : 1000000000"));

        refused("lacks the frozen weights " + id.substring(1) + "0");
    }

    @Test
    void aFrozenLayerLargerThanItsWeightsIsRefused() throws IOException {
        ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).targets("fc2").build());
        LoRA.save(adapted, file, false);
        entries = Zips.read(file);
        int frozen = configuration().indexOf("FrozenBaseLayer");
        configure(configuration().substring(0, frozen)
                + configuration().substring(frozen).replaceFirst("\"nout\" : 5", "\"nout\" : 1000000000"));

        refused("\"fc1\"", "frozen values", "FLOAT W[6,5] b[5]");
    }

    /** Room for effective weights is made when the network is. */
    @Test
    void anAdaptedLstmLargerThanItsWeightsIsRefused() throws IOException {
        LoRA.save(LoRA.apply(lstm(), LoRAConfig.builder().rank(1).targets("lstm/W").build()), file, false);
        entries = Zips.read(file);
        int wide = 100_000;
        configure(configuration().replace("\"nout\" : 4", "\"nout\" : " + wide));
        Zips.write(file, entries);

        assertThatThrownBy(() -> LoRA.loadMultiLayerNetwork(file)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", "\"lstm\"", "40001600000 frozen values", "RW[4,16]");
    }

    @Test
    void anAdaptedLayerLargerThanItsWeightsIsRefused() throws IOException {
        int fc1 = configuration().indexOf("\"fc1\"");
        // 6·2 + 2·5 values of A and B are as many as 1·2 + 2·10.
        configure(configuration().substring(0, fc1) + configuration().substring(fc1)
                .replaceFirst("(?s)\"nin\" : 6(.*?)\"nout\" : 5", "\"nin\" : 1$1\"nout\" : 10"));

        refused("\"fc1\"", "20 frozen values", "W[6,5]");
    }

    /** Entries that fit the file one by one, compressed to a thousandth, but not together. */
    @Test
    @Tag("heavy")
    void frozenEntriesThatTogetherHoldMoreThanTheFileAreRefused() throws IOException {
        int each = 10 << 20;
        StringBuilder index = new StringBuilder();
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry("padding"));
            byte[] padding = new byte[1 << 20];
            new Random(1).nextBytes(padding);
            zip.write(padding);
            for (int i = 1; i <= 20; i++) {
                INDArray zeros = Nd4j.zeros(DataType.FLOAT, each / 4 + i);
                String signature = "FLOAT W[" + zeros.length() + ",1]";
                String id = FrozenWeights.of(zeros, Map.of("W", zeros.reshape(zeros.length(), 1))).id();
                Zips.putZeros(zip, "frozen/" + id, new byte[0], zeros.length() * 4);
                zeros.close();
                index.append(i == 1 ? "{" : ",").append('"').append(id).append("\":\"").append(signature).append('"');
            }
            zip.putNextEntry(new ZipEntry(INDEX));
            zip.write((index + "}").getBytes(StandardCharsets.UTF_8));
        }

        loadIsRefused("is more than the file can hold");
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 1L << 40, Long.MAX_VALUE})
    void updaterStateOfAnotherLengthIsRefused(long length) throws IOException {
        entries.put(UPDATER, header("FLOAT", length));

        refused(UPDATER, "declares " + length + " values");
    }

    @Test
    void updaterStateForUpdatersThatKeepNoneIsRefused() throws IOException {
        configure(configuration().replaceAll("\"@class\" : \"org.nd4j.linalg.learning.config.Adam\"",
                "\"@class\" : \"org.nd4j.linalg.learning.config.Sgd\""));

        refused("updaters without state");
    }

    @Test
    void aHostileBaseAtALocationIsRefusedBeforeItIsMade() throws IOException {
        Path location = folder.resolve("base.zip");
        ModelSerializer.writeModel(Networks.trainedGraph(), location.toFile(), false);
        ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(),
                LoRAConfig.builder().rank(2).baseLocation(location.toUri()).build());
        String json = adapted.getConfiguration().toJson().replaceAll("\"id\" : \"[0-9a-f]", "\"id\" : \"x");
        ComputationGraph elsewhere =
                new ComputationGraph(ComputationGraphConfiguration.fromJson(json));
        elsewhere.init(adapted.params().dup(), false);
        Map<String, byte[]> base = new LinkedHashMap<>(Zips.read(location));
        base.put(COEFFICIENTS, header("FLOAT", 1L << 40));
        Zips.write(location, base);

        assertThatThrownBy(() -> elsewhere.outputSingle(Nd4j.ones(1, Networks.IN))).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll("base.zip", COEFFICIENTS, "declares 1099511627776 values");
    }

    @ParameterizedTest
    @EnumSource
    void soundFilesOfEveryKindPass(Kind kind) throws IOException {
        save(kind);
        Zips.write(file, entries);

        assertThat(Models.outputs(kind.load(file))).hasSize(15);
    }

    /** Legacy headers count in 32 bits. */
    @Test
    void filesOfOldReleasesPass() throws IOException {
        ComputationGraph network = LoRA.loadComputationGraph(file);
        double[] expected = Models.outputs(network);
        entries.put(COEFFICIENTS, RestoreTest.legacyVector(Models.params(network), DataType.FLOAT, 'c'));
        Zips.write(file, entries);

        assertThat(Models.outputs(LoRA.loadComputationGraph(file))).isEqualTo(expected);
    }
}
