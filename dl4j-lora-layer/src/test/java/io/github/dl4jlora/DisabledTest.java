package io.github.dl4jlora;

import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

class DisabledTest {

    private static final INDArray INPUT = Networks.random(DataType.FLOAT, 5, 7, Networks.IN);

    private static ComputationGraph tuned(ComputationGraph base, LoRAConfig.Builder config) {
        ComputationGraph tuned = LoRA.apply(base, config.build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        return tuned;
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void disabledNetworkComputesWhatTheBaseComputesBitForBit(FrozenStorage storage) {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().rank(2).storage(storage).targets(".*"));
        INDArray adapted = tuned.outputSingle(INPUT);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(tuned.outputSingle(INPUT).toFloatMatrix()).isDeepEqualTo(base.outputSingle(INPUT).toFloatMatrix());
        }

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(adapted).isNotEqualTo(base.outputSingle(INPUT));
    }

    @ParameterizedTest
    @EnumSource(names = {"FUSED", "EFFECTIVE_WEIGHTS"})
    void theLossIsTheBasesWhateverThePenaltiesOfTheAdapter(Engine engine) {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("rnn", new LSTM.Builder().nIn(2).nOut(3).build(), "in")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).nIn(3).nOut(2)
                        .activation(Activation.IDENTITY).build(), "rnn").setOutputs("out").build());
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().rank(2).targets("rnn").engine(engine).l2(0.1));
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 6, 4, 2, 5), Networks.random(DataType.FLOAT, 7, 4, 2, 5));
        double adapted = tuned.score(data);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(tuned.score(data)).isEqualTo(base.score(data));
        }

        assertThat(tuned.score(data)).isEqualTo(adapted).isNotEqualTo(base.score(data));
    }

    @ParameterizedTest(name = "{0} → {1}, {2} rows")
    @CsvSource({"257, 129, 33", "64, 300, 1", "1000, 17, 64", "300, 500, 8"})
    void roundingOfLargerLayersIsTheBasesToo(int in, int hidden, int rows) {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new DenseLayer.Builder().nIn(in).nOut(hidden).hasLayerNorm(true).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().nOut(hidden).activation(Activation.SIGMOID).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).nOut(5).activation(Activation.IDENTITY).build())
                .build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(4).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        INDArray input = Networks.random(DataType.FLOAT, 2, rows, in);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(tuned.output(input).toFloatMatrix()).isDeepEqualTo(base.output(input).toFloatMatrix());
        }
    }

    @Test
    void adaptersAreBackWhenTheLastOfNestedScopesIsClosed() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().rank(2));
        INDArray adapted = tuned.outputSingle(INPUT);
        LoRA.Scope outer = LoRA.disabled(tuned);
        LoRA.Scope inner = LoRA.disabled(tuned);

        outer.close();
        outer.close();
        assertThat(tuned.outputSingle(INPUT)).isEqualTo(base.outputSingle(INPUT));

        inner.close();
        assertThat(tuned.outputSingle(INPUT)).isEqualTo(adapted);
    }

    @Test
    void adaptersAreBackAfterAnException() {
        ComputationGraph tuned = tuned(Networks.trainedGraph(), LoRAConfig.builder().rank(2));
        INDArray adapted = tuned.outputSingle(INPUT);

        assertThatIllegalStateException().isThrownBy(() -> {
            try (LoRA.Scope scope = LoRA.disabled(tuned)) {
                tuned.fit(Networks.data(DataType.FLOAT, 4, 1));
            }
        }).withMessageContaining("adapter is disabled").withMessageContaining("\"fc");

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(adapted);
        tuned.fit(Networks.data(DataType.FLOAT, 4, 1));
        assertThat(tuned.outputSingle(INPUT)).isNotEqualTo(adapted);
    }

    @Test
    void adapterSwappedInsideAScopeIsThereAfterwards() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().rank(2));
        ComputationGraph other = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(3).build());
        Networks.randomizeAdapters(other.paramTable(), 30);

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            LoRAAdapter.of(other).applyTo(tuned);
            assertThat(tuned.outputSingle(INPUT)).isEqualTo(base.outputSingle(INPUT));
        }

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(other.outputSingle(INPUT));
    }

    @Test
    void adaptedLayerThatTransferLearningFrozeIsDisabledToo() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().rank(2));
        ComputationGraph frozen = new TransferLearning.GraphBuilder(tuned).setFeatureExtractor("fc1").build();

        try (LoRA.Scope scope = LoRA.disabled(frozen)) {
            assertThat(frozen.outputSingle(INPUT)).isEqualTo(base.outputSingle(INPUT));
        }
    }

    @Test
    void whatWouldLeaveTheAdaptersOutIsRefusedInsideAScope(@TempDir Path directory) throws IOException {
        ComputationGraph tuned = tuned(Networks.trainedGraph(), LoRAConfig.builder().rank(2));
        INDArray expected = tuned.outputSingle(INPUT).dup();
        Path file = directory.resolve("whole.zip");

        LoRA.Scope outer = LoRA.disabled(tuned);
        try (LoRA.Scope inner = LoRA.disabled(tuned)) {
            assertRefused(tuned, file);
        }
        assertRefused(tuned, file);
        outer.close();
        outer.close();

        assertThat(Networks.difference(LoRA.merge(tuned).outputSingle(INPUT), expected)).isLessThan(1e-6);
        LoRA.save(tuned, file, false);
        assertThat(LoRAAdapter.of(tuned).layers()).isNotEmpty();
    }

    private static void assertRefused(ComputationGraph tuned, Path file) {
        assertThatIllegalStateException().isThrownBy(() -> LoRA.merge(tuned)).withMessageContaining("LoRA.disabled");
        assertThatIllegalStateException().isThrownBy(() -> LoRA.save(tuned, file, false)).withMessageContaining("LoRA.disabled");
        assertThatIllegalStateException().isThrownBy(() -> LoRAAdapter.of(tuned))
                .withMessageContaining("LoRA.disabled");
        assertThat(file).doesNotExist();
    }

    private static Model withTrainedHead(Model base, Kind kind) {
        Model tuned = Models.apply(base, kind.config().targets("fc.").trainable("out").build());
        Models.fitSteps(tuned, 0, 3);
        return tuned;
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void layersThatAreTrainedInFullComputeWithTheBasesValues(Kind kind) {
        Model base = kind.base();
        double[] before = Models.params(base);
        Model tuned = withTrainedHead(base, kind);
        double[] learned = Models.outputs(tuned);
        double[] expected = Models.outputs(base);

        LoRA.Scope outer = LoRA.disabled(tuned);
        try (LoRA.Scope inner = LoRA.disabled(tuned)) {
            assertThat(Models.outputs(tuned)).containsExactly(expected);
            tuned.paramTable().get(kind.graph ? "out_b" : "2_b").addi(1);
            assertThat(Models.params(base)).as("the base is out of reach").containsExactly(before);
            assertThat(Models.params(Models.unload(tuned))).containsExactly(before);
        }
        assertThatIllegalStateException().isThrownBy(() -> Models.fit(tuned, 5)).withMessageContaining("adapter is disabled");
        outer.close();

        assertThat(learned).isNotEqualTo(expected);
        assertThat(Models.outputs(tuned)).containsExactly(learned);
        Models.fit(tuned, 5);
        assertThat(Models.outputs(tuned)).as("the head trains on").isNotEqualTo(learned);
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void copiesFilesAndSwapsInsideAScopeHaveTheTrainedLayersOwnValues(Kind kind, @TempDir Path directory) throws IOException {
        Model base = kind.base();
        Model tuned = withTrainedHead(base, kind);
        Model other = withTrainedHead(base, kind);
        Models.fitSteps(other, 3, 6);
        double[] learned = Models.outputs(tuned);
        Path file = directory.resolve("checkpoint.zip");

        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(Models.outputs(Models.copy(tuned))).containsExactly(learned);
            ModelSerializer.writeModel(tuned, file.toFile(), true);
            assertThat(Models.outputs(kind.restore(file.toFile(), true))).containsExactly(learned);
            LoRAAdapter.of(other).applyTo(tuned);
            assertThat(Models.outputs(tuned)).containsExactly(Models.outputs(base));
        }

        assertThat(Models.outputs(tuned)).containsExactly(Models.outputs(other)).isNotEqualTo(learned);
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void aNetworkOfASelfContainedFileHasTheBasesValuesToo(Kind kind, @TempDir Path directory) throws IOException {
        Model base = kind.base();
        LoRA.save(withTrainedHead(base, kind), directory.resolve("new/whole.zip"), false);
        Model loaded = kind.load(directory.resolve("new/whole.zip"));

        try (LoRA.Scope scope = LoRA.disabled(loaded)) {
            assertThat(Models.outputs(loaded)).containsExactly(Models.outputs(base));
        }
    }

    @ParameterizedTest
    @EnumSource(names = ".*_EMBEDDED", mode = EnumSource.Mode.MATCH_ALL)
    void trainedLayersWhoseBaseIsNotHereAreRefusedNamingThem(Kind kind) {
        Model tuned = withTrainedHead(kind.base(), kind);
        double[] learned = Models.outputs(tuned);

        assertThatIllegalStateException().isThrownBy(() -> LoRA.disabled(tuned))
                .withMessageContainingAll("cannot be disabled: its layers \"out\"", "Use the base network itself");
        assertThat(Models.outputs(tuned)).containsExactly(learned);
    }

    @Test
    void trainedLayersBesideFrozenAdaptersAreRefused() {
        ComputationGraph tuned = tuned(Networks.trainedGraph(), LoRAConfig.builder().rank(2).trainable("out"));
        ComputationGraph frozen = new TransferLearning.GraphBuilder(tuned).setFeatureExtractor("fc2").build();

        assertThatIllegalStateException().isThrownBy(() -> LoRA.disabled(frozen))
                .withMessageContainingAll("was frozen by DL4J", "LoRA.unload");
    }

    @Test
    void trainedLayersOfSameDiffAreRefusedAndStayAsTheyAre() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new SelfAttentionLayer.Builder().nIn(4).nOut(4).nHeads(1).projectInput(true).name("attention").build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).nIn(4).nOut(2).name("out").build()).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(1).targets("out").trainable("attention").build());

        assertThatIllegalStateException().isThrownBy(() -> LoRA.disabled(tuned))
                .withMessageContainingAll("\"attention\"", "takes no other values while it runs", "LoRA.unload");
    }

    @Test
    void stockNetworkIsRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.disabled(Networks.trainedGraph()))
                .withMessageContaining("no adapted layer");
    }
}
