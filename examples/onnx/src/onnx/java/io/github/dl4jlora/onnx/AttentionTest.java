package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.SequenceRuns.Mask;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.LearnedSelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;

import java.io.IOException;
import java.util.function.Supplier;

import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

class AttentionTest {

    private static final InputType TYPE = InputType.recurrent(6);

    @ParameterizedTest
    @EnumSource(Mask.class)
    void selfAttentionComputesTheSame(Mask mask) throws IOException {
        SequenceRuns.agrees(SequenceRuns.chain(TYPE, new SelfAttentionLayer.Builder().nIn(6).nOut(4).nHeads(2).projectInput(true)
                .weightInit(WeightInit.XAVIER).build()), mask, TYPE);
        SequenceRuns.agrees(SequenceRuns.chain(TYPE, new SelfAttentionLayer.Builder().nIn(6).nOut(4).nHeads(3).headSize(5)
                .projectInput(true).weightInit(WeightInit.XAVIER).build()), mask, TYPE);
        SequenceRuns.agrees(SequenceRuns.chain(TYPE, new SelfAttentionLayer.Builder().nIn(6).nOut(6).nHeads(1).projectInput(false)
                .weightInit(WeightInit.XAVIER).build()), mask, TYPE);
    }

    @Test
    void learnedQueriesAreRefused() {
        Supplier<Model> network = SequenceRuns.chain(TYPE, new LearnedSelfAttentionLayer.Builder().nIn(6).nOut(4).nHeads(2)
                .nQueries(3).projectInput(true).weightInit(WeightInit.XAVIER).build());

        assertThatExceptionOfType(OnnxExportException.class).isThrownBy(() -> SequenceRuns.agrees(network, Mask.NONE, TYPE))
                .withMessageContaining("DL4J itself cannot compute a LearnedSelfAttentionLayer");
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void recurrentAttentionComputesTheSame(Mask mask) throws IOException {
        SequenceRuns.agrees(SequenceRuns.chain(TYPE, new RecurrentAttentionLayer.Builder().nIn(6).nOut(4).nHeads(2)
                .projectInput(true).weightInit(WeightInit.XAVIER).build()), mask, TYPE);
        SequenceRuns.agrees(SequenceRuns.chain(TYPE, new RecurrentAttentionLayer.Builder().nIn(6).nOut(6).nHeads(1).hasBias(false)
                .activation(Activation.SIGMOID).projectInput(false).weightInit(WeightInit.XAVIER).build()), mask, TYPE);
    }

    @ParameterizedTest
    @EnumSource(Mask.class)
    void attentionVerticesComputeTheSame(Mask mask) throws IOException {
        InputType keys = InputType.recurrent(5);
        SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("queries", "keys").setInputTypes(TYPE, keys)
                .addLayer("values", new LSTM.Builder().nOut(4).weightInit(WeightInit.XAVIER).build(), "keys")
                .addVertex("attention", new AttentionVertex.Builder().nInQueries(6).nInKeys(5).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "queries", "keys", "values")
                .setOutputs("attention")), mask, TYPE, keys);
        SequenceRuns.agrees(SequenceRuns.graph(builder -> builder.addInputs("in").setInputTypes(TYPE)
                .addVertex("attention", new AttentionVertex.Builder().nInQueries(6).nInKeys(6).nInValues(6).nOut(6).nHeads(1)
                        .projectInput(false).build(), "in", "in", "in")
                .setOutputs("attention")), mask, TYPE);
    }
}
