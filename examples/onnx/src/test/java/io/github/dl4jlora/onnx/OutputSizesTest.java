package io.github.dl4jlora.onnx;

import onnx.Onnx.ModelProto;
import onnx.Onnx.TensorShapeProto.Dimension;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.rnn.DuplicateToTimeSeriesVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SpaceToBatchLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling1D;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** What a file says of its outputs' sizes is true: a size that an input has by that name, or a name of the output's own. */
class OutputSizesTest {

    private static final InputType STEPS = InputType.recurrent(3);

    @TempDir
    private Path folder;

    private static LSTM lstm() {
        return new LSTM.Builder().nOut(4).build();
    }

    private static DenseLayer dense() {
        return new DenseLayer.Builder().nOut(2).build();
    }

    static Stream<Arguments> chains() {
        InputType fixed = InputType.recurrent(3, 6);
        SpaceToBatchLayer blocks = new SpaceToBatchLayer.Builder(new int[] {2, 2}).build();
        return Stream.of(arguments(STEPS, new Layer[] {lstm()}, List.of("batch", "4", "time")),
                arguments(STEPS, new Layer[] {lstm(), dense(), lstm()}, List.of("batch", "4", "time")),
                arguments(STEPS, new Layer[] {lstm(), dense()}, List.of("output_rows", "2")),
                arguments(STEPS, new Layer[] {lstm(), new GlobalPoolingLayer(), dense()}, List.of("batch", "2")),
                arguments(fixed, new Layer[] {lstm()}, List.of("batch", "4", "6")),
                arguments(fixed, new Layer[] {lstm(), dense()}, List.of("output_rows", "2")),
                arguments(STEPS, new Layer[] {new Subsampling1DLayer.Builder(2).stride(2).build(),
                        new Upsampling1D.Builder(2).build()}, List.of("batch", "3", "output_2")),
                arguments(STEPS, new Layer[] {new Subsampling1DLayer.Builder(2).stride(2).build(), dense(), lstm()},
                        List.of("batch", "4", "output_2")),
                arguments(InputType.convolutional(8, 8, 3), new Layer[] {blocks}, List.of("output_batch", "3", "4", "4")));
    }

    @ParameterizedTest
    @MethodSource("chains")
    void chainsSayWhatIsCertain(InputType type, Layer[] layers, List<String> sizes) throws IOException {
        assertThat(sizes(OnnxExport.of(Initialised.of(1, type, layers)).inputTypes(type), 0)).isEqualTo(sizes);
    }

    @Test
    void aFixedNumberOfExamplesIsThatOfTheOutputs() throws IOException {
        assertThat(sizes(OnnxExport.of(Initialised.of(1, STEPS, lstm())).batch(5), 0)).containsExactly("5", "4", "time");
    }

    @Test
    void sizesOfImagesThatLayersKeepAreThoseOfTheInput() throws IOException {
        InputType type = InputType.convolutional(8, 9, 3);
        ConvolutionLayer same = new ConvolutionLayer.Builder(3, 3).nOut(2).convolutionMode(ConvolutionMode.Same).build();
        Layer[] halved = {new SubsamplingLayer.Builder(2, 2).stride(2, 2).build(), new Upsampling2D.Builder(2).build()};

        assertThat(sizes(OnnxExport.of(Initialised.of(1, type, same)).inputTypes(type).openImages(true), 0))
                .containsExactly("batch", "2", "height", "width");
        assertThat(sizes(OnnxExport.of(Initialised.of(1, type, halved)).inputTypes(type).openImages(true), 0))
                .containsExactly("batch", "3", "output_2", "output_3");
    }

    @Test
    void stackedExamplesAreMore() throws IOException {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("one", "two").addVertex("both", new StackVertex(), "one", "two")
                .addLayer("out", new DenseLayer.Builder().nIn(3).nOut(2).build(), "both").setOutputs("out").build());

        assertThat(sizes(OnnxExport.of(graph), 0)).containsExactly("out_rows", "2");
    }

    @Test
    void imagesOfASequenceAreMore() throws IOException {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("film").addLayer("out", new ConvolutionLayer.Builder(3, 3).nIn(1).nOut(2).build(),
                        new RnnToCnnPreProcessor(5, 6, 1), "film").setOutputs("out").build());

        assertThat(sizes(OnnxExport.of(graph), 0)).containsExactly("out_batch", "2", "3", "4");
    }

    @Test
    void sequencesHaveLengthsOfTheirOwn() throws IOException {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("one", "two").addVertex("first", new ScaleVertex(2), "one")
                .addLayer("second", new LSTM.Builder().nIn(3).nOut(4).build(), "two").setOutputs("first", "second").build());
        OnnxExport export = OnnxExport.of(graph).inputTypes(STEPS, STEPS);

        assertThat(sizes(export, 0)).containsExactly("batch", "3", "first_2");
        assertThat(sizes(export, 1)).containsExactly("batch", "4", "second_2");
    }

    @Test
    void repeatedStepsAreAsManyAsThoseOfTheInput() throws IOException {
        ComputationGraph graph = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .setInputTypes(STEPS).addLayer("encoder", lstm(), "in").addVertex("last", new LastTimeStepVertex("in"), "encoder")
                .addVertex("repeated", new DuplicateToTimeSeriesVertex("in"), "last").addLayer("decoder", lstm(), "repeated")
                .setOutputs("decoder").build());

        assertThat(sizes(OnnxExport.of(graph), 0)).containsExactly("batch", "4", "time");
        assertThat(sizes(OnnxExport.of(graph).inputTypes(InputType.recurrent(3, 6)), 0)).containsExactly("batch", "4", "6");
    }

    private List<String> sizes(OnnxExport export, int output) throws IOException {
        export.write(folder.resolve("network.onnx"));
        return ModelProto.parseFrom(Files.readAllBytes(folder.resolve("network.onnx"))).getGraph().getOutput(output).getType()
                .getTensorType().getShape().getDimList().stream().map(size -> size.getValueCase()
                        == Dimension.ValueCase.DIM_PARAM ? size.getDimParam() : "" + size.getDimValue()).toList();
    }
}
