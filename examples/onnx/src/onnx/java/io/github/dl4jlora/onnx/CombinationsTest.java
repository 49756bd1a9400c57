package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.PreprocessorVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.SubsetVertex;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPadding1DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** What layers and vertices make of each other: masks, and operators that ONNX Runtime makes one. */
class CombinationsTest {

    private static final InputType SEQUENCE = InputType.recurrent(3);

    static Stream<Arguments> verticesWithMasks() {
        return Stream.of(arguments(new ElementWiseVertex(ElementWiseVertex.Op.Add), 2),
                arguments(new ElementWiseVertex(ElementWiseVertex.Op.Max), 2), arguments(new MergeVertex(), 2),
                arguments(new StackVertex(), 2), arguments(new ScaleVertex(2), 1), arguments(new ShiftVertex(0.5), 1),
                arguments(new SubsetVertex(1, 2), 1));
    }

    @ParameterizedTest
    @MethodSource("verticesWithMasks")
    void verticesHandMasksOn(GraphVertex vertex, int inputs) throws IOException {
        GraphBuilder builder = builder().addVertex("vertex", vertex, Stream.of("x", "y").limit(inputs).toArray(String[]::new));
        if (inputs == 1) {
            builder.addVertex("both", new ElementWiseVertex(ElementWiseVertex.Op.Average), "vertex", "vertex")
                    .addLayer("other", pooling(), "y").setOutputs("out", "other");
        } else {
            builder.addVertex("both", new ScaleVertex(1), "vertex").setOutputs("out");
        }
        agrees(graph(builder.addLayer("lstm", new LSTM.Builder().nOut(4).build(), "both").addLayer("out", pooling(), "lstm")));
    }

    @Test
    void anUnstackedMaskIsThatOfItsPart() throws IOException {
        for (int part : new int[]{0, 1}) {
            agrees(graph(builder().addVertex("stacked", new StackVertex(), "x", "y")
                    .addVertex("part", new UnstackVertex(part, 2), "stacked").addLayer("out", pooling(), "part")
                    .setOutputs("out")));
        }
    }

    @Test
    void masksGoThroughPreprocessorVertices() throws IOException {
        agrees(graph(builder().addVertex("rows", new PreprocessorVertex(new RnnToFeedForwardPreProcessor()), "x")
                .addLayer("dense", new DenseLayer.Builder().nIn(3).nOut(3).activation(Activation.SIGMOID).build(), "rows")
                .addVertex("steps", new PreprocessorVertex(new FeedForwardToRnnPreProcessor()), "dense")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "steps", "y")
                .addLayer("out", pooling(), "sum").setOutputs("out")));
    }

    static Stream<Layer> layersOfSteps() {
        return Stream.of(new DenseLayer.Builder().nOut(4).activation(Activation.SIGMOID).build(),
                new DenseLayer.Builder().nOut(4).activation(Activation.SOFTMAX).hasLayerNorm(true).build());
    }

    @ParameterizedTest
    @MethodSource("layersOfSteps")
    void denseLayersMaskTheirOutput(Layer layer) throws IOException {
        agrees(graph(builder().addLayer("dense", layer, "x").addLayer("again", new DenseLayer.Builder().nOut(3).build(), "dense")
                .addLayer("steps", output(Activation.SIGMOID), "again")
                .addLayer("other", pooling(), "y").setOutputs("steps", "other")));
    }

    @Test
    void aReshapeOfMaskedSequencesKeepsTheMask() throws IOException {
        agrees(graph(builder().addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "x", "y")
                .addVertex("same", new ReshapeVertex(-1, 3, 6), "sum").addLayer("out", pooling(), "same").setOutputs("out")), 6);
    }

    @Test
    void masksThatDl4jCannotApplyAreRefused() {
        ComputationGraph dropped = graph(builder().addLayer("drop", new DropoutLayer(0.5), "x").addLayer("out", pooling(), "drop")
                .addLayer("other", pooling(), "y").setOutputs("out", "other"));

        assertThatThrownBy(() -> OnnxExport.of(dropped).masks(true).inputTypes(SEQUENCE, SEQUENCE).write(Path.of("never.onnx")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("\"drop\"").hasMessageContaining("3 dimensions");
    }

    static Stream<Arguments> poolings() {
        return Stream.of(PoolingType.MAX, PoolingType.AVG).flatMap(type -> Stream.of(0, 1).flatMap(padding -> Stream.of(
                arguments(InputType.convolutional(6, 5, 3), new ZeroPaddingLayer.Builder(1, 2).build(),
                        new SubsamplingLayer.Builder(type).kernelSize(3, 2).stride(2, 1).padding(padding, padding).build()),
                arguments(InputType.recurrent(3, 7), new ZeroPadding1DLayer.Builder(2, 1).build(),
                        new Subsampling1DLayer.Builder(type).kernelSize(3).stride(2).build()))));
    }

    @ParameterizedTest
    @MethodSource("poolings")
    void zerosAroundAnImageArePooledLikeItsValues(InputType type, Layer padding, Layer pooling) throws IOException {
        MultiLayerNetwork network = Samples.network(1, type, padding, pooling);
        INDArray input = Samples.input(type, 2).subi(3);

        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), input);
    }

    @Test
    void aMaskIsPaddedBeyondItsWindow() throws IOException {
        agrees(graph(builder().addLayer("wide", new Convolution1DLayer.Builder().kernelSize(1).stride(2).padding(1).nOut(3)
                .activation(Activation.TANH).build(), "x").addLayer("steps", output(Activation.IDENTITY), "wide")
                .addLayer("other", pooling(), "y").setOutputs("steps", "other")));
    }

    @Test
    void aLayerOfOnePlaceBehindWordsTakesTheFirstWord() throws IOException {
        MultiLayerNetwork network = Samples.network(1, InputType.recurrent(7, 6),
                new EmbeddingSequenceLayer.Builder().nIn(7).nOut(3).inferInputLength(true).build(),
                new LocallyConnected1D.Builder().kernelSize(1).nOut(3).build(),
                output(Activation.IDENTITY));
        INDArray words = Nd4j.createFromArray(new float[][]{{1, 6, 3, 0, 2, 2}, {5, 0, 0, 4, 1, 6}});

        InRuntime.agrees(network, OnnxExport.of(network), words);
    }

    private static Layer output(Activation activation) {
        return new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(activation).build();
    }

    private static GlobalPoolingLayer pooling() {
        return new GlobalPoolingLayer(PoolingType.AVG);
    }

    private static GraphBuilder builder() {
        return new NeuralNetConfiguration.Builder().seed(3).graphBuilder().addInputs("x", "y");
    }

    private static ComputationGraph graph(GraphBuilder builder) {
        return Samples.shaken(Initialised.of(builder.setInputTypes(SEQUENCE, SEQUENCE).build()), 3);
    }

    private static void agrees(ComputationGraph graph) throws IOException {
        agrees(graph, 6, 12);
    }

    /** With another mask for each of the inputs. */
    private static void agrees(ComputationGraph graph, int... lengths) throws IOException {
        Path file = InMemory.file();
        try {
            OnnxExport.of(graph).inputTypes(SEQUENCE, SEQUENCE).masks(true).write(file);
            for (int length : lengths) {
                INDArray x = Samples.normal(2, 3, length);
                INDArray y = x.mul(0.5).addi(0.2);
                INDArray first = Nd4j.ones(DataType.FLOAT, 2, length);
                INDArray second = first.dup();
                first.putScalar(0, length - 1, 0).putScalar(0, length - 2, 0).putScalar(1, length - 1, 0);
                second.putScalar(0, length - 1, 0).putScalar(1, 0, 0);
                List<INDArray> expected = List.of(graph.output(false, new INDArray[]{x.dup(), y.dup()},
                        new INDArray[]{first.dup(), second.dup()}));
                InRuntime.agrees(expected, file, x, y, first, second);
            }
        } finally {
            Files.deleteIfExists(file);
        }
    }
}
