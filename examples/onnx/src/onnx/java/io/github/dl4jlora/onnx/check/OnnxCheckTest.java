package io.github.dl4jlora.onnx.check;

import io.github.dl4jlora.onnx.Initialised;
import io.github.dl4jlora.onnx.OnnxExport;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Nonlinearity;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class OnnxCheckTest {

    private static final double TOLERANCE = 1e-5;

    @TempDir
    private Path folder;

    private static NeuralNetConfiguration.Builder settings() {
        return new NeuralNetConfiguration.Builder().seed(1).activation(Activation.TANH);
    }

    private static MultiLayerNetwork chain(NeuralNetConfiguration.ListBuilder layers, InputType type) {
        return Initialised.of(layers.setInputType(type).build());
    }

    private double difference(Model network, OnnxExport export, InputType... types) throws IOException {
        Path file = folder.resolve("network.onnx");
        export.write(file);
        return OnnxCheck.largestDifference(network, file, null, types);
    }

    @ParameterizedTest
    @EnumSource
    void sequencesHaveMasks(RNNFormat format) throws IOException {
        MultiLayerNetwork network = chain(settings().list().layer(new LSTM.Builder().nOut(5).build())
                .layer(new RnnOutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build()),
                InputType.recurrent(4, format));

        assertThat(difference(network, OnnxExport.of(network))).isLessThan(TOLERANCE);
        assertThat(difference(network, OnnxExport.of(network).masks(true))).isLessThan(TOLERANCE);
    }

    @ParameterizedTest
    @EnumSource
    void sequencesOfAFixedLengthHaveMasks(RNNFormat format) throws IOException {
        MultiLayerNetwork network = chain(settings().list().layer(new LSTM.Builder().nOut(5).build()),
                InputType.recurrent(4, 9, format));

        assertThat(difference(network, OnnxExport.of(network).inputTypes(InputType.recurrent(4, 9, format)).masks(true)))
                .isLessThan(TOLERANCE);
    }

    @Test
    void idsOfStepsAreAmongThoseThatThereAre() throws IOException {
        MultiLayerNetwork network = chain(settings().list().layer(new TimeDistributed(new EmbeddingLayer.Builder().nIn(2).nOut(5)
                .build())).layer(new LSTM.Builder().nOut(3).build()), InputType.recurrent(2));

        assertThat(difference(network, OnnxExport.of(network))).isLessThan(TOLERANCE);
        assertThat(difference(network, OnnxExport.of(network).masks(true))).isLessThan(TOLERANCE);
    }

    static Stream<Arguments> transformers() {
        TransformerShape bert = TransformerShape.bert(20, 9, 8, 12, 1, 2);
        TransformerShape endPadded = new TransformerShape(Family.GPT2, 6, 9, 0, 8, 12, 1, 2, 1e-5, Nonlinearity.RELU, 5);
        return Stream.of(arguments(bert, Head.meanPooling()), arguments(bert, Head.maskedWordsAtPositions()),
                arguments(TransformerShape.roberta(20, 9, 8, 12, 1, 2), Head.classifier(2)),
                arguments(bert, Head.reranker()), arguments(bert, Head.tokenClassifier(3)),
                arguments(TransformerShape.gpt2(20, 9, 8, 1, 2), Head.nextWord()), arguments(endPadded, Head.classifier(2)));
    }

    @ParameterizedTest
    @MethodSource("transformers")
    void transformersGetTextsWithTheirPadding(TransformerShape shape, Head head) throws IOException {
        ComputationGraph network = Initialised.of(Transformer.addTo(settings().graphBuilder(), shape, head).build());

        assertThat(difference(network, OnnxExport.of(network))).isLessThan(TOLERANCE);
        assertThat(difference(network, OnnxExport.of(network).masks(true))).isLessThan(TOLERANCE);
    }

    @Test
    void severalInputsHaveTheirOwnMasks() throws IOException {
        InputType[] types = {InputType.feedForward(4), InputType.recurrent(3), InputType.recurrent(2)};
        ComputationGraph network = Initialised.of(settings().graphBuilder().addInputs("rows", "steps", "more")
                .setInputTypes(types)
                .addLayer("dense", new DenseLayer.Builder().nOut(5).build(), "rows")
                .addLayer("pool", new GlobalPoolingLayer.Builder().build(), "steps")
                .addLayer("other", new GlobalPoolingLayer.Builder().build(), "more")
                .addVertex("merge", new MergeVertex(), "dense", "pool", "other")
                .addLayer("out", new OutputLayer.Builder().nOut(2).activation(Activation.SOFTMAX).build(), "merge")
                .addLayer("second", new OutputLayer.Builder(LossFunction.MSE).nOut(3).build(), "merge")
                .setOutputs("out", "second").build());

        assertThat(difference(network, OnnxExport.of(network).inputTypes(types).masks(true))).isLessThan(TOLERANCE);
    }

    @Test
    void embeddingsGetIdsOfTheirVocabulary() throws IOException {
        MultiLayerNetwork network = chain(settings().list()
                .layer(new EmbeddingSequenceLayer.Builder().nIn(11).nOut(4).build())
                .layer(new GlobalPoolingLayer.Builder().build())
                .layer(new OutputLayer.Builder().nOut(2).activation(Activation.SOFTMAX).build()), InputType.recurrent(1, 9));

        assertThat(difference(network, OnnxExport.of(network))).isLessThan(TOLERANCE);
    }

    @Test
    void sizesOfOpenImagesAreThoseThatAreGiven() throws IOException {
        MultiLayerNetwork network = chain(settings().convolutionMode(ConvolutionMode.Same).list()
                .layer(new ConvolutionLayer.Builder(3, 3).nOut(4).build())
                .layer(new GlobalPoolingLayer.Builder().build())
                .layer(new OutputLayer.Builder().nOut(2).activation(Activation.SOFTMAX).build()),
                InputType.convolutional(12, 10, 3));

        assertThat(difference(network, OnnxExport.of(network))).isLessThan(TOLERANCE);
        assertThat(difference(network, OnnxExport.of(network).openImages(true))).isLessThan(TOLERANCE);
        assertThat(difference(network, OnnxExport.of(network).openImages(true), InputType.convolutional(5, 6, 3)))
                .isLessThan(TOLERANCE);
    }

    @Test
    void anotherNetworkDiffers() throws IOException {
        MultiLayerNetwork network = chain(settings().list().layer(new DenseLayer.Builder().nOut(5).build())
                .layer(new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build()), InputType.feedForward(4));
        MultiLayerNetwork other = network.clone();
        other.getLayer(1).getParam("W").addi(0.1);
        other.getLayer(1).getParam("W").getColumn(0).muli(2);

        assertThat(difference(other, OnnxExport.of(network))).isGreaterThan(1e-3);
    }

    @Test
    void whatOnnxRuntimeSaysIsTold() {
        MultiLayerNetwork network = chain(settings().list().layer(new OutputLayer.Builder().nOut(3).build()),
                InputType.feedForward(4));

        assertThatThrownBy(() -> OnnxCheck.largestDifference(network, folder.resolve("none.onnx"), null))
                .isInstanceOf(IOException.class).hasMessageStartingWith("ONNX Runtime: ").hasMessageContaining("none.onnx");
    }
}
