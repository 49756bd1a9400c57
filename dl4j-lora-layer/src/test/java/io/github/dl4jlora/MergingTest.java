package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.LoRAMergeReport;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.within;

/** Merges of some layers, of a part of ΔW, and what the report says of them. */
class MergingTest {

    private static final INDArray INPUT = Networks.random(DataType.FLOAT, 5, 7, Networks.IN);

    private static Model tuned(Models.Kind kind, Model base) {
        Model tuned = Models.apply(base, kind.config().targets(".*").bias(BiasTraining.LORA_ONLY).updater(new Sgd(0.1)).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        Models.fit(tuned, 4);
        return tuned;
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void someLayersAreMergedAndTheOthersStayAsTheyAre(Models.Kind kind) {
        Model base = kind.base();
        Model tuned = tuned(kind, base);
        INDArray expected = Models.output(tuned, INPUT).dup();
        double[] before = Models.params(tuned);

        Model partly = LoRA.merging(tuned).layers("fc1").merge();

        assertThat(Networks.difference(Models.output(partly, INPUT), expected)).isLessThan(1e-6);
        assertThat(LoRA.summary(partly).rows()).extracting(LoRASummary.Row::role)
                .containsExactly("frozen, no backward pass", "adapted", "adapted");
        assertThat(LoRAAdapter.of(partly).layers()).containsExactly("fc2", "out");
        assertThat(Models.params(tuned)).containsExactly(before);
        assertThat(Networks.difference(Models.merge(partly).params(), Models.merge(tuned).params())).isLessThan(1e-6);
        // What was merged is the base of what is left.
        assertThat(Networks.difference(Models.unload(partly).paramTable().get(kind.graph ? "fc1_W" : "0_W"),
                Models.merge(tuned).paramTable().get(kind.graph ? "fc1_W" : "0_W"))).isLessThan(1e-6);
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void whatIsLeftTrainsAsBeforeBelowAndAboveWhatWasMerged(Models.Kind kind) {
        Model tuned = tuned(kind, kind.base());
        Model partly = LoRA.merging(tuned).layers("fc2").merge();
        double[] before = Models.params(Models.merge(partly));

        Models.fit(tuned, 9);
        Models.fit(partly, 9);

        String a = kind.graph ? "fc1_A" : "0_A";
        assertThat(Networks.difference(partly.paramTable().get(a), tuned.paramTable().get(a))).isLessThan(1e-5);
        assertThat(Models.params(Models.merge(partly))).isNotEqualTo(before);
        assertThat(Models.values(Models.unload(partly).paramTable().get(kind.graph ? "fc2_W" : "1_W")))
                .containsExactly(Models.values(Models.merge(partly).paramTable().get(kind.graph ? "fc2_W" : "1_W")));
    }

    @Test
    void whatTrainsInFullIsStillGivenBackByUnload() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        Models.fit(tuned, 4);
        ComputationGraph partly = LoRA.merging(tuned).layers("fc1").merge();

        assertThat(LoRA.unload(partly).getParam("out_W")).isEqualTo(base.getParam("out_W"))
                .isNotEqualTo(partly.getParam("out_W"));
        assertThat(partly.getParam("out_W")).isEqualTo(tuned.getParam("out_W"));
        assertThat(partly.getConfiguration().getIterationCount()).isZero();
    }

    @Test
    void whatWasMergedIsSavedRestoredAndAttached(@TempDir Path folder) throws IOException {
        ComputationGraph tuned = (ComputationGraph) tuned(Models.Kind.GRAPH_SHARED, Networks.trainedGraph());
        ComputationGraph partly = LoRA.merging(tuned).layers("fc1").merge();
        File file = folder.resolve("partly.zip").toFile();
        ModelSerializer.writeModel(partly, file, true);
        LoRA.save(partly, folder.resolve("whole.zip"), true);
        ComputationGraph back = ModelSerializer.restoreComputationGraph(file, true);

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.attach(back, Networks.trainedGraph()))
                .withMessageContaining("\"fc1\"").withMessageContaining("different weights");
        LoRA.attach(back, LoRA.unload(partly));

        assertThat(back.outputSingle(INPUT)).isEqualTo(partly.outputSingle(INPUT))
                .isEqualTo(LoRA.loadComputationGraph(folder.resolve("whole.zip")).outputSingle(INPUT));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void aWeightMergesWhatTheNetworkComputesWhenScaled(Models.Kind kind) {
        Model tuned = tuned(kind, kind.base());
        Model weighted = LoRA.merging(tuned).weight(0.7).merge();

        assertThat(LoRA.summary(weighted).rows()).extracting(LoRASummary.Row::role).containsOnly("trained in full");
        try (LoRA.Scope scope = LoRA.rescaled(tuned, 0.7)) {
            assertThat(Networks.difference(Models.output(tuned, INPUT), Models.output(weighted, INPUT))).isLessThan(1e-6);
            assertThat(Models.params(Models.merge(tuned))).containsExactly(Models.params(weighted));
        }
        assertThat(Models.params(LoRA.merging(tuned).merge())).containsExactly(Models.params(Models.merge(tuned)));
        assertThat(Models.params(LoRA.merging(tuned).layers("fc.*", "out").merge()))
                .containsExactly(Models.params(Models.merge(tuned)));
    }

    @Test
    void theReportSaysHowFarWeightsMove() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        for (LoRAConfig.Builder config : new LoRAConfig.Builder[] {LoRAConfig.builder().rank(2),
            LoRAConfig.builder().rank(2).variant(new DoRA())}) {
            ComputationGraph tuned = LoRA.apply(base, config.build());
            Networks.randomizeAdapters(tuned.paramTable(), 3);
            LoRAMergeReport report = LoRA.merging(tuned).weight(0.5).report();
            INDArray w = base.getParam("fc1_W");
            INDArray change = LoRA.merging(tuned).weight(0.5).merge().getParam("fc1_W").sub(w);

            assertThat(report.rows()).extracting(LoRAMergeReport.Row::layer).containsExactly("fc1", "fc2");
            LoRAMergeReport.Row row = report.rows().get(0);
            assertThat(row.surviving()).isCloseTo(1, within(1e-12));
            assertThat(row.largestChange()).isCloseTo(change.amaxNumber().doubleValue(), within(1e-12));
            assertThat(row.relativeNorm()).isCloseTo(change.norm2Number().doubleValue() / w.norm2Number().doubleValue(),
                    within(1e-12));
            assertThat(LoRA.merging(tuned).layers("fc2").report().rows()).extracting(LoRAMergeReport.Row::layer)
                    .containsExactly("fc2");
            assertThat(report.toString()).contains("surviving").contains("fc1  ").contains("100.0000%");
        }
    }

    @Test
    void theReportSaysWhatSixteenBitsLose() {
        ComputationGraph base = Networks.trainedGraph().convertDataType(DataType.BFLOAT16);
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(1).alpha(1e-6).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        ComputationGraph untrained = LoRA.apply(base, LoRAConfig.builder().rank(1).build());

        LoRAMergeReport lost = LoRA.merging(tuned).report();
        LoRAMergeReport kept = LoRA.merging(tuned).weight(1e6).report();
        LoRAMergeReport none = LoRA.merging(untrained).report();

        assertThat(lost.leastSurviving()).isLessThan(0.05);
        assertThat(kept.leastSurviving()).isBetween(0.9, 0.9999);
        assertThat(none.rows()).allSatisfy(row -> {
            assertThat(row.surviving()).isEqualTo(1);
            assertThat(row.largestChange()).isZero();
            assertThat(row.relativeNorm()).isZero();
        });
    }

    @Test
    void layersAreMergedWhole() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new LSTM.Builder().name("lstm2").nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nOut(2)
                        .activation(Activation.IDENTITY).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm.?").build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        INDArray input = Networks.random(DataType.FLOAT, 1, 2, 3, 5);

        MultiLayerNetwork partly = LoRA.merging(tuned).layers("lstm2").merge();

        assertThat(Networks.difference(partly.output(input), tuned.output(input))).isLessThan(1e-6);
        assertThat(LoRA.merging(tuned).layers("lstm").report().rows()).extracting(LoRAMergeReport.Row::layer)
                .containsExactly("lstm.W", "lstm.RW");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.merging(tuned).layers("lstm/RW").merge())
                .withMessageContaining("layers(\"lstm/RW\") matches none of the adapted layers, which are [lstm, lstm2]");
    }

    @Test
    void whatCannotBeMergedIsRefused() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph tuned = (ComputationGraph) tuned(Models.Kind.GRAPH_SHARED, base);

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.merging(base).merge()).withMessageContaining("not adapted");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.merging(base).report()).withMessageContaining("not adapted");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.merging(tuned).layers("fc("))
                .withMessageContaining("layers(\"fc(");
        try (LoRA.Scope off = LoRA.disabled(tuned)) {
            assertThatIllegalStateException().isThrownBy(() -> LoRA.merging(tuned).merge())
                    .withMessageContaining("LoRA.disabled");
            assertThatIllegalStateException().isThrownBy(() -> LoRA.merging(tuned).report())
                    .withMessageContaining("LoRA.disabled");
        }
        LoRA.setScale(tuned, "fc1", 0.5);
        assertThatIllegalStateException().isThrownBy(() -> LoRA.merging(tuned).layers("fc2").merge())
                .withMessageContaining("[fc1 (0.5)]");
        assertThat(LoRAAdapter.of(LoRA.merging(tuned).layers("fc1").merge()).layers()).containsExactly("fc2", "out");
        tuned.getParam("fc2_B").assign(Double.NaN);
        assertThatIllegalStateException().isThrownBy(() -> LoRA.merging(tuned).layers("fc2").merge());
        LoRA.setScale(tuned, "fc1", 1);
        assertThatIllegalStateException().isThrownBy(() -> LoRA.merging(tuned).layers("fc2").merge())
                .withMessageContaining("\"fc2\": the merged weights hold NaN");
        base.getParam("fc1_W").addi(1);
        assertThatIllegalStateException().isThrownBy(() -> LoRA.merging(tuned).layers("fc2").merge())
                .withMessageContaining("\"fc1\"").withMessageContaining("have changed");
    }
}
