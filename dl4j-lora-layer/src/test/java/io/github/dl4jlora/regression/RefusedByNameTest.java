package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.layer.LowRankLayer;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.catchThrowable;

/** What cannot be done says so, with the layer, the reason and the way out, instead of doing something else. */
@Tag("heavy")
class RefusedByNameTest {

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void unloadGivesBackTheBaseOfTrainedLayersToo(Models.Kind kind) {
        Model base = kind.base();
        double[] before = Models.params(base);
        Model tuned = Models.apply(base, kind.config().targets("fc1").trainable("out").build());
        Models.fitSteps(tuned, 0, 3);

        assertThat(Models.params(Models.unload(tuned))).containsExactly(before);
        assertThat(Models.params(base)).as("the base").containsExactly(before);
    }

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*EMBEDDED", mode = EnumSource.Mode.MATCH_ALL)
    void unloadIsRefusedWhereTheBaseOfATrainedLayerIsGone(Models.Kind kind) {
        Model tuned = Models.apply(kind.base(), kind.config().targets("fc1").trainable("out").build());
        Models.fitSteps(tuned, 0, 3);

        assertThatIllegalStateException().isThrownBy(() -> Models.unload(tuned)).withMessageContaining("\"out\"");
        assertThat(Models.outputs(Models.merge(tuned))).hasSameSizeAs(Models.outputs(tuned));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void mergeWhileTheAdaptersAreDisabledIsRefused(Models.Kind kind) {
        Model tuned = kind.adapt(kind.base());
        Models.fitSteps(tuned, 0, 3);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThatIllegalStateException().isThrownBy(() -> Models.merge(tuned)).withMessageContaining("LoRA.disabled");
        }

        assertThat(Models.outputs(Models.merge(tuned))).hasSameSizeAs(Models.outputs(tuned));
    }

    /**
     * Of a whole network's vector DL4J hands each layer the share that it asks for, and never looks at what is left: a
     * vector that is too long is accepted there, in stock networks as well.
     */
    @ParameterizedTest(name = "{0}")
    @MethodSource("adaptedLayers")
    void parametersOfAnotherLengthAreRefusedByALayerNamingIt(String kind, org.deeplearning4j.nn.conf.layers.Layer x,
                                                             InputType input) {
        for (FrozenStorage storage : FrozenStorage.values()) {
            Model tuned = Models.apply(Stacks.of(true, DataType.FLOAT, input, x.clone(), Stacks.sequenceHead()),
                    LoRAConfig.builder().rank(2).targets("x").storage(storage).build());
            double[] before = Models.params(tuned);
            Layer layer = ((ComputationGraph) tuned).getLayer("x");
            long length = layer.numParams();

            for (long wrong : new long[]{1, length - 1, length + 1}) {
                assertThatIllegalArgumentException().isThrownBy(() -> layer.setParams(Nd4j.ones(DataType.FLOAT, 1, wrong)))
                        .withMessageContainingAll("x", String.valueOf(wrong), String.valueOf(length));
            }
            assertThat(Models.params(tuned)).containsExactly(before);
        }
    }

    static Stream<Arguments> adaptedLayers() {
        return Stream.of(
                Arguments.of("dense", new DenseLayer.Builder().nOut(4).name("x").build(), InputType.recurrent(3, 5)),
                Arguments.of("convolution", new Convolution1DLayer.Builder().kernelSize(2).nOut(4).name("x").build(),
                        InputType.recurrent(3, 5)),
                Arguments.of("recurrent", new LSTM.Builder().nOut(4).name("x").build(), InputType.recurrent(3, 5)),
                Arguments.of("attention", new SelfAttentionLayer.Builder().nOut(4).nHeads(2).projectInput(true).name("x").build(),
                        InputType.recurrent(3, 5)));
    }

    @Test
    void alphaOfZeroIsRefusedSinceItWouldTrainNothing() {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAConfig.builder().alpha(0).build())
                .withMessageContaining("alpha");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAConfig.builder().override("fc1", o -> o.alpha(0)).build())
                .withMessageContainingAll("alpha", "fc1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new LowRankLayer.Builder().name("path").nIn(3).nOut(3).rank(1).alpha(0).build())
                .withMessageContainingAll("alpha", "path");
    }

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void trainingOnABaseThatMovedIsRefusedNamingALayer(Models.Kind kind) {
        Model base = kind.base();
        Model tuned = kind.adapt(base);
        Models.fitSteps(tuned, 0, 3);

        Models.fit(base, 5);

        assertThatIllegalStateException().isThrownBy(() -> Models.fit(tuned, 6)).withMessageContaining("\"fc1\"");
    }

    static Stream<Arguments> otherLayers() {
        return Stream.of(
                Arguments.of("convolution", new ConvolutionLayer.Builder(2, 2).nOut(4).name("x").build(),
                        InputType.convolutional(4, 4, 3), new long[]{2, 3, 4, 4}),
                Arguments.of("normalisation", new BatchNormalization.Builder().name("x").build(),
                        InputType.feedForward(3), new long[]{4, 3}),
                Arguments.of("recurrent", new LastTimeStep(
                        new LSTM.Builder().nOut(4).name("x").build()), InputType.recurrent(3), new long[]{2, 3, 5}));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("otherLayers")
    void moveOfAnyFrozenLayerIsNoticedByTheNextTraining(String kind, org.deeplearning4j.nn.conf.layers.Layer x, InputType input,
                                                        long[] shape) {
        x.setLayerName("x");
        Model base = Stacks.of(true, DataType.FLOAT, input, x, new DenseLayer.Builder().nOut(4).name("top").build(),
                Stacks.head());
        Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets("top").updater(new Sgd(0.1)).build());
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 1, shape), Networks.random(DataType.FLOAT, 2, shape[0], 2));
        Models.fit(tuned, data);

        base.paramTable().forEach((name, values) -> {
            if (name.startsWith("x_")) {
                values.addi(0.1);
            }
        });

        assertThatIllegalStateException().isThrownBy(() -> Models.fit(tuned, data)).withMessageContaining("\"x\"");
    }

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void copyOfTheBaseStaysWhenTheBaseMoves(Models.Kind kind) {
        Model base = kind.base();
        Model tuned = Models.apply(base, kind.config().copyBase(true).build());
        Model onBaseAtRest = Models.apply(kind.base(), kind.config().build());
        INDArray input = Networks.random(DataType.FLOAT, 1, 2, Networks.IN);
        INDArray before = Models.output(tuned, input);

        Models.fit(base, 5);

        assertThat(Models.output(base, input)).as("what the base computes now").isNotEqualTo(before);
        assertThat(Models.output(tuned, input)).isEqualTo(before).isEqualTo(Models.output(onBaseAtRest, input));
        Models.fit(tuned, 6);
        Models.fit(onBaseAtRest, 6);
        assertThat(tuned.params()).as("what training makes of the adapters").isEqualTo(onBaseAtRest.params());
        assertThat(Models.output(tuned, input)).isNotEqualTo(before).isEqualTo(Models.output(onBaseAtRest, input));
    }

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void outputOnAClosedBaseSaysWhichLayerAndWhatToDo(Models.Kind kind) {
        Model base = kind.base();
        Model tuned = kind.adapt(base);
        INDArray input = Networks.random(DataType.FLOAT, 1, 2, Networks.IN);
        Models.output(tuned, input);

        base.close();

        assertThatIllegalStateException().isThrownBy(() -> Models.output(tuned, input))
                .withMessageContainingAll("\"fc1\"", "closed", "LoRA.attach", "copyBase");
    }

    @Test
    void lowRankLayerIsEqualToItselfOutOfJson() {
        LowRankLayer layer = new LowRankLayer.Builder().name("path").nIn(3).nOut(4).rank(2).alpha(4).loraInit(LoRAInit.GAUSSIAN)
                .build();
        MultiLayerConfiguration conf = Stacks.common(DataType.FLOAT).list().layer(layer)
                .layer(new LossLayer.Builder(LossFunction.MSE).build()).build();

        MultiLayerConfiguration read = MultiLayerConfiguration.fromJson(conf.toJson());

        assertThat(read.getConf(0).getLayer()).isEqualTo(conf.getConf(0).getLayer())
                .hasSameHashCodeAs(conf.getConf(0).getLayer());
        assertThat(read).isEqualTo(conf);
    }

    @Test
    void settingsOfAllLayersAreNotBlamedOnALayer() {
        for (LoRAConfig.Builder wrong : List.of(LoRAConfig.builder().rank(0), LoRAConfig.builder().alpha(Double.NaN),
                LoRAConfig.builder().loraDropout(1), LoRAConfig.builder().loraPlusRatio(0),
                LoRAConfig.builder().pissaIterations(-1), LoRAConfig.builder().loraInit(LoRAInit.ORTHOGONAL).rank(3))) {
            assertThatIllegalArgumentException().isThrownBy(wrong::build)
                    .satisfies(e -> assertThat(e.getMessage()).doesNotContain("all targets").doesNotContain("Layer \""));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void nothingInPlaceOfANetworkOrConfigurationSaysWhatIsMissing(boolean graph) {
        Model base = graph ? Networks.trainedGraph() : Networks.trainedLayers();
        LoRAConfig config = LoRAConfig.builder().build();

        assertMissing("LoRAConfig", () -> Models.apply(base, null));
        assertMissing("adapter", () -> {
            if (base instanceof ComputationGraph stock) {
                LoRA.apply(stock, (LoRAAdapter) null);
            } else {
                LoRA.apply((MultiLayerNetwork) base, (LoRAAdapter) null);
            }
        });
        assertMissing("network", () -> {
            if (graph) {
                LoRA.apply((ComputationGraph) null, config);
            } else {
                LoRA.apply((MultiLayerNetwork) null, config);
            }
        });
        assertMissing("network", () -> LoRA.disabled(null));
        assertMissing("network", () -> LoRA.summary(null));
        assertMissing("network", () -> LoRAAdapter.of(null));
        assertMissing("base", () -> Models.attach(Models.apply(base, config), null));
    }

    private static void assertMissing(String what, ThrowingCallable call) {
        Throwable thrown = catchThrowable(call);
        assertThat(thrown).isInstanceOfAny(NullPointerException.class, IllegalArgumentException.class);
        assertThat(thrown.getMessage()).contains(what, "null").doesNotContain("Cannot invoke");
    }

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void adapterForAStockNetworkPointsToApply(Models.Kind kind) {
        Model base = kind.base();
        LoRAAdapter adapter = LoRAAdapter.of(kind.adapt(base));

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.applyTo(base))
                .withMessageContainingAll("not adapted", "LoRA.apply");
    }

    /** Whatever DL4J asks of the layer, its trained values move or the call says that they do not. */
    @ParameterizedTest(name = "variational {0}, graph {1}")
    @MethodSource("encoders")
    void pretrainingAnAdaptedEncoderIsRefusedUnlessItTrains(boolean variational, boolean graph) {
        org.deeplearning4j.nn.conf.layers.Layer encoder = variational
                ? new VariationalAutoencoder.Builder().nOut(3).encoderLayerSizes(5).decoderLayerSizes(5).name("encoder").build()
                : new AutoEncoder.Builder().nOut(3).name("encoder").build();
        Model tuned = Models.apply(Stacks.of(graph, DataType.FLOAT, InputType.feedForward(4), encoder, Stacks.head()),
                LoRAConfig.builder().rank(2).targets("encoder").updater(new Sgd(0.5)).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        double[] before = Models.params(tuned);
        ListDataSetIterator<DataSet> data = new ListDataSetIterator<>(
                List.of(new DataSet(Networks.random(DataType.FLOAT, 1, 8, 4), Networks.random(DataType.FLOAT, 2, 8, 2))), 1);

        Throwable refusal = catchThrowable(() -> {
            if (tuned instanceof ComputationGraph network) {
                network.pretrain(data);
            } else {
                ((MultiLayerNetwork) tuned).pretrain(data);
            }
        });

        if (refusal == null) {
            assertThat(Models.params(tuned)).isNotEqualTo(before);
        } else {
            assertThat(refusal).hasMessageContainingAll("\"encoder\"", "pretrain");
            assertThat(Models.params(tuned)).containsExactly(before);
        }
    }

    static Stream<Arguments> encoders() {
        return Stream.of(true, false).flatMap(variational -> Stream.of(true, false)
                .map(graph -> Arguments.of(variational, graph)));
    }

    @Test
    void patternForEverythingIsRefusedWithTheReasonOnce() {
        Model base = Stacks.of(false, DataType.FLOAT, InputType.feedForward(3),
                new DenseLayer.Builder().nOut(4).name("fc1").build(),
                new BatchNormalization.Builder().name("norm1").build(), new DenseLayer.Builder().nOut(4).name("fc2").build(),
                new BatchNormalization.Builder().name("norm2").build(), Stacks.head());

        assertThatIllegalArgumentException().isThrownBy(() -> Models.apply(base, LoRAConfig.builder().targets(".*").build()))
                .withMessageContainingAll("norm1", "norm2", "allTargets()")
                .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(400).containsOnlyOnce("parameters are vectors"));
    }

    /** EMBEDDED has a copy, which nobody else can close. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void embeddedNetworkOutlivesItsBase(boolean graph) {
        Model base = graph ? Networks.trainedGraph() : Networks.trainedLayers();
        Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).storage(FrozenStorage.EMBEDDED).build());
        double[] expected = Models.outputs(base);

        base.close();

        assertThat(Models.outputs(tuned)).containsExactly(expected);
    }
}
