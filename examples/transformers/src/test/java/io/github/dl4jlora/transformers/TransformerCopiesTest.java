package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.File;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Copies of every kind compute and train as what they were made of, tied decoders included. */
@Tag("heavy")
class TransformerCopiesTest {

    private static final String FEW = "io.github.dl4jlora.transformers.Tiny#few";
    private static final String OTHERS = "io.github.dl4jlora.transformers.Tiny#others";
    private static final String LAYERS = ".*(query|value|q_lin|v_lin|c_attn|c_proj|attn\\.[qv])";

    private static ComputationGraph network(Tiny tiny) {
        return tiny.network(DataType.FLOAT, new Adam(1e-2));
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).targets(LAYERS).updater(new Adam(1e-2));
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void clonesAndSavedNetworksComputeTheSameAndTrainTheSame(Tiny tiny, @TempDir File folder) throws Exception {
        ComputationGraph graph = network(tiny);
        File file = new File(folder, "network.zip");
        ModelSerializer.writeModel(graph, file, true);
        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file, true);
        ComputationGraph clone = graph.clone();

        assertThat(tiny.output(restored)).isEqualTo(tiny.output(graph));
        assertThat(tiny.output(clone)).isEqualTo(tiny.output(graph));
        for (ComputationGraph each : new ComputationGraph[]{graph, restored, clone}) {
            each.fit(tiny.batch(DataType.FLOAT));
            each.fit(tiny.batch(DataType.FLOAT));
        }
        assertThat(restored.params()).isEqualTo(graph.params());
        assertThat(clone.params()).isEqualTo(graph.params());
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#all")
    void jsonAndYamlKeepTheConfiguration(Tiny tiny) {
        ComputationGraphConfiguration configuration = network(tiny).getConfiguration();

        assertThat(ComputationGraphConfiguration.fromJson(configuration.toJson())).isEqualTo(configuration);
        assertThat(ComputationGraphConfiguration.fromYaml(configuration.toYaml())).isEqualTo(configuration);
    }

    /** Families came later than BERT under a mean. */
    @Test
    void configurationsSavedBeforeThereWereFamiliesMeanWhatTheyMeant() throws Exception {
        // Without Adam, which has an epsilon too.
        ComputationGraphConfiguration configuration = Tiny.meanPooling().network(DataType.FLOAT, new NoOp()).getConfiguration();
        JsonNode json = new ObjectMapper().readTree(configuration.toJson());
        for (String field : new String[]{"types", "padding", "positionsFromPadding", "epsilon", "causal", "joint", "weights"}) {
            json.findParents(field).forEach(parent -> ((ObjectNode) parent).remove(field));
        }

        assertThat(json.toString()).doesNotContain("positionsFromPadding", "causal", "epsilon", "EQUAL");
        assertThat(ComputationGraphConfiguration.fromJson(json.toString())).isEqualTo(configuration);
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void inFloatItComputesAndDifferentiatesWhatItDoesInDouble(Tiny tiny) {
        ComputationGraph floats = tiny.network(DataType.FLOAT, new NoOp());
        ComputationGraph doubles = floats.convertDataType(DataType.DOUBLE);

        assertThat(distance(tiny.output(floats), tiny.output(doubles))).isLessThan(2e-5);
        assertThat(distance(tiny.gradients(floats), tiny.gradients(doubles))).isLessThan(2e-5);
        assertThat(floats.score(tiny.batch(DataType.FLOAT), false))
                .isCloseTo(doubles.score(tiny.batch(DataType.DOUBLE), false), within(2e-5));
    }

    private static double distance(INDArray actual, INDArray expected) {
        return actual.castTo(DataType.DOUBLE).distance2(expected) / expected.norm2Number().doubleValue();
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void freshlyAdaptedItComputesTheSameAndUnloadedItIsTheBase(Tiny tiny) {
        ComputationGraph base = network(tiny);
        INDArray before = tiny.output(base);
        ComputationGraph adapted = LoRA.apply(base, config().build());

        assertThat(distance(tiny.output(adapted), before.castTo(DataType.DOUBLE))).isLessThan(1e-5);
        assertThat(LoRA.unload(adapted).params()).isEqualTo(base.params());
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void trainedAdaptersLeaveTheBaseAloneAndMergeIntoAStockNetwork(Tiny tiny) {
        ComputationGraph base = network(tiny);
        INDArray weights = base.params().dup();
        ComputationGraph adapted = LoRA.apply(base, config().build());
        double before = adapted.score(tiny.batch(DataType.FLOAT), false);
        for (int step = 0; step < 10; step++) {
            adapted.fit(tiny.batch(DataType.FLOAT));
        }
        ComputationGraph merged = LoRA.merge(adapted);

        assertThat(adapted.score(tiny.batch(DataType.FLOAT), false)).isLessThan(before);
        assertThat(base.params()).isEqualTo(weights);
        assertThat(merged.getConfiguration().getVertices().keySet()).isEqualTo(base.getConfiguration().getVertices().keySet());
        assertThat(distance(tiny.output(merged), tiny.output(adapted).castTo(DataType.DOUBLE))).isLessThan(1e-4);
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void aPlanAndSummariesTellWhatTrains(Tiny tiny) {
        ComputationGraph base = network(tiny);
        long planned = LoRA.plan(base, config().build(), 3, tiny.inputTypes()).layers().trainableParams();
        String stock = base.summary();
        ComputationGraph adapted = LoRA.apply(base, config().build());

        assertThat(planned).isEqualTo(adapted.params().length());
        assertThat(stock).contains(tiny.languageModel() ? "TiedDecoderRuntime"
                : tiny.ofTokens() ? "RowsLossRuntime" : "OutputLayer");
        assertThat(LoRA.summary(adapted).toString()).contains("embeddings");
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void frozenItComputesTheSame(Tiny tiny) {
        ComputationGraph graph = network(tiny);
        ComputationGraph frozen = LoRA.freeze(graph);

        assertThat(distance(tiny.output(frozen), tiny.output(graph).castTo(DataType.DOUBLE))).isLessThan(1e-5);
        assertThat(LoRA.merge(frozen).params()).isEqualTo(graph.params());
    }

    /** DL4J sets the parameters of all layers that stay. */
    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#classifiers")
    void aNewHeadLeavesAllElseAsItIs(Tiny tiny) {
        ComputationGraph graph = network(tiny);
        String head = graph.getConfiguration().getNetworkOutputs().get(0);

        ComputationGraph wider = new TransferLearning.GraphBuilder(graph).nOutReplace(head, 5, WeightInit.XAVIER).build();

        Map<String, INDArray> expected = new TreeMap<>(graph.paramTable());
        Map<String, INDArray> actual = new TreeMap<>(wider.paramTable());
        List.of(expected, actual).forEach(table -> table.keySet().removeIf(key -> key.startsWith(head + "_")));
        assertThat(actual).isEqualTo(expected).isNotEmpty();
    }

    @Test
    void dl4jsTransferLearningIsRefusedByName() {
        for (boolean tied : new boolean[]{true, false}) {
            TransformerShape shape = Tiny.shape(Family.BERT);
            Tiny tiny = Tiny.languageModel(tied ? shape : shape.untied());
            ComputationGraph partly = new TransferLearning.GraphBuilder(network(tiny))
                    .setFeatureExtractor("bert.encoder.layer.0.output.LayerNorm").build();

            assertThatThrownBy(() -> tiny.output(partly)).isInstanceOf(IllegalStateException.class).hasMessageContainingAll(
                    "\"logits\"", tied ? "bert.embeddings" : "cls.predictions.decoder", "TransferLearning", "LoRA.apply");
        }
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void aBankServesAdaptersOfItInOneBatch(Tiny tiny) {
        ComputationGraph base = network(tiny);
        ComputationGraph adapted = LoRA.apply(base, config().build());
        for (int step = 0; step < 5; step++) {
            adapted.fit(tiny.batch(DataType.FLOAT));
        }
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("own", LoRAAdapter.of(adapted));
            INDArray mixed = bank.outputs(new String[]{"own", AdapterBank.BASE, "own"}, tiny.inputs(DataType.FLOAT))[0];
            INDArray own = bank.outputs("own", tiny.inputs(DataType.FLOAT))[0];
            INDArray none = bank.outputs(AdapterBank.BASE, tiny.inputs(DataType.FLOAT))[0];
            long rows = own.size(0) / 3;
            INDArray expected = Nd4j.concat(0, own.get(NDArrayIndex.interval(0, rows), NDArrayIndex.all()),
                    none.get(NDArrayIndex.interval(rows, 2 * rows), NDArrayIndex.all()),
                    own.get(NDArrayIndex.interval(2 * rows, 3 * rows), NDArrayIndex.all()));

            assertThat(distance(mixed, expected.castTo(DataType.DOUBLE))).isLessThan(1e-5);
            assertThat(distance(own, tiny.output(adapted).castTo(DataType.DOUBLE))).isLessThan(1e-5);
        }
    }

    @ParameterizedTest
    @MethodSource(OTHERS)
    void allOfThisIsSoInOtherNetworks(Tiny tiny, @TempDir File folder) throws Exception {
        clonesAndSavedNetworksComputeTheSameAndTrainTheSame(tiny, folder);
        inFloatItComputesAndDifferentiatesWhatItDoesInDouble(tiny);
        freshlyAdaptedItComputesTheSameAndUnloadedItIsTheBase(tiny);
        trainedAdaptersLeaveTheBaseAloneAndMergeIntoAStockNetwork(tiny);
        aPlanAndSummariesTellWhatTrains(tiny);
        frozenItComputesTheSame(tiny);
        aBankServesAdaptersOfItInOneBatch(tiny);
        if (tiny.languageModel()) {
            onAQuantisedBaseItLearns(tiny, folder.toPath());
        }
    }

    static Stream<Tiny> languageModels() {
        return Tiny.few().filter(Tiny::languageModel);
    }

    /** Embeddings stay as they are, and with them what is tied to them. */
    @ParameterizedTest
    @MethodSource("languageModels")
    void onAQuantisedBaseItLearns(Tiny tiny, @TempDir Path folder) throws Exception {
        for (Quantization scheme : Quantization.values()) {
            ComputationGraph adapted = LoRA.apply(network(tiny), config().quantize(scheme).build());
            INDArray fresh = tiny.output(adapted);
            double before = adapted.score(tiny.batch(DataType.FLOAT), false);
            for (int step = 0; step < 10; step++) {
                adapted.fit(tiny.batch(DataType.FLOAT));
            }
            Path file = folder.resolve(scheme + ".zip");
            LoRA.save(adapted, file, false);

            assertThat(fresh.isNaN().any()).isFalse();
            assertThat(adapted.score(tiny.batch(DataType.FLOAT), false)).isLessThan(before);
            assertThat(tiny.output(LoRA.loadComputationGraph(file))).isEqualTo(tiny.output(adapted));
            assertThat(distance(tiny.output(LoRA.merge(adapted)), tiny.output(adapted).castTo(DataType.DOUBLE))).isLessThan(1e-4);
        }
    }
}
