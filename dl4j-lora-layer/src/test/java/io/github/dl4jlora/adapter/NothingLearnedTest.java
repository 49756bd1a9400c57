package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** Warnings of what was not learned. */
class NothingLearnedTest {

    private final ComputationGraph base = Networks.trainedGraph();

    @ParameterizedTest
    @EnumSource(value = LoRAInit.class, names = {"KAIMING_UNIFORM", "PISSA"})
    void savingOrApplyingAnUntrainedAdapterWarnsOnce(LoRAInit init, @TempDir Path folder) throws IOException {
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).loraInit(init).build());
        LoRAAdapter untrained = LoRAAdapter.of(tuned);
        try (LogCapture log = LogCapture.ofLibrary()) {
            untrained.save(folder);
            untrained.save(folder);
            untrained.applyTo(tuned);
            assertThat(log.messages()).singleElement().asString().contains("was saved", "[fc1, fc2] (2 of 2) change nothing");
        }
        try (LogCapture log = LogCapture.ofLibrary()) {
            LoRAAdapter.of(tuned).applyTo(tuned);
            assertThat(log.messages()).singleElement().asString().contains("was applied", "[fc1, fc2]");
        }
        Models.fit(tuned, 1);
        try (LogCapture log = LogCapture.ofLibrary()) {
            LoRAAdapter.of(tuned).save(folder);
            LoRAAdapter.of(tuned).applyTo(tuned);
            assertThat(log.messages()).isEmpty();
        }
        tuned.getLayer("fc1").getParam("B").assign(0);
        try (LogCapture log = LogCapture.ofLibrary()) {
            LoRAAdapter.of(tuned).save(folder);
            assertThat(log.messages()).hasSize(init == LoRAInit.PISSA ? 0 : 1).allMatch(line -> line.contains("[fc1] (1 of 2)"));
        }
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void aBToWhichNoGradientComesIsWarnedOfOnceAndNobodyListens(Models.Kind kind) {
        Model dead = kind.base();
        // A layer whose outputs are all zero behind fc1, so that nothing comes back through it.
        dead.paramTable().get(kind.graph ? "fc2_W" : "1_W").assign(0);
        Model tuned = Models.apply(dead, kind.config().targets("fc1", "out").build());
        try (LogCapture log = LogCapture.ofLibrary()) {
            Models.fitSteps(tuned, 0, 4);
            assertThat(log.messages()).isEmpty();
            // If it is not after this one, DL4J no longer has layers apply their constraints once after each step.
            Models.fitSteps(tuned, 4, 5);
            assertThat(log.messages()).singleElement().asString().contains("no gradient reached B of [fc1]");
            Models.fitSteps(tuned, 5, 20);
            assertThat(log.messages()).hasSize(1);
        }
        assertThat(tuned instanceof ComputationGraph graph ? graph.getListeners()
                : ((MultiLayerNetwork) tuned).getListeners()).isEmpty();
    }

    @Test
    void whatLearnsIsNotWarnedOfNorAnEmbeddingWhoseBWaitsForA() {
        MultiLayerNetwork words = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new EmbeddingLayer.Builder().name("words").nIn(5).nOut(4).build())
                .layer(new DenseLayer.Builder().name("fc").nOut(4).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .build());
        MultiLayerNetwork tuned = LoRA.apply(words, LoRAConfig.builder().rank(2).targets("words", "fc").build());
        DataSet data = new DataSet(Nd4j.createFromArray(1f, 3f).reshape(2, 1), Networks.random(DataType.FLOAT, 1, 2, 2));
        try (LogCapture log = LogCapture.ofLibrary()) {
            for (int i = 0; i < 8; i++) {
                tuned.fit(data);
            }
            ComputationGraph graph = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
            Models.fitSteps(graph, 0, 8);
            assertThat(log.messages()).isEmpty();
        }
    }

    @Test
    void insideAScopeOfFactorZeroNothingIsLearned() {
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
        try (LogCapture log = LogCapture.ofLibrary(); LoRA.Scope none = LoRA.rescaled(tuned, 0)) {
            Models.fitSteps(tuned, 0, 6);
            assertThat(log.messages()).singleElement().asString().contains("[fc1, fc2]");
        }
    }
}
