package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.undo.MergedValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.PreprocessorVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** What a network's layers say of its inputs. */
class ShapesTest {

    private static Shape read(Model model) {
        Network<?> network = Networks.of(model);
        try (MergedValues values = MergedValues.of(network, "test")) {
            return new Shapes(network, values).of(network.inputs()).get(network.inputs().get(0));
        }
    }

    private static LSTM lstm(RNNFormat format) {
        return new LSTM.Builder().nOut(4).dataFormat(format).build();
    }

    private static ConvolutionLayer convolution(int stride, CNN2DFormat format) {
        return new ConvolutionLayer.Builder(3, 3).nOut(4).stride(stride, stride).dataFormat(format).build();
    }

    static Stream<Arguments> known() {
        InputType vector = InputType.feedForward(5);
        return Stream.of(
                arguments(vector, new Layer[] {new DenseLayer.Builder().nOut(3).build()}, vector),
                arguments(vector, new Layer[] {new BatchNormalization(), new DenseLayer.Builder().nOut(3).build()}, vector),
                arguments(vector, new Layer[] {new ActivationLayer(), new DenseLayer.Builder().nOut(3).build()}, vector),
                arguments(InputType.convolutionalFlat(9, 8, 2), new Layer[] {convolution(1, CNN2DFormat.NCHW)},
                        InputType.feedForward(144)),
                arguments(InputType.convolutional(9, 8, 2), new Layer[] {new DenseLayer.Builder().nOut(3).build()},
                        InputType.convolutional(9, 8, 2)),
                arguments(InputType.convolutional(9, 8, 2), new Layer[] {convolution(1, CNN2DFormat.NCHW),
                        new DenseLayer.Builder().nOut(3).build()}, InputType.convolutional(9, 8, 2)),
                arguments(InputType.convolutional(9, 8, 2, CNN2DFormat.NHWC), new Layer[] {convolution(1, CNN2DFormat.NHWC),
                        new DenseLayer.Builder().nOut(3).build()}, InputType.convolutional(9, 8, 2, CNN2DFormat.NHWC)));
    }

    @ParameterizedTest
    @MethodSource("known")
    void whatIsKnownIsFixed(InputType type, Layer[] layers, InputType expected) {
        Shape shape = read(Initialised.of(1, type, layers));

        assertThat(shape.example().apply(0)).isEqualTo(expected);
        assertThat(shape.example().apply(1)).isEqualTo(expected);
        assertThat(shape.ids()).isFalse();
    }

    static Stream<Arguments> open() {
        InputType sequence = InputType.recurrent(5);
        InputType image = InputType.convolutional(20, 30, 2);
        return Stream.of(
                arguments(sequence, new Layer[] {lstm(RNNFormat.NCW)}, "[-1, 5, 0]"),
                arguments(InputType.recurrent(5, RNNFormat.NWC), new Layer[] {lstm(RNNFormat.NWC)}, "[-1, 0, 5]"),
                arguments(sequence, new Layer[] {new Bidirectional(lstm(RNNFormat.NCW))}, "[-1, 5, 0]"),
                arguments(sequence, new Layer[] {new LastTimeStep(lstm(RNNFormat.NCW))}, "[-1, 5, 0]"),
                arguments(sequence, new Layer[] {new DenseLayer.Builder().nOut(3).build()}, "[-1, 5, 0]"),
                arguments(InputType.recurrent(5, 9), new Layer[] {new Convolution1DLayer.Builder(3).nOut(4).build()},
                        "[-1, 5, 0]"),
                arguments(image, new Layer[] {new ZeroPaddingLayer(1, 1), convolution(1, CNN2DFormat.NCHW)}, "[-1, 2, 0, 0]"),
                arguments(image, new Layer[] {new BatchNormalization(), new SubsamplingLayer.Builder(2, 2).build(),
                        convolution(1, CNN2DFormat.NCHW)}, "[-1, 2, 0, 0]"),
                // An image of 20 leaves as much as one of 21.
                arguments(image, new Layer[] {convolution(2, CNN2DFormat.NCHW), new DenseLayer.Builder().nOut(3).build()},
                        "[-1, 2, 0, 0]"),
                arguments(InputType.convolutional3D(Convolution3D.DataFormat.NDHWC, 9, 8, 7, 2), new Layer[] {
                        new Convolution3D.Builder(3, 3, 3).nOut(4).dataFormat(Convolution3D.DataFormat.NDHWC).build()},
                        "[-1, 0, 0, 0, 2]"));
    }

    @ParameterizedTest
    @MethodSource("open")
    void whatIsNotKnownIsOpen(InputType type, Layer[] layers, String expected) {
        Shape shape = read(Initialised.of(1, type, layers));
        long[] one = shape.example().apply(0).getShape(true);
        long[] two = shape.example().apply(1).getShape(true);
        for (int i = 0; i < one.length; i++) {
            one[i] = one[i] == two[i] ? one[i] : 0;
        }

        assertThat(Arrays.toString(one)).isEqualTo(expected);
    }

    @Test
    void allSizesThatFitWhatIsFlattenedAreOpen() {
        Shape shape = read(Initialised.of(1, InputType.convolutional(20, 31, 2), convolution(2, CNN2DFormat.NCHW),
                new DenseLayer.Builder().nOut(3).build()));

        assertThat(shape.example().apply(0)).isEqualTo(InputType.convolutional(19, 31, 2));
        assertThat(shape.example().apply(1)).isEqualTo(InputType.convolutional(20, 32, 2));
    }

    @Test
    void whatEmbeddingsReadAreIds() {
        MultiLayerNetwork words = Initialised.of(1, InputType.feedForward(1),
                new EmbeddingLayer.Builder().nIn(9).nOut(3).build());
        MultiLayerNetwork texts = Initialised.of(1, InputType.recurrent(1),
                new EmbeddingSequenceLayer.Builder().nIn(9).nOut(3).build());

        assertThat(read(words).ids()).isTrue();
        assertThat(read(words).example().apply(0)).isEqualTo(InputType.feedForward(1));
        assertThat(read(texts).ids()).isTrue();
        assertThat(read(texts).example().apply(0)).isNotEqualTo(read(texts).example().apply(1));
    }

    private static GraphBuilder builder() {
        return new NeuralNetConfiguration.Builder().seed(1).convolutionMode(ConvolutionMode.Same).graphBuilder().addInputs("in");
    }

    @Test
    void verticesThatHandOnShapesAreLookedThrough() {
        ComputationGraph graph = Initialised.of(builder().addLayer("active", new ActivationLayer(), "in").addVertex("sum",
                new ElementWiseVertex(ElementWiseVertex.Op.Add), "active", "in").addLayer("dense",
                new DenseLayer.Builder().nIn(5).nOut(3).build(), "sum").setOutputs("dense").build());

        assertThat(read(graph).example().apply(1)).isEqualTo(InputType.feedForward(5));
    }

    @Test
    void whatIsMergedWithKnownPartsIsTheRest() {
        ComputationGraph vectors = Initialised.of(builder().addInputs("other").addLayer("left",
                new DenseLayer.Builder().nIn(4).nOut(3).build(), "other").addLayer("out",
                new DenseLayer.Builder().nIn(8).nOut(2).build(), "left", "in").setOutputs("out").build());
        ComputationGraph images = Initialised.of(builder().addInputs("other").addLayer("left",
                new ConvolutionLayer.Builder(3, 3).nIn(4).nOut(3).build(), "other").addLayer("out",
                new ConvolutionLayer.Builder(3, 3).nIn(8).nOut(2).build(), "left", "in").setOutputs("out").build());

        assertThat(read(vectors).example().apply(1)).isEqualTo(InputType.feedForward(5));
        assertThat(read(images)).hasToString("convolutional(height, width, 5, NCHW)");
    }

    /** Forty blocks, each of which adds a layer's output to what it read: as many paths as 2 to the power of 40. */
    private static GraphBuilder residual(String input, Layer block) {
        GraphBuilder builder = builder().addInputs("numbers");
        String last = input;
        for (int i = 0; i < 40; i++) {
            builder.addLayer("layer" + i, block.clone(), last).addVertex("block" + i,
                    new ElementWiseVertex(ElementWiseVertex.Op.Add), "layer" + i, last);
            last = "block" + i;
        }
        return builder;
    }

    @Test
    @Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void partsBesideManyBlocksAreTheRest() {
        ComputationGraph graph = Initialised.of(residual("numbers", new DenseLayer.Builder().nIn(4).nOut(4).build())
                .addLayer("out", new DenseLayer.Builder().nIn(9).nOut(2).build(), "block39", "in").setOutputs("out").build());

        assertThat(read(graph).example().apply(1)).isEqualTo(InputType.feedForward(5));
    }

    @Test
    @Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void whatManyBlocksDoNotTellIsAskedFor() {
        ComputationGraph graph = Initialised.of(residual("in", new ActivationLayer()).addLayer("pooled", new GlobalPoolingLayer(),
                "block39").addLayer("out", new DenseLayer.Builder().nIn(9).nOut(2).build(), "numbers")
                .setOutputs("pooled", "out").build());

        assertThatThrownBy(() -> read(graph)).isInstanceOf(OnnxExportException.class).hasMessageContaining("\"in\" is not known");
    }

    @Test
    void whatIsMergedWithFlattenedImagesOfOpenSizesIsAskedFor() {
        ComputationGraph graph = Initialised.of(builder().addInputs("image").addLayer("layer",
                new ConvolutionLayer.Builder(3, 3).nIn(1).nOut(1).build(), "image").addVertex("flat",
                new PreprocessorVertex(new CnnToFeedForwardPreProcessor(60, 60, 1)), "layer").addLayer("out",
                new DenseLayer.Builder().nIn(3605).nOut(2).build(), "flat", "in").setOutputs("out").build());

        assertThatThrownBy(() -> read(graph)).isInstanceOf(OnnxExportException.class).hasMessageContaining("\"in\" is not known");
    }

    @Test
    void whatIsMergedInTimeIsNotTheRest() {
        MergeVertex time = new MergeVertex();
        time.setMergeAxis(2);
        ComputationGraph graph = Initialised.of(builder().addInputs("other").addLayer("left", lstm(RNNFormat.NCW), "other")
                .addVertex("merged", time, "left", "in").addLayer("out", new LSTM.Builder().nIn(8).nOut(2).build(), "merged")
                .setOutputs("out").setInputTypes(InputType.recurrent(8), InputType.recurrent(4)).build());

        assertThatThrownBy(() -> read(graph)).isInstanceOf(OnnxExportException.class);
    }

    @Test
    void whatNobodyTellsIsAskedFor() {
        ComputationGraph graph = Initialised.of(builder().addVertex("merged", new MergeVertex(), "in", "in").addLayer("pooled",
                new GlobalPoolingLayer(), "merged").addLayer("dense", new DenseLayer.Builder().nIn(6).nOut(3).build(), "pooled")
                .setOutputs("dense").build());

        assertThatThrownBy(() -> read(graph)).isInstanceOf(OnnxExportException.class).hasMessage("The shape of input \"in\" is "
                + "not known: the layers that read it take more than one. Give the shapes of all inputs with "
                + "OnnxExport.inputTypes(...)");
    }

    @Test
    void aNormalizationDoesNotTellWhatItReads() {
        MultiLayerNetwork network = Initialised.of(1, InputType.recurrent(5), new BatchNormalization(), new GlobalPoolingLayer());

        assertThatThrownBy(() -> read(network)).isInstanceOf(OnnxExportException.class)
                .hasMessageEndingWith("Give the shapes of all inputs with OnnxExport.inputTypes(...)");
    }

    @Test
    void readingChangesNothing() {
        MultiLayerNetwork network = Initialised.of(1, InputType.convolutional(20, 31, 2), convolution(2, CNN2DFormat.NCHW),
                new DenseLayer.Builder().nOut(3).build());
        String before = network.getLayerWiseConfigurations().toJson();
        read(network);

        assertThat(network.getLayerWiseConfigurations().toJson()).isEqualTo(before);
    }
}
