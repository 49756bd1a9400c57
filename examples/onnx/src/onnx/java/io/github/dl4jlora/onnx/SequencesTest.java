package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.SequenceRuns.Mask;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.rnn.DuplicateToTimeSeriesVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.graph.rnn.ReverseTimeSeriesVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.weights.WeightInit;
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

class SequencesTest {

    private static final int WORDS = 11;

    private static INDArray ids(long... shape) {
        return Nd4j.rand(DataType.FLOAT, shape).muli(WORDS - 1).addi(0.3);
    }

    static Stream<Arguments> masks() {
        return Arrays.stream(RNNFormat.values()).flatMap(format -> Arrays.stream(Mask.values())
                .map(mask -> Arguments.of(format, mask)));
    }

    @ParameterizedTest
    @MethodSource("masks")
    void sequencesOfIdsAreLookedUp(RNNFormat format, Mask mask) throws IOException {
        InputType type = InputType.recurrent(1);
        for (boolean bias : new boolean[]{true, false}) {
            EmbeddingSequenceLayer layer = new EmbeddingSequenceLayer.Builder().nIn(WORDS).nOut(4).hasBias(bias)
                    .activation(bias ? Activation.TANH : Activation.IDENTITY).outputDataFormat(format).build();
            Supplier<Model> network = SequenceRuns.chain(InputType.recurrent(WORDS), layer,
                    new LSTM.Builder().nOut(3).dataFormat(format).build());
            SequenceRuns.agrees(network, mask, export -> export.inputTypes(type),
                    (batch, time) -> new INDArray[]{ids(batch, 1, time)}, type);
            SequenceRuns.agrees(network, mask, (batch, time) -> new INDArray[]{ids(batch, time)}, type);
        }
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void eachOfSeveralTextsHasAMask(Mask mask) throws IOException {
        InputType type = InputType.recurrent(WORDS);
        SequenceRuns.agrees(SequenceRuns.graph(builder -> {
            builder.addInputs("one", "two").setInputTypes(type, type);
            for (String text : List.of("one", "two")) {
                builder.addLayer("words-" + text, new EmbeddingSequenceLayer.Builder().nIn(WORDS).nOut(4).build(), text)
                        .addLayer("lstm-" + text, new LSTM.Builder().nOut(3).build(), "words-" + text)
                        .addVertex("last-" + text, new LastTimeStepVertex(text), "lstm-" + text);
            }
            builder.addVertex("out", new ElementWiseVertex(ElementWiseVertex.Op.Subtract), "last-one", "last-two")
                    .setOutputs("out");
        }), mask, (batch, time) -> new INDArray[]{ids(batch, time), ids(batch, time)}, type, type);
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void idsOfStepsAreLookedUpRowByRow(Mask mask) throws IOException {
        InputType type = InputType.recurrent(1);
        SequenceRuns.agrees(SequenceRuns.chain(InputType.recurrent(WORDS), new EmbeddingLayer.Builder().nIn(WORDS).nOut(4)
                .activation(Activation.TANH).hasBias(true).build(), new LSTM.Builder().nOut(3).build()), mask,
                (batch, time) -> new INDArray[]{ids(batch, 1, time)}, type);
    }

    @ParameterizedTest
    @MethodSource("masks")
    void idsAreLookedUpStepByStep(RNNFormat format, Mask mask) throws IOException {
        InputType type = InputType.recurrent(1, format);
        Supplier<Model> network = SequenceRuns.chain(InputType.recurrent(WORDS, format), new TimeDistributed(
                new EmbeddingLayer.Builder().nIn(WORDS).nOut(4).activation(Activation.TANH).hasBias(true).build(), format),
                new LSTM.Builder().nOut(3).dataFormat(format).build());
        SequenceRuns.Inputs inputs = (batch, time) -> new INDArray[]{
                format == RNNFormat.NCW ? ids(batch, 1, time) : ids(batch, time, 1)};

        SequenceRuns.agrees(network, mask, inputs, type);
        SequenceRuns.agrees(network, mask, export -> export.inputTypes(InputType.recurrent(WORDS, format)), inputs, type);
    }

    @Test
    void oneIdOfAnExampleIsLookedUp() throws IOException {
        InputType type = InputType.feedForward(1);
        SequenceRuns.agrees(SequenceRuns.chain(InputType.feedForward(WORDS),
                new EmbeddingLayer.Builder().nIn(WORDS).nOut(4).build()), Mask.NONE,
                (batch, time) -> new INDArray[]{ids(batch, 1)}, type);
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void lastStepsAndRepeatedOnesAreThose(Mask mask) throws IOException {
        InputType type = InputType.recurrent(4);
        SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("in", "other").setInputTypes(type, type)
                .addLayer("lstm", new LSTM.Builder().nOut(4).weightInit(WeightInit.XAVIER).build(), "in")
                .addVertex("last", new LastTimeStepVertex("in"), "lstm")
                .addLayer("dense", new DenseLayer.Builder().nOut(4).activation(Activation.TANH).build(), "last")
                .addVertex("repeated", new DuplicateToTimeSeriesVertex("other"), "dense")
                .addVertex("both", new ElementWiseVertex(ElementWiseVertex.Op.Add), "repeated", "other")
                .addLayer("rnn", new SimpleRnn.Builder().nOut(3).weightInit(WeightInit.XAVIER).build(), "both")
                .setOutputs("rnn")), mask, type, type);
        SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("in").setInputTypes(type)
                .addVertex("last", new LastTimeStepVertex("in"), "in").setOutputs("last")), mask,
                export -> export.inputTypes(type), type);
    }

    /** DL4J asks for ids [batch, 1, time] here; the file has [batch, time]. */
    @Test
    void stepsAreRepeatedForEachId() throws IOException {
        Model network = SequenceRuns.graph(builder -> builder.addInputs("in").setInputTypes(InputType.recurrent(WORDS))
                .addLayer("words", new EmbeddingSequenceLayer.Builder().nIn(WORDS).nOut(4).build(), "in")
                .addLayer("encoder", new LSTM.Builder().nOut(5).build(), "words")
                .addVertex("last", new LastTimeStepVertex("in"), "encoder")
                .addVertex("repeated", new DuplicateToTimeSeriesVertex("in"), "last")
                .addLayer("decoder", new LSTM.Builder().nOut(3).build(), "repeated")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(WORDS).activation(Activation.SOFTMAX)
                        .build(), "decoder").setOutputs("out")).get();
        Path file = InMemory.file();
        try {
            OnnxExport.write(network, file);
            for (int time : new int[]{1, 5, 9}) {
                INDArray ids = ids(3, 1, time);
                InRuntime.agrees(InRuntime.outputs(network, ids), file, ids.reshape(3, time));
            }
        } finally {
            Files.deleteIfExists(file);
        }
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void reversedStepsStayAmongThosePresent(Mask mask) throws IOException {
        InputType type = InputType.recurrent(4);
        for (String name : new String[]{"in", null}) {
            SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("in").setInputTypes(type)
                    .addVertex("reversed", new ReverseTimeSeriesVertex(name), "in")
                    .addLayer("rnn", new SimpleRnn.Builder().nOut(3).weightInit(WeightInit.XAVIER).build(), "reversed")
                    .setOutputs("rnn")), mask, type);
        }
    }
}
