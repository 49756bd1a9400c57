package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Bases in fewer bits on the command line. */
class QuantizeTest {

    private static final double ROUNDING = 1e-5;

    @TempDir
    private Path folder;
    private Shell shell;
    private final MultiLayerNetwork base = Networks.layers(1);
    private final INDArray input = Networks.input();

    @BeforeEach
    void saveThem() throws IOException {
        shell = new Shell(folder);
        ModelSerializer.writeModel(base, file("base.zip").toFile(), true);
        MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);
        LoRA.save(tuned, file("tuned.zip"), true);
        LoRAAdapter.of(tuned).save(file("spam"));
    }

    private Path file(String name) {
        return folder.resolve(name);
    }

    @Test
    void quantizeMakesABaseThatServesAndIsAdapted() throws IOException {
        assertThat(shell.run("quantize", "--as", "int8", "@base.zip", "-o", "@small.zip")).as(shell.err()).isZero();
        assertThat(shell.out()).contains("stored as", "INT8", "bytes of weights instead of", "largest error of a layer");
        assertThat(shell.run("quantize", "--as", "nf4", "@base.zip", "-o", "@smaller.zip", "--json")).isZero();
        JsonNode facts = shell.json();
        assertThat(facts.get("bytesBefore").asLong()).isEqualTo(4 * base.numParams());
        assertThat(facts.get("bytesAfter").asLong()).isLessThan(facts.get("bytesBefore").asLong());
        assertThat(facts.get("largestError").asDouble()).isBetween(0.01, 0.3);

        MultiLayerNetwork small = LoRA.loadMultiLayerNetwork(file("small.zip"));
        assertThat(small.output(input)).isEqualTo(LoRA.freeze(base, Quantization.INT8).output(input));
        assertThat(shell.run("apply", "@small.zip", "@spam", "-o", "@adapted.zip")).as(shell.err()).isZero();
        assertThat(shell.run("merge", "@small.zip", "@spam", "-o", "@plain.zip")).as(shell.err()).isZero();
        assertThat(ModelSerializer.restoreMultiLayerNetwork(file("plain.zip").toFile()).output(input)
                .sub(LoRA.loadMultiLayerNetwork(file("adapted.zip")).output(input)).amaxNumber().doubleValue())
                .isLessThan(ROUNDING);
        assertThat(shell.run("inspect", "@spam", "--base", "@small.zip")).as(shell.err()).isZero();
    }

    @Test
    void anAdapterIsTakenOutOfANetworkInFewerBitsBeforeWhatNeedsItsBase() throws IOException {
        assertThat(shell.run("apply", "@base.zip", "@spam", "--quantize", "int8", "-o", "@small.zip")).as(shell.err()).isZero();

        for (String command : List.of("report @small.zip -o @page.html", "onnx @small.zip --separate -o @base.onnx")) {
            assertThat(shell.run(command.split(" "))).as(command).isEqualTo(1);
            assertThat(shell.err()).contains("small.zip holds its base in INT8", "dl4j-lora export " + file("small.zip"),
                    "dl4j-lora " + command.substring(0, command.indexOf(' ')) + " BASE ADAPTER");
        }
        assertThat(shell.run("export", "@small.zip", "-o", "@out")).as(shell.err()).isZero();
        assertThat(shell.run("report", "@base.zip", "@out", "-o", "@page.html")).as(shell.err()).isZero();
        assertThat(shell.run("onnx", "@base.zip", "@out", "--separate", "-o", "@base.onnx")).as(shell.err()).isZero();
    }

    @Test
    void aMappedFileIsABaseLikeAnyOther() throws IOException {
        assertThat(shell.run("quantize", "--as", "int8", "@base.zip", "-o", "@small.zip")).as(shell.err()).isZero();
        assertThat(shell.run("quantize", "--as", "int8", "@base.zip", "--mapped", "-o", "@shared.base")).as(shell.err()).isZero();
        assertThat(shell.run("inspect", "@shared.base")).as(shell.err()).isZero();
        assertThat(shell.out()).contains("a frozen network", "INT8");
        assertThat(shell.run("apply", "@shared.base", "@spam", "-o", "@one.zip")).as(shell.err()).isZero();
        assertThat(shell.run("apply", "@small.zip", "@spam", "-o", "@other.zip")).as(shell.err()).isZero();
        assertThat(LoRA.loadMultiLayerNetwork(file("one.zip")).output(input))
                .isEqualTo(LoRA.loadMultiLayerNetwork(file("other.zip")).output(input));
    }

    @Test
    void quantizeHalvesABase() throws IOException {
        assertThat(shell.run("quantize", "--as", "bf16", "@base.zip", "-o", "@half.zip", "--json")).as(shell.err()).isZero();

        assertThat(shell.json().get("storedAs").asText()).isEqualTo("BF16");
        assertThat(shell.json().get("bytesAfter").asDouble() / shell.json().get("bytesBefore").asDouble())
                .as("bytes, biases included").isBetween(0.5, 0.6);
        assertThat(shell.json().get("largestError").asDouble()).isBetween(0.001, 1 / 256.0);
        assertThat(LoRA.loadMultiLayerNetwork(file("half.zip")).output(input))
                .isEqualTo(LoRA.freeze(base, Quantization.BF16).output(input));
    }

    @Test
    @DisabledOnOs(value = OS.MAC, architectures = "aarch64", disabledReason = "DL4J's HDF5 has no code for Apple's processors")
    void quantizeAndApplyReadKerasFilesToo() throws IOException {
        Path keras = Path.of("../../dl4j-lora-layer/src/test/resources/keras/characters.h5");

        assertThat(shell.run("quantize", "--as", "int8", keras.toString(), "-o", "@small.zip")).as(shell.err()).isZero();
        assertThat(shell.run("apply", keras.toString(), "--quantize", "int8", "--rank", "2", "-o", "@keras.zip"))
                .as(shell.err()).isZero();

        for (String network : List.of("small.zip", "keras.zip")) {
            assertThat(LoRA.summary(LoRA.load(file(network))).rows()).extracting(LoRASummary.Row::storedAs).contains("INT8");
        }
    }

    @Test
    void inspectTellsHowANetworkIsKept() throws IOException {
        assertThat(shell.run("quantize", "--as", "int8", "@base.zip", "-o", "@small.zip")).isZero();

        assertThat(shell.run("inspect", "@small.zip")).as(shell.err()).isZero();
        assertThat(shell.out()).contains("a frozen network, a MultiLayerNetwork", "stored as", "INT8", " %");
        assertThat(shell.run("inspect", "@small.zip", "--json")).isZero();
        JsonNode layer = shell.json().get("layers").get(0);
        assertThat(shell.json().get("kind").asText()).isEqualTo("FROZEN");
        assertThat(layer.get("storedAs").asText()).isEqualTo("INT8");
        assertThat(layer.get("bytes").asLong()).isLessThan(4 * layer.get("frozen").asLong());
        assertThat(layer.get("error").asDouble()).isPositive();
        assertThat(shell.run("inspect", "@tuned.zip", "--json")).isZero();
        assertThat(shell.json().get("layers").get(0).get("storedAs").asText()).isEqualTo("FLOAT");
        assertThat(shell.json().get("layers").get(0).get("error").isNull()).isTrue();
    }

    @Test
    void applyKeepsTheBaseInFewerBitsWhenAskedTo() throws IOException {
        assertThat(shell.run("apply", "@base.zip", "--rank", "2", "--quantize", "nf4", "-o", "@fresh.zip")).as(shell.err())
                .isZero();
        assertThat(shell.run("apply", "@base.zip", "@spam", "--quantize", "int8", "-o", "@adapted.zip")).as(shell.err()).isZero();

        assertThat(LoRA.loadMultiLayerNetwork(file("fresh.zip")).output(input)).isEqualTo(LoRA.apply(base,
                LoRAConfig.builder().rank(2).quantize(Quantization.NF4).build()).output(input));
        assertThat(LoRA.loadMultiLayerNetwork(file("adapted.zip")).output(input)).isEqualTo(
                LoRA.apply(LoRA.freeze(base, Quantization.INT8), LoRAAdapter.load(file("spam"))).output(input));
    }

    @Test
    void applyStoresLayersAsPlanSays() throws IOException {
        assertThat(shell.run("plan", "@base.zip", "--targets", "fc1", "--trainable", "out", "--quantize", "nf4", "--batch", "4",
                "--json")).as(shell.err()).isZero();
        JsonNode planned = shell.json().get("layers");
        assertThat(shell.run("apply", "@base.zip", "--rank", "2", "--targets", "fc1", "--trainable", "out", "--quantize", "nf4",
                "-o", "@tuned.zip", "--force")).as(shell.err()).isZero();

        MultiLayerNetwork adapted = LoRA.loadMultiLayerNetwork(file("tuned.zip"));
        assertThat(LoRA.summary(adapted).rows()).extracting(LoRASummary.Row::storedAs)
                .containsExactly("NF4", "NF4", "FLOAT");
        assertThat(planned).extracting(layer -> layer.get("storedAs").asText()).containsExactly("NF4", "NF4", "FLOAT");
        assertThat(adapted.getLayer(2).getParam("W")).isEqualTo(base.getLayer(2).getParam("W"));
    }

    @Test
    void aFrozenCheckpointIsKnownAsOne() throws IOException {
        ModelSerializer.writeModel(LoRA.freeze(base), file("frozen.zip").toFile(), false);

        assertThat(shell.run("inspect", "@frozen.zip")).as(shell.err()).isZero();
        assertThat(shell.out()).contains("a frozen network as ModelSerializer writes it");
        assertThat(shell.run("merge", "@frozen.zip", "@spam", "--base", "@base.zip", "-o", "@merged.zip")).as(shell.err())
                .isZero();
        assertThat(ModelSerializer.restoreMultiLayerNetwork(file("merged.zip").toFile()).output(input)
                .sub(LoRA.apply(base, LoRAAdapter.load(file("spam"))).output(input)).amaxNumber().doubleValue())
                .isLessThan(ROUNDING);
    }
}
