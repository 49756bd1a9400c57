package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.SequenceRuns.Mask;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.rnn.DuplicateToTimeSeriesVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToCnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * What DL4J's own examples build of sequences, in small: written without any setting but masks, each computes what the network
 * computes.
 */
@SuppressWarnings("deprecation")
class ExampleSequencesTest {

    private static final int WORDS = 12;

    static Stream<Arguments> chains() {
        return Stream.of(
                example("characters", WORDS, lstm(16), lstm(16), classes(WORDS)),
                example("characters, with peepholes", WORDS, peepholes(16), peepholes(16), classes(WORDS)),
                example("one number at a time", 1, lstm(10), classes(6)),
                example("a regression", 2, lstm(10), new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2)
                        .activation(Activation.IDENTITY).build()),
                example("anomalies", 3, lstm(12), lstm(8), lstm(3), lstm(8), lstm(12),
                        new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build()),
                example("sentiment", 20, lstm(16), classes(2)),
                example("both directions", 4, new Bidirectional(lstm(6)), classes(3)),
                example("both directions, with peepholes", 4, new GravesBidirectionalLSTM.Builder().nOut(6)
                        .activation(Activation.TANH).build(), classes(3)),
                example("a class of the last step", 4, new LastTimeStep(lstm(6)), output()),
                example("a class of all steps", 4, lstm(6), new GlobalPoolingLayer(PoolingType.MAX), output()))
                .flatMap(example -> Arrays.stream(Mask.values())
                        .map(mask -> Arguments.of(example.get()[0], example.get()[1], mask)));
    }

    @ParameterizedTest
    @MethodSource("chains")
    void chainsComputeTheSame(Supplier<Model> network, InputType type, Mask mask) throws IOException {
        SequenceRuns.agrees(network, mask, type);
    }

    @Test
    void charactersAreGeneratedByAGraph() throws IOException {
        SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("input")
                .addLayer("first", new LSTM.Builder().nIn(WORDS).nOut(9).activation(Activation.TANH).build(), "input")
                .addLayer("second", new LSTM.Builder().nIn(9).nOut(9).activation(Activation.TANH).build(), "first")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MCXENT).activation(Activation.SOFTMAX).nIn(18)
                        .nOut(WORDS).build(), "first", "second").setOutputs("out")), Mask.NONE, InputType.recurrent(WORDS));
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void sumsAreDecodedStepByStep(Mask mask) throws IOException {
        InputType type = InputType.recurrent(WORDS);
        Supplier<Model> network = SequenceRuns.graph(builder -> builder.addInputs("terms", "sum").setInputTypes(type, type)
                .addLayer("encoder", lstm(16), "terms").addVertex("last", new LastTimeStepVertex("terms"), "encoder")
                .addVertex("repeated", new DuplicateToTimeSeriesVertex("sum"), "last")
                .addLayer("decoder", new LSTM.Builder().nOut(16).activation(Activation.SOFTSIGN).build(), "sum", "repeated")
                .addLayer("out", classes(WORDS), "decoder").setOutputs("out"));

        SequenceRuns.agrees(network, mask, type, type);
        SequenceRuns.agrees(network, Mask.NONE, (batch, time) -> new INDArray[]{SequenceRuns.values(type, batch, time + 3),
                SequenceRuns.values(type, batch, time)}, type, type);
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void answersAreDecodedFromWords(Mask mask) throws IOException {
        InputType type = InputType.recurrent(WORDS);
        SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("line", "answer").setInputTypes(type, type)
                .addLayer("embedding", new EmbeddingLayer.Builder().nIn(WORDS).nOut(8).build(), "line")
                .addLayer("encoder", lstm(10), "embedding").addVertex("thought", new LastTimeStepVertex("line"), "encoder")
                .addVertex("repeated", new DuplicateToTimeSeriesVertex("answer"), "thought")
                .addVertex("merged", new MergeVertex(), "answer", "repeated").addLayer("decoder", lstm(10), "merged")
                .addLayer("out", classes(WORDS), "decoder").setOutputs("out")), mask,
                (batch, time) -> new INDArray[]{ids(batch, 1, time), SequenceRuns.values(type, batch, time)}, type, type);
    }

    @Test
    void wordsAreEmbeddedRowByRow() throws IOException {
        SequenceRuns.agrees(network(new NeuralNetConfiguration.Builder().seed(1).activation(Activation.RELU).list()
                .layer(new EmbeddingLayer.Builder().nIn(WORDS).nOut(5).build())
                .layer(new LSTM.Builder().nIn(5).nOut(7).activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).nIn(7).nOut(4).activation(Activation.SOFTMAX).build())
                .inputPreProcessor(0, new RnnToFeedForwardPreProcessor())
                .inputPreProcessor(1, new FeedForwardToRnnPreProcessor())), Mask.NONE,
                (batch, time) -> new INDArray[]{ids(batch, 1, time)}, InputType.recurrent(1));
    }

    @Test
    void videosAreConvolvedFrameByFrame() throws IOException {
        SequenceRuns.agrees(network(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new ConvolutionLayer.Builder(10, 10).nIn(3).nOut(6).stride(4, 4).activation(Activation.RELU).build())
                .layer(new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(3, 3).stride(2, 2).build())
                .layer(new ConvolutionLayer.Builder(3, 3).nIn(6).nOut(5).stride(2, 2).activation(Activation.RELU).build())
                .layer(new DenseLayer.Builder().nIn(2 * 2 * 5).nOut(10).activation(Activation.RELU).build())
                .layer(new LSTM.Builder().nIn(10).nOut(10).activation(Activation.SOFTSIGN).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).nIn(10).nOut(4).activation(Activation.SOFTMAX).build())
                .inputPreProcessor(0, new RnnToCnnPreProcessor(50, 50, 3))
                .inputPreProcessor(3, new CnnToFeedForwardPreProcessor(2, 2, 5))
                .inputPreProcessor(4, new FeedForwardToRnnPreProcessor())), Mask.NONE,
                (batch, time) -> new INDArray[]{Nd4j.rand(DataType.FLOAT, batch, 50 * 50 * 3, time)},
                InputType.recurrent(50 * 50 * 3));
    }

    @Test
    void eachStepOfAConvolutionIsClassified() throws IOException {
        MultiLayerNetwork network = Samples.shaken(Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new Convolution1DLayer.Builder().kernelSize(3).stride(1).activation(Activation.TANH).nOut(2).build())
                .layer(output()).setInputType(InputType.recurrent(1, -1, RNNFormat.NCW)).build()), 3);

        InRuntime.agrees(network, OnnxExport.of(network), Samples.normal(3, 1, 60));
        InRuntime.agrees(network, OnnxExport.of(network), Samples.normal(1, 1, 3));
    }

    @Test
    void patentsAreClassifiedByWindowsOfWords() throws IOException {
        InputType type = InputType.recurrent(WORDS, 30);
        ComputationGraph network = (ComputationGraph) SequenceRuns.graph(builder -> {
            builder.addInputs("in").setInputTypes(type);
            for (int window : new int[]{3, 4, 5}) {
                builder.addLayer("ngram" + window, new Convolution1DLayer.Builder().kernelSize(window).nOut(6)
                        .activation(Activation.RELU).build(), "in")
                        .addLayer("pool" + window, new GlobalPoolingLayer.Builder(PoolingType.MAX).build(), "ngram" + window);
            }
            builder.addVertex("merged", new MergeVertex(), "pool3", "pool4", "pool5")
                    .addLayer("predict", new DenseLayer.Builder().nOut(9).dropOut(0.9).activation(Activation.SOFTMAX).build(),
                            "merged")
                    .addLayer("loss", new LossLayer.Builder(LossFunction.MCXENT).build(), "predict").setOutputs("loss");
        }).get();
        INDArray words = Samples.normal(2, WORDS, 30);
        INDArray mask = Nd4j.ones(DataType.FLOAT, 2, 30);
        for (int step = 12; step < 30; step++) {
            mask.putScalar(1, step, 0);
        }
        Path file = InMemory.file();

        InRuntime.agrees(network, OnnxExport.of(network), words);
        try {
            OnnxExport.of(network).masks(true).write(file);
            InRuntime.agrees(List.of(network.output(false, new INDArray[]{words.dup()}, new INDArray[]{mask.dup()})), file, words,
                    mask);
        } finally {
            Files.deleteIfExists(file);
        }
    }

    private static Arguments example(String name, long size, org.deeplearning4j.nn.conf.layers.Layer... layers) {
        InputType type = InputType.recurrent(size);
        return Arguments.of(Named.of(name, SequenceRuns.chain(type, layers)), type);
    }

    private static Supplier<Model> network(NeuralNetConfiguration.ListBuilder list) {
        return () -> {
            return Samples.shaken(Initialised.of(list.build().clone()), 3);
        };
    }

    private static LSTM lstm(int nOut) {
        return new LSTM.Builder().nOut(nOut).activation(Activation.TANH).build();
    }

    private static GravesLSTM peepholes(int nOut) {
        return new GravesLSTM.Builder().nOut(nOut).activation(Activation.TANH).build();
    }

    private static RnnOutputLayer classes(int nOut) {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(nOut).activation(Activation.SOFTMAX).build();
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(6).activation(Activation.SOFTMAX).build();
    }

    private static INDArray ids(long... shape) {
        return Nd4j.rand(DataType.FLOAT, shape).muli(WORDS - 1).addi(0.3);
    }
}
