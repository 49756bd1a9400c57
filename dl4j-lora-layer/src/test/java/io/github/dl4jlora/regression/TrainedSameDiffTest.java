package io.github.dl4jlora.regression;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.stream.Stream;

/** DL4J doubles the gradients of its SameDiff layers; in an adapted network they are right, whoever trains. */
@ExtendWith(DoublePrecision.class)
@Tag("heavy")
class TrainedSameDiffTest {

    /** What becomes of the SameDiff layer, and of the LSTM below it. */
    enum Roles {
        TRAINED_ABOVE_ADAPTED, TRAINED_ABOVE_TRAINED, TRAINED_ABOVE_FROZEN, ADAPTED_ABOVE_ADAPTED, FROZEN_ABOVE_ADAPTED;

        LoRAConfig config() {
            LoRAConfig.Builder config = LoRAConfig.builder().rank(2).updater(new Sgd(0.1));
            return (switch (this) {
                case TRAINED_ABOVE_ADAPTED -> config.targets("below").trainable("attention");
                case TRAINED_ABOVE_TRAINED -> config.targets("above").trainable("attention", "below");
                case TRAINED_ABOVE_FROZEN -> config.targets("above").trainable("attention");
                case ADAPTED_ABOVE_ADAPTED -> config.targets("below", "attention");
                case FROZEN_ABOVE_ADAPTED -> config.targets("below");
            }).build();
        }
    }

    private static final MultiDataSet DATA = Stacks.data(DataType.DOUBLE, new long[]{3, 3, 4}, new long[]{3, 2, 4});

    private static Stream<Arguments> layers() {
        return Stream.of(Roles.values()).flatMap(roles -> Stream.of(true, false).flatMap(graph -> Stream.of(
                new SelfAttentionLayer.Builder().nIn(4).nOut(4).nHeads(2).projectInput(true).name("attention").build(),
                new LocallyConnected1D.Builder().kernelSize(1).stride(1).nIn(4).nOut(4).setInputSize(4).name("attention").build())
                .map(layer -> Arguments.of(roles, graph, layer.getClass().getSimpleName(), layer))));
    }

    @ParameterizedTest(name = "{0}, graph {1}, {2}")
    @MethodSource("layers")
    void gradientsOfAndBelowASameDiffLayerAreRight(Roles roles, boolean graph, String type, Layer sameDiff) {
        Model tuned = Models.apply(Stacks.of(graph, DataType.DOUBLE, InputType.recurrent(3, 4), below(), sameDiff, above(),
                Stacks.sequenceHead()), roles.config());
        Networks.randomizeAdapters(tuned.paramTable(), 3);

        Stacks.assertGradientsAreSlopes(tuned, DATA);
    }

    @ParameterizedTest
    @EnumSource(Roles.class)
    void gradientsOfAndBelowAnAttentionVertexAreRight(Roles roles) {
        ComputationGraph base = Networks.of(Stacks.common(DataType.DOUBLE).graphBuilder().addInputs("in")
                .addLayer("below", below(), "in")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "below", "below", "below")
                .addLayer("above", above(), "attention").addLayer("out", Stacks.sequenceHead(), "above")
                .setOutputs("out").setInputTypes(InputType.recurrent(3, 4)).build());
        Model tuned = Models.apply(base, roles.config());
        Networks.randomizeAdapters(tuned.paramTable(), 3);

        Gradients.assertEqualFiniteDifferences(tuned, DATA);
    }

    private static Layer below() {
        return new LSTM.Builder().nIn(3).nOut(4).name("below").build();
    }

    private static Layer above() {
        return new DenseLayer.Builder().nIn(4).nOut(3).name("above").build();
    }
}
