package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Accumulated;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Outputs of a block that are computed again in the backward pass give the gradients of outputs that are kept, to the bit. */
@Tag("heavy")
class RecomputationTest {

    private static final String EACH = ".*(query|key|value|dense|_lin|lin\\d|c_[a-z]+|attn\\.[qkvo])";

    private static final String FEW = "io.github.dl4jlora.transformers.Tiny#few";
    private static final String OTHERS = "io.github.dl4jlora.transformers.Tiny#others";

    @TempDir
    private File folder;

    private static LoRAConfig.Builder config(String targets) {
        return LoRAConfig.builder().rank(2).seed(5).targets(targets).updater(new Adam(1e-2));
    }

    private static ComputationGraph adapted(Tiny tiny, LoRAConfig.Builder config) {
        return LoRA.apply(tiny.network(DataType.FLOAT, new NoOp()), config.build());
    }

    private static void assertSameTraining(Tiny tiny, LoRAConfig.Builder config) {
        ComputationGraph kept = adapted(tiny, config);
        ComputationGraph again = adapted(tiny, config.build().toBuilder().recompute(Transformer.BLOCKS));
        for (int step = 0; step < 3; step++) {
            Nd4j.getRandom().setSeed(step + 1);
            kept.fit(tiny.batch(DataType.FLOAT));
            List<Long> states = states();
            Nd4j.getRandom().setSeed(step + 1);
            again.fit(tiny.batch(DataType.FLOAT));
            assertThat(states()).as("ND4J's random generator after a step").isEqualTo(states);
            assertThat(again.score()).isEqualTo(kept.score());
        }
        assertThat(again.params()).isEqualTo(kept.params());
        assertThat(again.outputSingle(inputs(tiny))).isEqualTo(kept.outputSingle(inputs(tiny)));
    }

    private static List<Long> states() {
        return List.of(Nd4j.getRandom().rootState(), Nd4j.getRandom().nodeState());
    }

    private static INDArray[] inputs(Tiny tiny) {
        return tiny.batch(DataType.FLOAT).getFeatures();
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void trainingIsTheSame(Tiny tiny) {
        for (String targets : List.of(Transformer.QUERY_VALUE,
                ".*(output\\.dense|ffn\\.lin2|mlp\\.c_proj)", EACH)) {
            assertSameTraining(tiny, config(targets));
        }
    }

    @ParameterizedTest
    @MethodSource(OTHERS)
    void trainingIsTheSameInOtherNetworks(Tiny tiny) {
        trainingIsTheSame(tiny);
        trainingIsTheSameWithDropoutBiasesAndLayersThatTrainInFull(tiny);
        whereOnlyTheLastBlockLearnsTrainingIsTheSame(tiny);
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void trainingIsTheSameWithDropoutBiasesAndLayersThatTrainInFull(Tiny tiny) {
        assertSameTraining(tiny, config(EACH).loraDropout(0.3).bias(BiasTraining.LORA_ONLY)
                .trainable(".*(LayerNorm|layer_norm|ln_\\d)").updater(new Accumulated(new Adam(1e-2), 2)));
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void whereOnlyTheLastBlockLearnsTrainingIsTheSame(Tiny tiny) {
        assertSameTraining(tiny, config("(?=.*\\.1\\.)" + Transformer.QUERY_VALUE));
        assertSameTraining(tiny, config("(?=.*\\.0\\.)" + Transformer.QUERY_VALUE));
    }

    /** All blocks add to the gradient of the distances' biases, and the lowest one computes the layer of these again. */
    @Test
    void whatAllBlocksUseLearnsFromAllOfThem() {
        assertSameTraining(new Tiny(Tiny.shape(Family.MPNET), Head.classifier(Tiny.CLASSES)),
                config(Transformer.QUERY_VALUE).trainable(".*relative_attention_bias"));
    }

    /** Dropout of DL4J's writes into a layer's input where nobody else reads it. */
    @Test
    void dropoutOfALayerThatStartsABlockIsAppliedOnce() {
        ComputationGraph base = Tiny.initialised(new NeuralNetConfiguration.Builder().seed(3).graphBuilder().addInputs("x")
                .setInputTypes(InputType.feedForward(5))
                .addLayer("below", new DenseLayer.Builder().nOut(6).build(), "x")
                .addVertex("kept", new ElementWiseVertex(ElementWiseVertex.Op.Add), "below", "below")
                .addLayer("dropping", new DenseLayer.Builder().nOut(6).dropOut(0.5).build(), "kept")
                .addLayer("above", new DenseLayer.Builder().nOut(6).build(), "dropping")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build(),
                        "above").setOutputs("out").build());
        LoRAConfig config = LoRAConfig.builder().rank(2).seed(5).targets("below", "dropping", "above").updater(new Adam(1e-2))
                .build();
        ComputationGraph kept = LoRA.apply(base, config);
        ComputationGraph again = LoRA.apply(base, config.toBuilder().recompute("kept", "above").build());
        for (int step = 1; step < 4; step++) {
            for (ComputationGraph each : List.of(kept, again)) {
                Nd4j.getRandom().setSeed(step);
                each.fit(new DataSet(Nd4j.eye(5).castTo(DataType.FLOAT), Nd4j.ones(DataType.FLOAT, 5, 2)));
            }
        }
        assertThat(again.params()).isEqualTo(kept.params());
    }

    @Test
    void aListenerSeesEachOutput() {
        Tiny tiny = Tiny.meanPooling();
        ComputationGraph graph = adapted(tiny, config(EACH).recompute(Transformer.BLOCKS));
        Map<String, INDArray> expected = graph.feedForward(tiny.ids(DataType.FLOAT), true);
        Set<String> seen = new HashSet<>();
        graph.setListeners(new BaseTrainingListener() {
            @Override
            public void onForwardPass(Model model, Map<String, INDArray> activations) {
                activations.forEach((name, output) -> assertThat(output).as(name).isEqualTo(expected.get(name)));
                seen.addAll(activations.keySet());
            }
        });
        graph.fit(tiny.batch(DataType.FLOAT));
        assertThat(seen).hasSizeGreaterThan(5).isSubsetOf(expected.keySet());
    }

    @Test
    void savedNetworksAndClonesTrainAlikeAndAreToldAnew() throws Exception {
        Tiny tiny = Tiny.meanPooling();
        MultiDataSet batch = tiny.batch(DataType.FLOAT);
        ComputationGraph graph = adapted(tiny, config(EACH).recompute(Transformer.BLOCKS));
        graph.fit(batch);
        File file = new File(folder, "saved.zip");
        ModelSerializer.writeModel(graph, file, true);
        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file, true);
        ComputationGraph again = ModelSerializer.restoreComputationGraph(file, true);
        LoRA.recompute(again, Transformer.BLOCKS);
        for (ComputationGraph each : List.of(graph, restored, again)) {
            each.fit(batch);
        }
        assertThat(restored.params()).isEqualTo(graph.params());
        assertThat(again.params()).isEqualTo(graph.params());
        LoRA.recompute(again);
        assertThat(again.clone().outputSingle(inputs(tiny))).isEqualTo(graph.outputSingle(inputs(tiny)));
    }

    /** Bytes of outputs after a few steps. Workspaces belong to a thread, so each network has one of its own. */
    private static long outputs(int layers, LoRAConfig.Builder config) {
        return CompletableFuture.supplyAsync(() -> {
            ComputationGraph graph = adapted(deep(layers), config);
            for (int i = 0; i < 4; i++) {
                graph.fit(deep(layers).batch(DataType.FLOAT));
            }
            return Nd4j.getWorkspaceManager().getAllWorkspacesForCurrentThread().stream()
                    .filter(workspace -> workspace.getId().endsWith("_ACT")).mapToLong(MemoryWorkspace::getCurrentSize).sum();
        }, run -> new Thread(run).start()).join();
    }

    private static Tiny deep(int layers) {
        return new Tiny(TransformerShape.bert(Tiny.VOCABULARY, 7, 6, 8, layers, 2), Head.meanPooling());
    }

    @Test
    void aBlockMoreCostsOneOutput() {
        long output = inputs(deep(2))[0].length() * 6 * Float.BYTES;
        long more = outputs(12, config(EACH).recompute(Transformer.BLOCKS))
                - outputs(2, config(EACH).recompute(Transformer.BLOCKS));

        assertThat(more).isBetween(10 * output, 12 * output);
        assertThat(outputs(12, config(EACH)) - outputs(2, config(EACH))).isGreaterThan(10 * more);
    }

    @Test
    void whatCannotBeComputedAgainIsRefused() {
        Tiny tiny = Tiny.meanPooling();
        assertThatThrownBy(() -> adapted(tiny, config(EACH).recompute("block\\d")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("recompute(\"block\\d\") matches no layer or vertex: patterns must match a whole name");
        assertThatThrownBy(() -> adapted(tiny, config(EACH).recompute("embeddings")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("between which there is nothing to compute again");
        LoRAConfig loss = config(EACH).recompute(Transformer.BLOCKS, "own").build();
        assertThatThrownBy(() -> adapted(tiny, loss.toBuilder())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("would compute the loss of layer \"own\" again");
        assertThatThrownBy(() -> LoRA.plan(tiny.network(DataType.FLOAT, new NoOp()), loss, 3, tiny.inputTypes()))
                .hasMessageContaining("would compute the loss of layer \"own\" again");
        assertThatThrownBy(() -> adapted(tiny, config(EACH).recompute("embeddings", "encoder.layer.0.output.dense")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("cannot be computed again, since");
    }

    private static Stream<Layer> thatKeepStates() {
        return Stream.of(new LSTM.Builder().nIn(4).nOut(4).build(),
                new MaskZeroLayer.Builder().setUnderlying(new LSTM.Builder().nIn(4).nOut(4).build()).build(),
                new Bidirectional(Bidirectional.Mode.ADD, new SimpleRnn.Builder().nIn(4).nOut(4).build()),
                new FrozenLayer(new LSTM.Builder().nIn(4).nOut(4).build()));
    }

    /** In truncated BPTT DL4J feeds these past the vertex that records a block. */
    @ParameterizedTest
    @MethodSource("thatKeepStates")
    void layersThatKeepStatesAreRefusedInsideWrappersToo(Layer keeping) {
        ComputationGraph base = Tiny.initialised(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("below", new Convolution1DLayer.Builder(1).nOut(4).build(), "in").addLayer("keeping", keeping, "below")
                .addLayer("above", new Convolution1DLayer.Builder(1).nOut(4).build(), "keeping")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build(),
                        "above")
                .setOutputs("out").setInputTypes(InputType.recurrent(3, 5)).build());
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("below", "above").recompute("below", "above").build();

        assertThatThrownBy(() -> LoRA.apply(base, config)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"keeping\"", "it keeps states");
    }
}
