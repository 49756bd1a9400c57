package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.report.LoRAPlan;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** {@code dl4j-lora plan} says what the library plans, and asks for what a file does not tell. */
class PlanCommandTest {

    @TempDir
    private Path folder;
    private Shell shell;
    private final MultiLayerNetwork base = Networks.layers(1);

    @BeforeEach
    void saveThem() throws IOException {
        shell = new Shell(folder);
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        MultiLayerNetwork images = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new ConvolutionLayer.Builder(3, 3).name("conv").nOut(4).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.convolutional(9, 9, 2)).build());
        images.init();
        ModelSerializer.writeModel(images, folder.resolve("images.zip").toFile(), false);
    }

    @Test
    void whatTheLibraryPlansIsPrinted() throws IOException {
        LoRAPlan plan = LoRA.plan(base, LoRAConfig.builder().rank(3).targets("fc1").trainable("out")
                .quantize(Quantization.INT8).build(), 64);

        assertThat(shell.run("plan", "@base.zip", "--rank", "3", "--targets", "fc1", "--trainable", "out", "--quantize", "int8",
                "--batch", "64", "--json")).as(shell.err()).isZero();

        JsonNode told = shell.json();
        assertThat(told.get("trainable").asLong()).isEqualTo(plan.layers().trainableParams());
        assertThat(told.get("adapted").get("total").asLong()).isEqualTo(plan.adapted().total());
        assertThat(told.get("full").get("updater").asLong()).isEqualTo(plan.full().updater());
        assertThat(told.get("layers").get(1).get("storedAs").asText()).isEqualTo("INT8");
    }

    @Test
    void whatAnAdaptedLayerDoesNotFollowIsSaid() throws IOException {
        MultiLayerNetwork bounded = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .constrainWeights(new MaxNormConstraint(1, 1)).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(4).nOut(8).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.feedForward(4)).build());
        bounded.init();
        ModelSerializer.writeModel(bounded, folder.resolve("bounded.zip").toFile(), false);
        String note = LoRA.plan(bounded, LoRAConfig.builder().rank(2).build(), 32).layers().notes().get(0);

        assertThat(shell.run("plan", "@bounded.zip", "--rank", "2")).as(shell.err()).isZero();
        assertThat(shell.out()).contains(note);
        assertThat(shell.run("plan", "@bounded.zip", "--rank", "2", "--json")).as(shell.err()).isZero();
        assertThat(shell.json().get("notes").get(0).asText()).isEqualTo(note);
    }

    @Test
    void peopleGetTwoTablesAndNothingIsWritten() throws IOException {
        assertThat(shell.run("plan", "@base.zip", "--rank", "3")).as(shell.err()).isZero();

        assertThat(shell.out()).contains("trainable params: 87", "bytes of training, batch 32", "all parameters",
                "frozen parameters", "updater state", "in all",
                "The adapter's values in a file: 348 bytes.");
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files.map(file -> file.getFileName().toString())).containsExactlyInAnyOrder("base.zip", "images.zip");
        }
    }

    @Test
    void whatApplyRefusesIsRefusedWithTheSameWords() throws IOException {
        assertThat(shell.run("apply", "@base.zip", "--targets", "nobody", "-o", "@new.zip")).isEqualTo(1);
        String apply = shell.err();

        assertThat(shell.run("plan", "@base.zip", "--targets", "nobody")).isEqualTo(1);

        assertThat(shell.err()).isEqualTo(apply.replace("dl4j-lora apply:", "dl4j-lora plan:")).contains("nobody");
    }

    @Test
    void anEmptyBatchIsRefused() throws IOException {
        assertThat(shell.run("plan", "@base.zip", "--batch", "0")).isEqualTo(2);
        assertThat(shell.err()).contains("--batch is 0, but must be at least 1");
    }

    @Test
    void sizesThatTheFileDoesNotTellAreAskedFor() throws IOException {
        assertThat(shell.run("plan", "@images.zip", "--targets", "conv")).isEqualTo(1);
        assertThat(shell.err()).contains("\"conv\" (ConvolutionLayer)", "Give it with --input: rows:SIZE", "images:HEIGHT")
                .doesNotContain("InputType");

        assertThat(shell.run("plan", "@images.zip", "--targets", "conv", "--input", "images:9,9,2", "--json"))
                .as(shell.err()).isZero();
        assertThat(shell.json().get("adapted").get("activations").asLong()).isPositive();
    }

    @ParameterizedTest
    @ValueSource(strings = {"9,9,2", "images:9,9", "rows:0", "rows:many", "films:1,2,3", "images:9,9,2,first", ""})
    void whatIsNoSizeIsSaidSo(String size) {
        assertThat(shell.run("plan", "@images.zip", "--input", size)).isEqualTo(2);

        assertThat(shell.err()).contains("'" + size + "' is not an input size", "steps:SIZE,STEPS");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"rows:784 | InputTypeFeedForward(784)",
            "STEPS:5,7 | InputTypeRecurrent(5,timeSeriesLength=7",
            "images:28,30,1 | InputTypeConvolutional(h=28,w=30,c=1,NCHW)",
            "images:28,30,1,last | InputTypeConvolutional(h=28,w=30,c=1,NHWC)",
            "volumes:2,3,4,5 | InputTypeConvolutional3D(format=NCDHW,d=2,h=3,w=4,c=5)"})
    void sizesAreDl4jsInputTypes(String size, String type) {
        assertThat(new NetworkInput().convert(size).toString()).startsWith(type);
    }
}
