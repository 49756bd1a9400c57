package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What {@link OnnxExport} can be told, as ONNX Runtime sees it. */
class SettingsTest {

    private static final INDArray INPUT = Samples.normal(5, 60);

    @TempDir
    private Path folder;

    private static MultiLayerNetwork chain(Activation output) {
        return Samples.network(1, InputType.feedForward(60), new DenseLayer.Builder().name("hidden").nOut(50)
                .activation(Activation.TANH).build(), new DenseLayer.Builder().nOut(4).activation(output).build());
    }

    private static ComputationGraph twoOutputs() {
        return Samples.shaken(Initialised.of(new NeuralNetConfiguration.Builder().seed(2).graphBuilder()
                .addInputs("in").addLayer("first", new DenseLayer.Builder().nOut(9).build(), "in")
                .addLayer("left", new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build(), "first")
                .addLayer("right", new OutputLayer.Builder(LossFunctions.LossFunction.XENT)
                        .nOut(2).activation(Activation.SIGMOID).build(), "first")
                .setOutputs("right", "left").setInputTypes(InputType.feedForward(60)).build()), 2);
    }

    private Path written(OnnxExport export) throws IOException {
        Path file = folder.resolve("network.onnx");
        export.write(file);
        return file;
    }

    private interface Look<T> {
        T at(OrtSession session) throws OrtException;
    }

    private static <T> T look(Path file, Look<T> look) throws OrtException {
        try (OrtSession session = OrtEnvironment.getEnvironment().createSession(file.toString())) {
            return look.at(session);
        }
    }

    private static String names(Path file) throws OrtException {
        return look(file, session -> session.getInputNames() + " " + session.getOutputNames());
    }

    private static long[] shape(Path file, boolean input, String name) throws OrtException {
        return look(file, session -> ((TensorInfo) (input ? session.getInputInfo() : session.getOutputInfo()).get(name).getInfo())
                .getShape());
    }

    @ParameterizedTest
    @ValueSource(ints = {17, 18, 19, 20, 21})
    void everyVersionComputesTheSame(int opset) throws IOException {
        for (WeightType type : List.of(WeightType.FLOAT, WeightType.INT8)) {
            OnnxExport export = OnnxExport.of(chain(Activation.SOFTMAX)).opset(opset).weights(type);

            assertThat(InRuntime.run(written(export), OrtSession.SessionOptions.OptLevel.ALL_OPT, INPUT).get(0).shape())
                    .containsExactly(5, 4);
        }
        InRuntime.agrees(chain(Activation.SOFTMAX), OnnxExport.of(chain(Activation.SOFTMAX)).opset(opset), INPUT);
    }

    @Test
    void namesAreTheNetworksOwnOrThoseGiven() throws Exception {
        Path file = written(OnnxExport.of(twoOutputs()));
        assertThat(names(file)).isEqualTo("[in] [right, left]");
        InRuntime.agrees(InRuntime.outputs(twoOutputs(), INPUT), file, INPUT);

        file = written(OnnxExport.of(chain(Activation.SOFTMAX)));
        assertThat(names(file)).isEqualTo("[input] [output]");

        file = written(OnnxExport.of(twoOutputs()).inputs("first/MatMul").outputs("left/Add", "first/W_2"));
        assertThat(names(file)).isEqualTo("[first/MatMul] [left/Add, first/W_2]");
        InRuntime.agrees(InRuntime.outputs(twoOutputs(), INPUT), file, INPUT);
    }

    @Test
    void theNumberOfExamplesIsOpenUnlessItIsFixed() throws Exception {
        Path open = written(OnnxExport.of(chain(Activation.SOFTMAX)));
        assertThat(shape(open, true, "input")).containsExactly(-1, 60);
        assertThat(shape(open, false, "output")).containsExactly(-1, 4);
        for (int batch : new int[] {1, 3, 64}) {
            INDArray input = Samples.normal(batch, 60);
            InRuntime.agrees(InRuntime.outputs(chain(Activation.SOFTMAX), input), open, input);
        }

        Path fixed = written(OnnxExport.of(chain(Activation.SOFTMAX)).batch(5));
        assertThat(shape(fixed, true, "input")).containsExactly(5, 60);
        InRuntime.agrees(InRuntime.outputs(chain(Activation.SOFTMAX), INPUT), fixed, INPUT);
        assertThatThrownBy(() -> InRuntime.run(fixed, OrtSession.SessionOptions.OptLevel.NO_OPT, Samples.normal(2, 60)))
                .hasMessageContaining("input");
    }

    @Test
    void logitsAreOutputsWithoutSoftmaxAndSigmoid() throws IOException {
        INDArray logits = InRuntime.run(written(OnnxExport.of(chain(Activation.SOFTMAX)).logits(true)),
                OrtSession.SessionOptions.OptLevel.ALL_OPT, INPUT).get(0);
        assertThat(InRuntime.difference(chain(Activation.SOFTMAX).output(INPUT), Transforms.softmax(logits)))
                .isLessThan(InRuntime.TOLERANCE);
        assertThat(logits.minNumber().doubleValue()).isNegative();

        INDArray sigmoid = InRuntime.run(written(OnnxExport.of(twoOutputs()).logits(true)),
                OrtSession.SessionOptions.OptLevel.ALL_OPT, INPUT).get(0);
        assertThat(InRuntime.difference(twoOutputs().output(INPUT)[0], Transforms.sigmoid(sigmoid)))
                .isLessThan(InRuntime.TOLERANCE);
    }

    @Test
    void logitsThatAnotherLayerReadsWithItsActivationAreRefused() {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(2).graphBuilder()
                .addInputs("in").addLayer("first", new DenseLayer.Builder().nOut(9).activation(Activation.SIGMOID).build(), "in")
                .addLayer("second", new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build(), "first")
                .setOutputs("first", "second").setInputTypes(InputType.feedForward(60)).build());

        assertThatThrownBy(() -> OnnxExport.of(graph).logits(true).write(folder.resolve("never"))).hasMessage("Layer \"first\" "
                + "cannot be written as ONNX: it is an output whose logits are asked for, but layer \"second\" reads it with its "
                + "activation. Leave out OnnxExport.logits(true)");
    }

    @Test
    void anOutputThatIsReadButHasNothingToLeaveOutMayStay() throws IOException {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(2).graphBuilder()
                .addInputs("in").addLayer("features", new DenseLayer.Builder().nOut(9).activation(Activation.RELU).build(), "in")
                .addLayer("class", new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build(), "features")
                .setOutputs("features", "class").setInputTypes(InputType.feedForward(60)).build());

        INDArray[] wanted = graph.output(INPUT);
        List<INDArray> outputs = InRuntime.run(written(OnnxExport.of(graph).logits(true)),
                OrtSession.SessionOptions.OptLevel.ALL_OPT, INPUT);

        assertThat(InRuntime.difference(wanted[0], outputs.get(0))).isLessThan(InRuntime.TOLERANCE);
        assertThat(InRuntime.difference(wanted[1], Transforms.softmax(outputs.get(1)))).isLessThan(InRuntime.TOLERANCE);
    }

    @Test
    void logitsThatCannotBeHadAreRefused() {
        DenseLayer softmax = new DenseLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build();
        for (Layer behind : List.of(new DropoutLayer(0.5), new LossLayer.Builder().activation(Activation.IDENTITY).build())) {
            MultiLayerNetwork network = Samples.network(1, InputType.feedForward(60), softmax, behind);
            assertThatThrownBy(() -> OnnxExport.of(network).logits(true).write(folder.resolve("never"))).hasMessage("Layer "
                    + "\"layer1\" cannot be written as ONNX: it is an output whose logits are asked for, but the softmax or "
                    + "sigmoid is that of layer \"layer0\" before it. Leave out OnnxExport.logits(true)");
        }
        ComputationGraph mean = Initialised.of(new NeuralNetConfiguration.Builder().seed(2).graphBuilder().addInputs("in")
                .addLayer("left", softmax, "in").addLayer("right", softmax.clone(), "in")
                .addVertex("mean", new ElementWiseVertex(ElementWiseVertex.Op.Average), "left", "right").setOutputs("mean")
                .setInputTypes(InputType.feedForward(60)).build());
        assertThatThrownBy(() -> OnnxExport.of(mean).logits(true).write(folder.resolve("never")))
                .hasMessageContainingAll("Layer \"mean\" cannot be written", "Leave out OnnxExport.logits(true)");
        assertThatThrownBy(() -> OnnxExport.of(chain(Activation.RELU)).logits(true).write(folder.resolve("never"))).hasMessage(
                "logits(true): none of the outputs [layer1] ends in a softmax or sigmoid. Leave out OnnxExport.logits(true)");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void sizesThatDifferHaveDifferentNames() throws Exception {
        MultiLayerNetwork network = Samples.network(1, InputType.convolutional(28, 32, 3),
                new ConvolutionLayer.Builder(5, 5).nOut(4).build());

        assertThat(OnnxExport.of(network).inputTypes(InputType.convolutional(28, 32, 3)).openImages(true)
                .write(folder.resolve("network.onnx")).toString()).contains("output FLOAT [batch, 4, output_2, output_3]");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5})
    void aTextOfFixedLengthHasAMask(int length) throws Exception {
        MultiLayerNetwork network = Samples.network(3, InputType.feedForward(length), new EmbeddingSequenceLayer.Builder()
                .nIn(9).nOut(3).inputLength(length).build());
        Path file = written(OnnxExport.of(network).inputTypes(InputType.feedForward(length)).masks(true));

        assertThat(names(file)).isEqualTo("[input, input_mask] [output]");
        assertThat(shape(file, true, "input_mask")).containsExactly(-1, length);
    }

    @ParameterizedTest
    @CsvSource({"FLOAT, 1e-5, 13000", "FLOAT16, 2e-3, 7300", "BF16, 2e-2, 7300", "INT8, 3e-2, 4500"})
    void weightsOfFewerBitsComputeNearlyTheSame(WeightType type, double tolerance, long bytes) throws IOException {
        MultiLayerNetwork network = chain(Activation.IDENTITY);
        Path file = written(OnnxExport.of(network).weights(type));

        for (OrtSession.SessionOptions.OptLevel level : List.of(OrtSession.SessionOptions.OptLevel.ALL_OPT,
                OrtSession.SessionOptions.OptLevel.NO_OPT)) {
            assertThat(InRuntime.difference(network.output(INPUT), InRuntime.run(file, level, INPUT).get(0)))
                    .isLessThan(tolerance);
        }
        assertThat(Files.size(file)).isLessThan(bytes + 1200);
    }

    @Test
    void aBaseInEightBitsHasTheSameCodesInTheFile() throws IOException {
        MultiLayerNetwork quantised = LoRA.freeze(chain(Activation.IDENTITY), Quantization.INT8);
        Path file = written(OnnxExport.of(quantised).weights(WeightType.INT8));

        InRuntime.agrees(InRuntime.outputs(quantised, INPUT), file, INPUT);
    }

    @Test
    void valuesOfAllTypesMayStandInASecondFile() throws IOException {
        for (WeightType type : WeightType.values()) {
            MultiLayerNetwork network = chain(Activation.SOFTMAX);
            Path one = folder.resolve("one.onnx");
            Path two = folder.resolve("inner").resolve("two.onnx");
            OnnxExport.of(network).weights(type).write(one);
            OnnxExport.of(network).weights(type).externalData(true).write(two);

            assertThat(Files.size(two)).isLessThan(2500);
            assertThat(two.resolveSibling("two.onnx.data")).exists();
            InRuntime.agrees(InRuntime.run(one, OrtSession.SessionOptions.OptLevel.NO_OPT, INPUT), two, INPUT);
        }
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aLinkStaysOneWhereverTheWeightsAre() throws IOException {
        for (boolean beside : new boolean[]{false, true}) {
            Path there = folder.resolve("first" + beside + ".onnx");
            // ONNX Runtime looks for the second file beside the link.
            Path inside = Files.createSymbolicLink(folder.resolve("current" + beside + ".onnx"), there.getFileName());
            Path elsewhere = Files.createDirectories(folder.resolve("links")).resolve("current" + beside + ".onnx");
            Files.createSymbolicLink(elsewhere, there);
            for (Path link : List.of(inside, elsewhere)) {
                OnnxExport.of(chain(Activation.SOFTMAX)).externalData(beside).write(link);

                assertThat(link).isSymbolicLink();
                InRuntime.agrees(InRuntime.outputs(chain(Activation.SOFTMAX), INPUT), there, INPUT);
                InRuntime.agrees(InRuntime.outputs(chain(Activation.SOFTMAX), INPUT), inside, INPUT);
            }
        }
    }

    @Test
    void metadataSayWhereTheFileComesFrom() throws Exception {
        MultiLayerNetwork tuned = LoRA.apply(chain(Activation.SOFTMAX), LoRAConfig.builder().targets("hidden").rank(2).alpha(2)
                .build());
        Map<String, String> entries = look(written(OnnxExport.of(tuned).metadata("model", "digits")),
                session -> session.getMetadata().getCustomMetadata());

        assertThat(entries).containsEntry("model", "digits").containsEntry("dl4j-lora.weights", "FLOAT")
                .hasEntrySatisfying("dl4j-lora.version", version -> assertThat(version).matches("\\d+\\..*"))
                .hasEntrySatisfying("dl4j-lora.base", base -> assertThat(base).containsPattern("hidden [0-9a-f]{64} FLOAT"))
                .hasEntrySatisfying("dl4j-lora.adapter", adapter -> assertThat(adapter).startsWith("hidden ").contains("rank"));
    }
}
