package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.Damage;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Files of bases that were made to be mapped and do harm: each is refused with an IOException that names the file. */
class HostileBaseTest {

    private static final int PREFIX = 16;

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void aSoundFile() throws IOException {
        file = folder.resolve("base.lora");
        LoRA.writeBase(Networks.trainedGraph(), file, Quantization.INT8);
    }

    private static ByteBuffer numbers(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static int headerLength(byte[] bytes) {
        return (int) numbers(bytes).getLong(8);
    }

    private static int begin(int headerLength) {
        return (PREFIX + headerLength + 63) / 64 * 64;
    }

    /** The same file with another header. */
    private void header(String from, String to) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        int length = headerLength(bytes);
        String header = new String(bytes, PREFIX, length, StandardCharsets.UTF_8);
        assertThat(header).containsPattern(from);
        byte[] other = header.replaceFirst(from, to).getBytes(StandardCharsets.UTF_8);
        byte[] changed = new byte[begin(other.length) + bytes.length - begin(length)];
        System.arraycopy(bytes, 0, changed, 0, 8);
        numbers(changed).putLong(8, other.length);
        System.arraycopy(other, 0, changed, PREFIX, other.length);
        System.arraycopy(bytes, begin(length), changed, begin(other.length), bytes.length - begin(length));
        Files.write(file, changed);
    }

    private void refused(String... parts) {
        assertThatThrownBy(() -> LoRA.openBase(file)).isInstanceOf(IOException.class).hasMessageContaining("base.lora")
                .satisfies(e -> assertThat(List.of(parts)).allSatisfy(part -> assertThat(e).hasMessageContaining(part)));
    }

    @Test
    void otherFilesAreRefused() throws IOException {
        Files.write(file, new byte[100]);
        refused("LoRA.writeBase");
        Files.write(file, new byte[3]);
        refused("LoRA.writeBase");
        Files.delete(file);
        refused("does not exist");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 33, 1_000_000})
    void aHeaderThatIsLongerThanTheFileIsRefused(long length) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        numbers(bytes).putLong(8, length);
        Files.write(file, bytes);

        refused("header", String.valueOf(length));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"format\":1             | \"format\":2             | format 2",
        "\"format\":1             | \"format\":[[[[[[[[[1]]]]]]]]]    | nested",
        "\"layers\":\\[           | \"layers\":[null,        | lacks",
        "\"offset\":0             | \"offset\":-64           | -64",
        "\"offset\":0             | \"offset\":4             | are said to begin at",
        "\"offset\":0             | \"offset\":64            | are said to begin at",
        "\"offset\":0             | \"offset\":9223372036854775744    | are said to begin at",
        "\"length\":\\d+,\"inter   | \"length\":1,\"inter      | parts",
        "\"length\":\\d+}         | \"length\":1}            | take",
        "\"lines\":\\d+           | \"lines\":3037000500     | parts",
        "\"lines\":\\d+           | \"lines\":0              | parts",
        "\"signature\":\"FLOAT    | \"signature\":\"DOUBLE   | take",
        "\"signature\":\"FLOAT    | \"signature\":\"LONG     | does not describe",
        "\"scheme\":\"INT8\"      | \"scheme\":\"NF4\"       | take",
        "\"id\":\"[0-9a-f]{4}     | \"id\":\"zzzz            | lacks the frozen weights",
        "nout\\\\\" : \\d+        | nout\\\\\\\\\" : 1000000000     | ",
        "FrozenBaseLayer          | NoSuchLayer              | NoSuchLayer",
    })
    void aHeaderThatContradictsItselfOrTheFileIsRefused(String from, String to, String message) throws IOException {
        header(from, to);

        refused(message == null ? "restored" : message);
    }

    @Test
    void aConfigurationThatAsksForOtherShapesIsRefused() throws IOException {
        MultiLayerNetwork narrow = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().nIn(6).nOut(5).hasBias(false).name("narrow").build())
                .layer(new OutputLayer.Builder().nIn(6).nOut(2).activation(Activation.SOFTMAX).build()).build());
        LoRA.writeBase(narrow, file, Quantization.INT8);
        header("nin\\\\\" : 6(.*?)nout\\\\\" : 5", "nin\\\\\" : 5$1nout\\\\\" : 6");

        refused("narrow", "W[5,6]", "W[6,5]");
    }

    @Test
    void layersThatAreNotFrozenAreRefused() throws IOException {
        LoRA.writeBase(Networks.trainedLayers(), file, null);
        header("\\\\\"frozen\\\\\" : .*?\\\\\"origin", "\\\\\"frozen\\\\\" : null, \\\\\"origin");

        refused("not frozen");
    }

    @Test
    void scalesThatNoMatrixHasAreRefused() throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        String header = new String(bytes, PREFIX, headerLength(bytes), StandardCharsets.UTF_8);
        int length = Integer.parseInt(header.replaceFirst("(?s).*?\"offset\":0,\"length\":(\\d+).*", "$1"));
        numbers(bytes).putFloat(begin(headerLength(bytes)) + length - 4, Float.NaN);
        Files.write(file, bytes);

        refused("NaN");
    }

    @ParameterizedTest
    @NullSource
    @EnumSource(Quantization.class)
    void aTruncatedFileIsRefused(Quantization scheme) throws IOException {
        LoRA.writeBase(Networks.trainedLayers(), file, scheme);
        byte[] bytes = Files.readAllBytes(file);
        for (int length : new int[] {8, 15, 16, 17, 1000, headerLength(bytes), begin(headerLength(bytes)), bytes.length - 100}) {
            Files.write(file, Arrays.copyOf(bytes, length));
            refused();
        }
    }

    @ParameterizedTest
    @NullSource
    @EnumSource(Quantization.class)
    void layersOfEveryKindAreMapped(Quantization scheme) throws IOException {
        ComputationGraph base = Elsewhere.richBase();
        LoRA.writeBase(base, file, scheme);

        assertThat(Elsewhere.richOutputs(LoRA.openComputationGraphBase(file)))
                .isEqualTo(Elsewhere.richOutputs(LoRA.freeze(base, scheme)));
    }

    @Test
    void damageIsRefusedOrHarmless() throws IOException {
        campaign(41, 150);
    }

    @Test
    @Tag("heavy")
    void muchDamageIsRefusedOrHarmless() throws IOException {
        campaign(42, 1_500);
    }

    private void campaign(long seed, int mutations) throws IOException {
        for (Kind kind : new Kind[] {Kind.GRAPH_SHARED, Kind.LAYERS_SHARED}) {
            for (Quantization scheme : new Quantization[] {null, Quantization.BF16, Quantization.INT8, Quantization.NF4}) {
                LoRA.writeBase(kind.base(), file, scheme);
                byte[] whole = Files.readAllBytes(file);
                Random random = new Random(seed);
                int refused = 0;
                for (int i = 0; i < mutations; i++) {
                    // Another name each: a mapped file must not be shortened.
                    Path damaged = folder.resolve("base.lora" + i);
                    Files.write(damaged, Damage.to(whole, PREFIX + headerLength(whole), ModelFuzzTest.TOKENS, random));
                    refused += isRefused(damaged, "mutation " + i + " of seed " + seed + " to " + kind + " " + scheme) ? 1 : 0;
                    Files.delete(damaged);
                }
                assertThat(refused).as("%s %s refused", kind, scheme).isBetween(mutations / 4, mutations - 1);
            }
        }
    }

    private static boolean isRefused(Path damaged, String description) {
        Model network;
        try {
            network = LoRA.openBase(damaged);
        } catch (IOException e) {
            assertThat(e).as(description).hasMessageContaining("base.lora");
            return true;
        } catch (Throwable e) {
            throw new AssertionError(description + ": open failed with " + e, e);
        }
        try {
            Models.output(network, Networks.random(DataType.FLOAT, 77, 5, Networks.IN));
        } catch (RuntimeException e) {
            // What DL4J's layers say of configurations that fit nothing; the JVM lives on.
            return false;
        }
        return false;
    }
}
