package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

/** The projections of an attention vertex, together and one by one. */
@ExtendWith(DoublePrecision.class)
class DeltaVertexTest {

    private static final MultiDataSet DATA =
            new MultiDataSet(Networks.random(DataType.DOUBLE, 1, 3, 5, 4), Networks.random(DataType.DOUBLE, 2, 3, 3, 4));
    private static final INDArray FEATURES = DATA.getFeatures(0);

    @TempDir
    private Path folder;

    private ComputationGraph base;

    @BeforeEach
    void makeBase() {
        base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE).updater(new Sgd(0.1))
                .activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "in")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "lstm", "lstm", "lstm")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY)
                        .build(), "attention")
                .setOutputs("out").setInputTypes(InputType.recurrent(5)).build());
        base.fit(DATA);
    }

    private static LoRAConfig.Builder config(String... targets) {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(1)).targets(targets);
    }

    @Test
    void eachProjectionIsATargetOfItsOwn() {
        assertThat(LoRA.apply(base, config("attention/Wq", "out").build()).paramTable())
                .containsOnlyKeys("attention_Wq.A", "attention_Wq.B", "out_A", "out_B");
        assertThat(LoRA.apply(base, config("attention/W[qv]", "out").build()).paramTable())
                .containsOnlyKeys("attention_Wq.A", "attention_Wq.B", "attention_Wv.A", "attention_Wv.B", "out_A", "out_B");
        assertThat(LoRA.apply(base, LoRAConfig.builder().targets(LayerType.ATTENTION, LayerType.OUTPUT)
                .exclude("attention/W[ko]").build())
                .paramTable()).containsOnlyKeys("attention_Wq.A", "attention_Wq.B", "attention_Wv.A", "attention_Wv.B",
                "out_A", "out_B");
        assertThat(LoRA.apply(base, config("attention", "out").build()).paramTable()).hasSize(10);
    }

    /** DL4J's fit returns at once where no layer has parameters. */
    @Test
    void vertexAloneIsRefusedUnlessDl4jWouldTrainIt() {
        assertThatThrownBy(() -> LoRA.apply(base, config("attention").build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Only vertices would train, [attention]", "targets(...)", "trainable(...)", "EMBEDDED");
        ComputationGraph embedded = LoRA.apply(base, config("attention").storage(FrozenStorage.EMBEDDED).build());
        INDArray before = embedded.outputSingle(FEATURES).dup();
        embedded.fit(DATA);
        assertThat(Networks.difference(embedded.outputSingle(FEATURES), before)).isPositive();
    }

    @ParameterizedTest
    @ValueSource(strings = {"attention", "attention/Wq", "attention/Wk", "attention/Wv", "attention/Wo"})
    void hasTheGradientsOfFiniteDifferencesAndOfTheStockVertex(String target) {
        ComputationGraph adapted = LoRA.apply(base, config(target, "lstm").build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        Map<String, INDArray> gradients = Gradients.of(adapted, DATA);
        gradients.keySet().removeIf(key -> key.startsWith("lstm"));
        Gradients.assertProjections(adapted, gradients, Gradients.of(LoRA.merge(adapted), DATA));
        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.GraphConfig().net(adapted).inputs(DATA.getFeatures())
                .labels(DATA.getLabels()).epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-8)
                .print(GradientCheckUtil.PrintMode.FAILURES_ONLY))).isTrue();
    }

    @Test
    void masksOfOneBatchDoNotStayForTheNext() {
        ComputationGraph adapted = LoRA.apply(base, config("attention", "out").build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        INDArray expected = adapted.outputSingle(FEATURES).dup();
        INDArray mask = Nd4j.createFromArray(new double[][]{{1, 1, 1, 0}, {1, 1, 0, 0}, {1, 0, 0, 0}});
        adapted.setLayerMaskArrays(new INDArray[]{mask}, new INDArray[]{mask});
        INDArray masked = adapted.outputSingle(FEATURES).dup();
        ComputationGraph merged = LoRA.merge(adapted);
        merged.setLayerMaskArrays(new INDArray[]{mask}, new INDArray[]{mask});

        assertThat(Networks.difference(masked, merged.outputSingle(FEATURES))).isLessThan(1e-12);
        adapted.clearLayerMaskArrays();
        adapted.clear();
        assertThat(Networks.difference(masked, expected)).isGreaterThan(1e-3);
        Networks.assertSame("unmasked again", adapted.outputSingle(FEATURES), expected);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void trainsWithoutMovingTheBaseAndTravels(FrozenStorage storage) throws IOException {
        double[] frozen = base.params().toDoubleVector();
        INDArray before = base.outputSingle(FEATURES).dup();
        ComputationGraph adapted = LoRA.apply(base, config("attention", "out").updater(new Adam(0.02)).storage(storage).build());
        assertThat(Networks.difference(adapted.outputSingle(FEATURES), before)).as("a fresh rewrite").isLessThan(1e-14);

        for (int i = 0; i < 15; i++) {
            adapted.fit(DATA);
        }

        assertThat(base.params().toDoubleVector()).as("base after training").containsExactly(frozen);
        assertThat(LoRA.unload(adapted).params().toDoubleVector()).containsExactly(frozen);
        assertThat(LoRA.unload(adapted).getConfiguration().toJson().replaceAll("\"iterationCount\" : \\d+", ""))
                .isEqualTo(base.getConfiguration().toJson().replaceAll("\"iterationCount\" : \\d+", ""));
        INDArray output = adapted.outputSingle(FEATURES).dup();
        assertThat(Networks.difference(output, before)).as("what was learned").isGreaterThan(1e-4);
        assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(FEATURES), output)).as("merged").isLessThan(1e-10);
        try (LoRA.Scope off = LoRA.disabled(adapted)) {
            Networks.assertSame("disabled", adapted.outputSingle(FEATURES), before);
        }
        Networks.assertSame("clone", adapted.clone().outputSingle(FEATURES), output);
        ComputationGraphConfiguration json = ComputationGraphConfiguration.fromJson(adapted.getConfiguration().toJson());
        assertThat(json).isEqualTo(adapted.getConfiguration());
        Networks.assertSame("from JSON", copy(adapted, json).outputSingle(FEATURES), output);
        Networks.assertSame("from YAML", copy(adapted, ComputationGraphConfiguration.fromYaml(
                adapted.getConfiguration().toYaml())).outputSingle(FEATURES), output);
        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(adapted, file, true);
        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file, true);
        if (storage == FrozenStorage.SHARED) {
            LoRA.attach(restored, base);
        }
        Networks.assertSame("restored", restored.outputSingle(FEATURES), output);
        restored.fit(DATA);
        adapted.fit(DATA);
        Networks.assertSame("training goes on with the updater's state", restored.params(), adapted.params());
        LoRAAdapter.of(adapted).save(folder.resolve("adapter"));
        Networks.assertSame("from the adapter's files", LoRA.apply(base, LoRAAdapter.load(folder.resolve("adapter")))
                .outputSingle(FEATURES), adapted.outputSingle(FEATURES));
    }

    @Test
    void gradientNormalizationAndRegularizationConcernTheAdapter() {
        ComputationGraph plain = LoRA.apply(base, config("attention/Wq", "out").build());
        ComputationGraph decayed = LoRA.apply(base, config("attention/Wq", "out").l2(0.1).build());
        assertThat(((LoRAWrapperVertex) decayed.getConfiguration().getVertices().get("attention"))
                .getRegularizationByParam("Wq.A")).hasSize(1);
        plain.fit(DATA);
        decayed.fit(DATA);
        assertThat(Networks.difference(plain.getVertex("attention").params(), decayed.getVertex("attention").params()))
                .as("what weight decay changes").isPositive();

        ((AttentionVertex) base.getConfiguration().getVertices().get("attention"))
                .setGradientNormalization(GradientNormalization.ClipElementWiseAbsoluteValue);
        ((AttentionVertex) base.getConfiguration().getVertices().get("attention")).setGradientNormalizationThreshold(1e-6);
        ComputationGraph clipped = LoRA.apply(base, config("attention/Wq", "out").build());
        INDArray start = clipped.getVertex("attention").params().dup();
        clipped.fit(DATA);
        assertThat(Networks.difference(clipped.getVertex("attention").params(), start)).as("a clipped step")
                .isBetween(1e-9, 1.1e-6);
    }

    @Test
    void summaryHasARowForEachProjectionAndOneForTheRest() {
        LoRASummary summary = LoRA.summary(LoRA.apply(base, config("attention/W[qo]", "out")
                .override("attention/Wo", o -> o.rank(1)).build()));

        assertThat(summary.rows()).extracting(LoRASummary.Row::name, LoRASummary.Row::type, LoRASummary.Row::rank,
                LoRASummary.Row::trainable, LoRASummary.Row::frozen).contains(
                tuple("attention.Wq", "AttentionVertex", 2, 16L, 16L), tuple("attention.Wo", "AttentionVertex", 1, 8L, 16L),
                tuple("attention", "AttentionVertex", 0, 0L, 32L));
        assertThat(summary.trainableParams()).isEqualTo(16 + 8 + 14);
        assertThat(summary.totalParams()).isEqualTo(base.params().length() + summary.trainableParams());
    }

    @Test
    void vertexFrozenAfterwardsCannotBeDisabledSilently() {
        ComputationGraph adapted = LoRA.apply(base, config("attention", "out").build());
        ComputationGraph frozen = new TransferLearning.GraphBuilder(adapted).setFeatureExtractor("attention").build();

        assertThatThrownBy(() -> LoRA.disabled(frozen)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("Vertex \"attention\"", "FrozenVertex", "LoRA.unload");
        // TransferLearning makes a network of FLOAT.
        assertThat(Networks.difference(LoRA.merge(frozen).outputSingle(FEATURES), frozen.outputSingle(FEATURES)))
                .isLessThan(1e-6);
    }

    @Test
    void anAdapterIsAppliedToAVertexThatWasFrozenAfterwards() {
        ComputationGraph other = LoRA.apply(base, config("attention", "out").build());
        Networks.randomizeAdapters(other.paramTable(), 9);
        ComputationGraph frozen = new TransferLearning.GraphBuilder(LoRA.apply(base, config("attention", "out").build()))
                .setFeatureExtractor("attention").build();
        LoRAAdapter.of(other).applyTo(frozen, LoRAAdapter.ApplyOption.FORCE);

        assertThat(Networks.difference(frozen.outputSingle(FEATURES), other.outputSingle(FEATURES))).isLessThan(1e-5);
    }

    /** A clone, or a network read from a file, is made of the configuration, in which a FrozenVertex is around the vertex. */
    @Test
    void anAdapterIsAppliedAsAWholeOrNotAtAll() {
        LoRAConfig config = config("lstm", "attention", "out").build();
        ComputationGraph other = LoRA.apply(base, config);
        Networks.randomizeAdapters(other.paramTable(), 9);
        ComputationGraph copy = new TransferLearning.GraphBuilder(LoRA.apply(base, config))
                .setFeatureExtractor("attention").build().clone();
        INDArray before = copy.params().dup();
        LoRAAdapter adapter = LoRAAdapter.of(other);

        assertThatThrownBy(() -> adapter.applyTo(copy, LoRAAdapter.ApplyOption.FORCE)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("\"attention\"", "FrozenVertex", "LoRA.apply");
        assertThat(copy.params()).isEqualTo(before);
    }

    @Test
    void startsOfSingleProjectionsAreRefusedAndThoseOfTheVertexCount() {
        assertThatThrownBy(() -> LoRA.apply(base, config("attention").override("attention/Wo",
                o -> o.loraInit(LoRAInit.GAUSSIAN)).build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"attention\"", "Wo", "GAUSSIAN", "override the whole layer");
        ComputationGraph tuned = LoRA.apply(base, config("attention", "out").rank(3).override("attention",
                o -> o.rank(2).loraInit(LoRAInit.ORTHOGONAL)).build());
        assertThat(LoRAAdapter.of(tuned).settings("attention.Wq").loraInit()).isEqualTo(LoRAInit.ORTHOGONAL);
        assertThat(LoRAAdapter.of(tuned).settings("attention.Wq").rank()).isEqualTo(2);
    }

    @Test
    void missingBaseIsNamed() throws IOException {
        ComputationGraph adapted = LoRA.apply(base, config("attention", "out").copyBase(true).build());
        String json = adapted.getConfiguration().toJson().replaceAll("\"id\" : \"[0-9a-f]{8}", "\"id\" : \"00000000");
        ComputationGraph lost = new ComputationGraph(ComputationGraphConfiguration.fromJson(json));
        lost.init(adapted.params().dup(), false);

        assertThatThrownBy(() -> lost.getVertex("attention").doForward(false, null))
                .hasMessageContainingAll("\"attention\"", "LoRA.attach");
    }

    private static ComputationGraph copy(ComputationGraph network, ComputationGraphConfiguration conf) {
        ComputationGraph copy = new ComputationGraph(conf);
        copy.init(network.params().dup(), false);
        return copy;
    }
}
