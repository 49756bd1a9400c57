package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.PreprocessorVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** One file computes batches, sequences and images of any size, without being told their shapes. */
class OpenSizesTest {

    @TempDir
    private Path folder;

    private static ConvolutionLayer convolution(CNN2DFormat format) {
        return new ConvolutionLayer.Builder(3, 3).nOut(4).stride(2, 2).convolutionMode(ConvolutionMode.Same).dataFormat(format)
                .build();
    }

    static Stream<Arguments> networks() {
        InputType images = InputType.convolutional(20, 30, 3);
        InputType last = InputType.convolutional(20, 30, 3, CNN2DFormat.NHWC);
        List<long[]> sizes = List.of(new long[] {2, 3, 20, 30}, new long[] {1, 3, 17, 9}, new long[] {3, 3, 64, 33});
        List<long[]> steps = List.of(new long[] {2, 3, 7}, new long[] {1, 3, 1}, new long[] {4, 3, 50});
        return Stream.of(
                arguments("images", images, new Layer[] {convolution(CNN2DFormat.NCHW), new BatchNormalization(),
                        new GlobalPoolingLayer(), new DenseLayer.Builder().nOut(3).build()}, sizes),
                arguments("pooled images with dimensions of 1", images, new Layer[] {convolution(CNN2DFormat.NCHW),
                        new GlobalPoolingLayer.Builder().collapseDimensions(false).build(),
                        new DenseLayer.Builder().nOut(3).build()}, sizes),
                // DL4J believes that one of 5 would do.
                arguments("images that are flattened", InputType.convolutional(7, 7, 3), new Layer[] {
                        new SubsamplingLayer.Builder().kernelSize(3, 3).stride(2, 2).build(),
                        new SubsamplingLayer.Builder().kernelSize(3, 3).stride(2, 2).build(),
                        new DenseLayer.Builder().nOut(3).build()}, List.of(new long[] {2, 3, 7, 7}, new long[] {1, 3, 8, 9})),
                arguments("images to images", images, new Layer[] {new SubsamplingLayer.Builder(2, 2).build(),
                        convolution(CNN2DFormat.NCHW)}, sizes),
                arguments("channels last", last, new Layer[] {convolution(CNN2DFormat.NHWC), new GlobalPoolingLayer(),
                        new DenseLayer.Builder().nOut(3).build()},
                        List.of(new long[] {2, 20, 30, 3}, new long[] {1, 11, 70, 3})),
                arguments("sequences", InputType.recurrent(3), new Layer[] {new LSTM.Builder().nOut(4).build(),
                        new DenseLayer.Builder().nOut(3).build(), new LSTM.Builder().nOut(2).build()}, steps),
                arguments("time before size", InputType.recurrent(3, RNNFormat.NWC), new Layer[] {
                        new LSTM.Builder().nOut(4).dataFormat(RNNFormat.NWC).build()},
                        List.of(new long[] {2, 7, 3}, new long[] {1, 40, 3})),
                arguments("convolved sequences", InputType.recurrent(3, 60), new Layer[] {
                        new Convolution1DLayer.Builder(3).nOut(4).convolutionMode(ConvolutionMode.Same).build(),
                        new GlobalPoolingLayer()}, steps));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("networks")
    void oneFileComputesAllSizes(String name, InputType type, Layer[] layers, List<long[]> shapes) throws IOException {
        MultiLayerNetwork network = Samples.network(5, type, layers);
        Path file = folder.resolve("network.onnx");
        OnnxExport.write(network, file);
        for (long[] shape : shapes) {
            INDArray input = Samples.normal(shape);
            InRuntime.agrees(InRuntime.outputs(network, input), file, input);
        }
    }

    @Test
    void idsOfAnyLengthAreWholeNumbers() throws IOException {
        MultiLayerNetwork network = Samples.network(6, InputType.recurrent(9), new EmbeddingSequenceLayer.Builder().nIn(9).nOut(3)
                .build(), new LSTM.Builder().nOut(4).build(), new GlobalPoolingLayer());
        Path file = folder.resolve("network.onnx");
        OnnxExport.write(network, file);
        for (int length : new int[] {1, 5, 30}) {
            INDArray ids = Nd4j.arange(2 * length).fmod(9).castTo(DataType.FLOAT).reshape(2, length);
            InRuntime.agrees(InRuntime.outputs(network, ids), file, ids);
        }
    }

    private static GraphBuilder graph() {
        return new NeuralNetConfiguration.Builder().seed(4).graphBuilder().addInputs("in");
    }

    private static GraphBuilder embedded(String input) {
        return graph().addVertex("scaled", new ScaleVertex(2), "in")
                .addLayer("words", new EmbeddingSequenceLayer.Builder().nIn(19).nOut(3).build(), input)
                .setOutputs("scaled", "words");
    }

    static Stream<Arguments> idsAmongNumbers() {
        return Stream.of(arguments(graph().addLayer("word", new EmbeddingLayer.Builder().nIn(9).nOut(3).build(), "in")
                        .addLayer("dense", new DenseLayer.Builder().nIn(1).nOut(4).build(), "in").setOutputs("word", "dense"), 1),
                arguments(graph().addLayer("words", new EmbeddingSequenceLayer.Builder().nIn(9).nOut(3).build(), "in")
                        .addLayer("dense", new DenseLayer.Builder().nIn(5).nOut(4).build(), "in")
                        .setOutputs("words", "dense"), 5),
                arguments(embedded("in"), 7), arguments(embedded("scaled"), 7));
    }

    @ParameterizedTest
    @MethodSource("idsAmongNumbers")
    void idsThatOthersReadTooAreNumbers(GraphBuilder builder, int length) throws IOException {
        ComputationGraph graph = Initialised.of(builder.build());

        InRuntime.agrees(Samples.shaken(graph, 4), OnnxExport.of(graph), Nd4j.arange(2 * length).fmod(9)
                .castTo(DataType.FLOAT).reshape(2, length));
    }

    @Test
    void imagesMayHaveToBeLargeForManyPoolings() throws IOException {
        Layer[] layers = new Layer[7];
        Arrays.setAll(layers, i -> new SubsamplingLayer.Builder(3, 3).stride(2, 2).build());
        layers[0] = convolution(CNN2DFormat.NCHW);
        layers[6] = new GlobalPoolingLayer();
        MultiLayerNetwork network = Samples.network(7, InputType.convolutional(200, 200, 3), layers);

        InRuntime.agrees(network, OnnxExport.of(network), Samples.normal(2, 3, 170, 201));
    }

    @Test
    void knownImagesAreFixedUnlessTheyAreOpened() throws IOException {
        MultiLayerNetwork network = Samples.network(7, InputType.convolutional(20, 30, 3), convolution(CNN2DFormat.NCHW));
        OnnxExport export = OnnxExport.of(network).inputTypes(InputType.convolutional(20, 30, 3));
        INDArray other = Samples.normal(2, 3, 40, 20);

        assertThatThrownBy(() -> InRuntime.agrees(network, export, other)).isInstanceOf(AssertionError.class);
        InRuntime.agrees(network, export, Samples.normal(2, 3, 20, 30));
        InRuntime.agrees(network, export.openImages(true), other);
    }

    @Test
    void imagesThatFitStridesExactlyAreOpenedToo() throws IOException {
        InputType type = InputType.convolutional(19, 25, 3);
        MultiLayerNetwork network = Samples.network(7, type, new ConvolutionLayer.Builder(3, 3).nOut(4).stride(2, 2)
                .convolutionMode(ConvolutionMode.Strict).build(), new SubsamplingLayer.Builder(2, 2).stride(3, 3)
                .padding(1, 1).convolutionMode(ConvolutionMode.Strict).build());

        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type).openImages(true), Samples.normal(2, 3, 31, 13));
    }

    @Test
    void rowsBesideFlattenedImagesAreWhatTheGivenSizesLeave() throws IOException {
        ComputationGraph graph = Initialised.of(graph().addInputs("numbers").addLayer("layer", new ConvolutionLayer.Builder(
                3, 3).nIn(1).nOut(1).build(), "in").addVertex("flat", new PreprocessorVertex(
                new CnnToFeedForwardPreProcessor(60, 60, 1)), "layer").addLayer("dense", new DenseLayer.Builder().nIn(3605)
                .nOut(2).build(), "flat", "numbers").setOutputs("dense").build());
        InputType image = InputType.convolutional(62, 62, 1);

        InRuntime.agrees(Samples.shaken(graph, 4), OnnxExport.of(graph).inputTypes(image, InputType.feedForward(5)),
                Samples.normal(2, 1, 62, 62), Samples.normal(2, 5));
        assertThatThrownBy(() -> OnnxExport.of(graph).inputTypes(image, InputType.feedForward(6)).write(folder.resolve("never")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("\"numbers\" is given as feedForward(6), but layer "
                        + "\"dense-merge\" takes feedForward(5)");
    }

    static Stream<Arguments> typesOfIds() {
        EmbeddingLayer word = new EmbeddingLayer.Builder().nIn(9).nOut(3).build();
        EmbeddingSequenceLayer words = new EmbeddingSequenceLayer.Builder().nIn(9).nOut(3).build();
        return Stream.of(arguments(word, InputType.feedForward(9), new long[] {4, 1}),
                arguments(word, InputType.feedForward(1), new long[] {4, 1}),
                arguments(words, InputType.feedForward(5), new long[] {4, 5}),
                arguments(words, InputType.recurrent(1, 5), new long[] {4, 1, 5}),
                arguments(words, InputType.recurrent(9, 5), new long[] {4, 1, 5}),
                arguments(words, InputType.recurrent(9), new long[] {4, 1, 5}));
    }

    @ParameterizedTest
    @MethodSource("typesOfIds")
    void dl4jsTypesOfIdsHoldOneId(Layer layer, InputType type, long[] shape) throws IOException {
        MultiLayerNetwork network = Samples.network(3, InputType.feedForward(9), layer.clone());

        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), Nd4j.arange(shape[0] * shape[shape.length - 1])
                .fmod(9).castTo(DataType.FLOAT).reshape(shape));
    }

    @Test
    void aLayerThatFlattensNeedsTheSize() {
        MultiLayerNetwork network = Samples.network(8, InputType.convolutional(20, 30, 3), convolution(CNN2DFormat.NCHW),
                new DenseLayer.Builder().nOut(3).build());

        assertThatThrownBy(() -> OnnxExport.of(network).inputTypes(InputType.convolutional(20, 30, 3)).openImages(true)
                .write(folder.resolve("never"))).isInstanceOf(OnnxExportException.class).hasMessage("Layer \"layer1\" "
                + "cannot be written as ONNX: what it does depends on the height and width of the network's input, which are "
                + "open. "
                + "Fix sizes with OnnxExport.inputTypes(...), and leave out openImages(true)");
    }

    @Test
    void aFixedLengthIsFixed() throws IOException {
        MultiLayerNetwork network = Samples.network(9, InputType.recurrent(3), new LSTM.Builder().nOut(4).build());
        OnnxExport export = OnnxExport.of(network).inputTypes(InputType.recurrent(3, 6));

        InRuntime.agrees(network, export, Samples.normal(2, 3, 6));
        assertThatThrownBy(() -> InRuntime.agrees(network, export, Samples.normal(2, 3, 7))).isInstanceOf(AssertionError.class);
    }
}
