package io.github.dl4jlora.onnx;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRA.Scope;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.SaveOption;
import org.assertj.core.api.AbstractThrowableAssert;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLambdaLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** What cannot be written is refused in one sentence; the file that was there stays, and no other is left. */
class RefusalsTest {

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void thereIsAFile() throws IOException {
        file = Files.writeString(folder.resolve("network.onnx"), "old");
    }

    @AfterEach
    void thereIsThatFileAndNoOther() throws IOException {
        assertThat(file).hasContent("old");
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files).containsExactly(file);
        }
    }

    private static MultiLayerNetwork network() {
        return Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("first").nIn(3).nOut(4).build())
                .layer(new DenseLayer.Builder().name("second").nOut(2).build()).build());
    }

    private static MultiLayerNetwork tuned(MultiLayerNetwork base) {
        return LoRA.apply(base, LoRAConfig.builder().rank(1).alpha(1).allTargets().build());
    }

    private AbstractThrowableAssert<?, ? extends Throwable> refused(Model network) {
        return refused(OnnxExport.of(network));
    }

    private AbstractThrowableAssert<?, ? extends Throwable> refused(OnnxExport export) {
        return assertThatThrownBy(() -> export.write(file));
    }

    @Test
    void aNetworkThatIsNotInitialised() {
        assertThatThrownBy(() -> OnnxExport.write(new MultiLayerNetwork(network().getLayerWiseConfigurations()), file))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("not initialised");
        assertThatThrownBy(() -> OnnxExport.of(null)).isInstanceOf(IllegalArgumentException.class).hasMessageContaining("null");
    }

    @Test
    void aNetworkThatWasClosed() {
        MultiLayerNetwork network = network();
        network.close();

        refused(network).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("The network was closed, so its weights are gone. Restore it from its file, and keep it open");
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void weightsThatNobodyCanComputeWith(float value) {
        for (WeightType type : WeightType.values()) {
            for (boolean beside : new boolean[] {false, true}) {
                MultiLayerNetwork network = network();
                network.getLayer(1).getParam("W").putScalar(3, value);

                refused(OnnxExport.of(network).weights(type).externalData(beside)).isInstanceOf(IllegalArgumentException.class)
                        .hasMessage("Weight \"second/W\" holds NaN or infinity, which no runtime can compute with; nothing was "
                                + "written. Train the network with a lower learning rate, or restore an earlier state");
            }
        }
    }

    @Test
    void anAdapterThatHasDiverged() {
        MultiLayerNetwork tuned = tuned(network());
        tuned.params().putScalar(0, Float.NaN);

        refused(tuned).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"first\"").hasMessageContaining("diverged");
    }

    @Test
    void aBaseThatHasMoved() {
        MultiLayerNetwork base = network();
        MultiLayerNetwork tuned = tuned(base);
        base.params().addi(1);

        refused(tuned).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("the base's weights have changed");
    }

    @Test
    void adaptersThatAreDisabled() {
        MultiLayerNetwork tuned = tuned(network());
        try (Scope disabled = LoRA.disabled(tuned)) {
            refused(tuned).isInstanceOf(IllegalStateException.class)
                    .hasMessageStartingWith("OnnxExport.write was called inside a scope of LoRA.disabled");
        }
    }

    @Test
    void aWeightThatFloat16DoesNotReach() {
        MultiLayerNetwork network = network();
        network.getLayer(0).getParam("W").putScalar(0, 70000);

        refused(OnnxExport.of(network).weights(WeightType.FLOAT16)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("Weight \"first/W\" holds 70000.0, which FLOAT16 does not reach; nothing was written. Use "
                        + "WeightType.BF16 or FLOAT");
    }

    /** Of somebody's own. */
    public static final class Lambda extends SameDiffLambdaLayer {

        private static final long serialVersionUID = 1;

        @Override
        public SDVariable defineLayer(SameDiff graph, SDVariable input) {
            return input.add(1);
        }

        @Override
        public InputType getOutputType(int index, InputType type) {
            return type;
        }
    }

    @Test
    void aLayerThatOnnxKnowsNothingOf() {
        MultiLayerNetwork network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().nIn(3).nOut(4).build()).layer(new Lambda()).build());

        refused(network).isInstanceOf(OnnxExportException.class)
                .hasMessageContaining("cannot be written as ONNX: nothing is known of a Lambda. ");
    }

    @Test
    void anExistingFileThatMustNotBeReplaced() {
        assertThatThrownBy(() -> OnnxExport.write(network(), file, SaveOption.NEW_ONLY))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThatThrownBy(() -> OnnxExport.of(network()).externalData(true).write(file, SaveOption.NEW_ONLY))
                .isInstanceOf(FileAlreadyExistsException.class);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aPathThatIsNoFile(boolean beside) {
        OnnxExport export = OnnxExport.of(network()).externalData(beside);
        Path root = folder.toAbsolutePath().getRoot();

        for (Path path : List.of(root, folder, folder.resolve("."))) {
            assertThatThrownBy(() -> export.write(path)).isInstanceOf(IOException.class)
                    .hasMessage("Cannot write " + path + ": it is a folder, not a file. Name a file");
        }
        assertThatThrownBy(() -> export.write(file.resolve("inner"))).isInstanceOf(IOException.class)
                .hasMessageContaining(" is a file, ").hasMessageContaining(file.toString());
    }

    @Test
    void settingsOutOfRange() {
        OnnxExport export = OnnxExport.of(network());

        assertThatThrownBy(() -> export.opset(16)).hasMessage("opset(16): 17 to 21 can be written. Leave the call out for 17, "
                + "which most runtimes read");
        assertThatThrownBy(() -> export.opset(22)).isInstanceOf(OnnxExportException.class);
        assertThatThrownBy(() -> export.batch(0)).hasMessageStartingWith("batch(0): a batch has at least 1 example");
        assertThatThrownBy(() -> export.inputs("a", "b")).hasMessage("inputs([a, b]): the network has 1 of them. Give each a "
                + "name of its own");
        assertThatThrownBy(() -> export.inputs(" ")).isInstanceOf(OnnxExportException.class);
        assertThatThrownBy(() -> export.outputs()).hasMessageStartingWith("outputs([])");
        assertThatThrownBy(() -> export.inputTypes()).hasMessageStartingWith("inputTypes([]): the network has 1 inputs");
    }

    @Test
    void whatIsNull() {
        assertThatThrownBy(() -> OnnxExport.write(network(), (Path) null)).hasMessage("write(null): give the path of the file");
        assertThatThrownBy(() -> OnnxExport.of(network()).adapters()).isInstanceOf(OnnxExportException.class)
                .hasMessage("adapters(): give adapters, or leave the call out");
        assertThatThrownBy(() -> OnnxExport.of(network()).adapters((LoRAAdapter) null)).hasMessage("adapters(null): give "
                + "adapters, or leave the call out");
        assertThatThrownBy(() -> OnnxExport.of(network()).inputs((String[]) null)).hasMessage("inputs(null): give names, or "
                + "leave the call out");
        assertThatThrownBy(() -> OnnxExport.of(network()).outputs((String[]) null)).hasMessageStartingWith("outputs(null): ");
        assertThatThrownBy(() -> OnnxExport.of(network()).inputTypes((InputType[]) null)).hasMessage("inputTypes(null): give "
                + "types, or leave the call out");
        LoRAAdapter adapter = LoRAAdapter.of(tuned(network()));
        assertThatThrownBy(() -> OnnxAdapter.write(null, file)).hasMessage("write(null, path): give the adapter");
        assertThatThrownBy(() -> OnnxAdapter.write(null, network(), file)).hasMessage("write(null, path): give the adapter");
        assertThatThrownBy(() -> OnnxAdapter.write(adapter, (Path) null)).hasMessage("write(adapter, null): give the path of the "
                + "file");
        assertThatThrownBy(() -> OnnxAdapter.write(adapter, null, file)).hasMessage("write(adapter, null, path): give the base, "
                + "or leave it out");
    }

    @ParameterizedTest
    @CsvSource({"'', out", "in, ''"})
    void namesOfNothing(String in, String out) {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs(in)
                .addLayer(out, new DenseLayer.Builder().nIn(2).nOut(2).build(), in).setOutputs(out).build());

        refused(graph).hasMessage("An input or output of the network has an empty name, which ONNX takes for nothing. Give "
                + "names with OnnxExport.inputs(...) and outputs(...)");
    }

    static Stream<Arguments> wrongTypes() {
        EmbeddingSequenceLayer words = new EmbeddingSequenceLayer.Builder().nIn(9).nOut(2).build();
        ConvolutionLayer image = new ConvolutionLayer.Builder(3, 3).nIn(2).nOut(2).build();
        LSTM sequence = new LSTM.Builder().nIn(3).nOut(2).build();
        return Stream.of(
                arguments(new DenseLayer.Builder().nIn(4).nOut(2).build(), InputType.feedForward(7), "feedForward(7)",
                        "feedForward(4)"),
                arguments(sequence, InputType.recurrent(5), "recurrent(5, NCW)", "recurrent(3, NCW)"),
                arguments(sequence, InputType.recurrent(3, 8, RNNFormat.NWC), "recurrent(3, 8, NWC)", "recurrent(3, NCW)"),
                arguments(image, InputType.convolutional(9, 8, 2, CNN2DFormat.NHWC), "convolutional(9, 8, 2, NHWC)",
                        "convolutional(height, width, 2, NCHW)"),
                arguments(image, InputType.convolutional(9, 8, 3), "convolutional(9, 8, 3, NCHW)",
                        "convolutional(height, width, 2, NCHW)"),
                arguments(words, InputType.recurrent(10, 5), "recurrent(10, 5, NCW)", "feedForward(length)"),
                arguments(new EmbeddingLayer.Builder().nIn(9).nOut(2).build(), InputType.feedForward(8), "feedForward(8)",
                        "feedForward(1)"));
    }

    @ParameterizedTest
    @MethodSource("wrongTypes")
    void aTypeThatTheFirstLayerDoesNotTake(Layer layer, InputType type, String given, String taken) {
        MultiLayerNetwork network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list().layer(layer).build());

        refused(OnnxExport.of(network).inputs("x").inputTypes(type)).isInstanceOf(OnnxExportException.class)
                .hasMessage("inputTypes(...): input \"x\" is given as " + given + ", but layer \"layer0\" takes " + taken
                        + ". Give what the layer takes");
    }

    @Test
    void namesThatStandForTwoThings() {
        refused(OnnxExport.of(network()).inputs("x").outputs("x")).hasMessage("An output is called \"x\", as an input or another "
                + "output. Choose other names with OnnxExport.inputs(...) and outputs(...)");
        refused(OnnxExport.of(network()).inputs("first/W")).hasMessage("Two tensors would be called \"first/W\". Choose other "
                + "names for the inputs and outputs with OnnxExport.inputs(...) and outputs(...), or rename the layer");
    }

    @ParameterizedTest
    @EnumSource
    void aShapeThatDoesNotFit(WeightType type) {
        refused(OnnxExport.of(network()).weights(type).inputTypes(InputType.recurrent(3))).isInstanceOf(OnnxExportException.class)
                .hasMessageStartingWith("Layer \"first\" cannot be written as ONNX: DL4J does not know the shape of its output (")
                .hasMessageEndingWith("Give the shapes of the network's inputs with OnnxExport.inputTypes(...)");
    }

    @Test
    void aGraphThatIsNotInitialised() {
        assertThatThrownBy(() -> OnnxExport.of(new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1)
                .graphBuilder().addInputs("in").addLayer("out", new DenseLayer.Builder().nIn(2).nOut(2).build(), "in")
                .setOutputs("out").build())))
                .hasMessageContaining("not initialised");
    }
}
