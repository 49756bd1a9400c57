package io.github.dl4jlora.internal.plan;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

import static java.util.stream.Collectors.toMap;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.entry;

/** What becomes of each node, why, and which configurations are refused with which words. */
class PlanTest {

    private ComputationGraph mixed;

    @BeforeEach
    void makeGraph() {
        mixed = Networks.of(new NeuralNetConfiguration.Builder().seed(5).updater(new Adam(0.01)).activation(Activation.TANH)
                .graphBuilder().addInputs("in")
                .addLayer("conv", new ConvolutionLayer.Builder(2, 2).nOut(2).build(), "in")
                .addLayer("relu", new ActivationLayer(Activation.RELU), "conv")
                .addLayer("fc1", new DenseLayer.Builder().nOut(6).build(), "relu")
                .addLayer("norm", new BatchNormalization(), "fc1")
                .addLayer("fc2", new DenseLayer.Builder().nOut(6).build(), "norm")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "fc1", "fc2")
                .addLayer("mine", new OwnDenseLayer(6, 6), "sum")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX).build(),
                        "mine")
                .setOutputs("out").setInputTypes(InputType.convolutional(3, 3, 1)).build());
    }

    private List<Node> nodes() {
        return io.github.dl4jlora.internal.network.Networks.of(mixed).nodes();
    }

    @Test
    void everyNodeHasItsRole() {
        assertThat(roles(LoRAConfig.builder())).containsExactlyInAnyOrderEntriesOf(Map.of("conv", Role.FREEZE_STOP,
                "relu", Role.FREEZE_STOP, "fc1", Role.ADAPT, "norm", Role.FREEZE_PASS, "fc2", Role.ADAPT, "sum", Role.KEEP,
                "mine", Role.FREEZE_PASS, "out", Role.FREEZE_PASS));
    }

    @Test
    void everyDecisionHasItsReason() {
        Plan plan = Plan.of(nodes(), LoRAConfig.builder().trainable("out").build());

        assertThat(plan.decisions().get("fc1").reason()).isEqualTo("matches a target");
        assertThat(plan.decisions().get("out").reason()).isEqualTo("matches trainable");
        assertThat(plan.decisions().get("conv").reason()).isEqualTo("nothing upstream trains");
        assertThat(plan.decisions().get("norm").reason()).isEqualTo("a trained layer is upstream");
        assertThat(plan.decisions().get("sum").reason()).isEqualTo("has no parameters and a trained layer is upstream");
    }

    @Test
    void trainedLayerLetsGradientsThroughAllAboveIt() {
        assertThat(roles(LoRAConfig.builder().targets("fc2").trainable("conv"))).contains(entry("conv", Role.TRAIN),
                entry("relu", Role.KEEP), entry("fc1", Role.FREEZE_PASS), entry("norm", Role.FREEZE_PASS),
                        entry("fc2", Role.ADAPT));
    }

    @Test
    void targetsMustMatchWholeNames() {
        assertThat(roles(LoRAConfig.builder().targets("fc.", "out").exclude("fc1"))).contains(entry("fc1", Role.FREEZE_STOP),
                entry("norm", Role.FREEZE_STOP), entry("fc2", Role.ADAPT), entry("out", Role.ADAPT));
        assertRefused(c -> c.targets("fc"), "targets(\"fc\") matches no layer", "whole name", "conv", "fc1", "fc2", "out");
    }

    @Test
    void trainableWinsOverTargets() {
        assertThat(roles(LoRAConfig.builder().targets("fc.*").trainable("fc2"))).contains(entry("fc2", Role.TRAIN));
    }

    @Test
    void broadPatternIsRefusedOverLayersThatCannotBeAdapted() {
        assertRefused(c -> c.targets(".*"), "targets(\".*\") matches", "\"norm\" (BatchNormalization: its parameters are vectors",
                "\"mine\" (OwnDenseLayer: it is not one of DL4J's own layers", "[conv, fc1, fc2, out]", "exclude");
        assertThat(roles(LoRAConfig.builder().targets(".*").exclude("norm|mine"))).contains(entry("out", Role.ADAPT),
                entry("conv", Role.ADAPT));
    }

    @Test
    void layersThatCannotBeAdaptedForOneReasonAreNamedWithTheReasonOnce() {
        mixed = withTwoNorms();

        assertThatThrownBy(() -> LoRA.apply(mixed, LoRAConfig.builder().targets(".*").build()))
                .hasMessageContainingAll("\"norm1\", \"norm2\" (BatchNormalization: its parameters are vectors", "allTargets()")
                .satisfies(e -> assertThat(e.getMessage().split("vectors", -1)).hasSize(2));
    }

    @Test
    void allTargetsAreWhatCanBeAdaptedBelowTheOutput() {
        assertThat(all(LoRAConfig.builder(), Set.of())).containsOnlyKeys("conv", "fc1", "fc2");
        assertThat(all(LoRAConfig.builder().exclude("fc1").targets("out"), Set.of("conv"))).containsOnlyKeys("fc2", "out");
        assertThatThrownBy(() -> all(LoRAConfig.builder().exclude("conv", "fc."), Set.of())).hasMessageContainingAll(
                "There is no layer below the output layers to adapt that is not excluded", "targets(...)");
    }

    private Map<String, Set<String>> all(LoRAConfig.Builder config, Set<String> trained) {
        return Targets.of(nodes(), config.build(), trained, true);
    }

    @Test
    void engineThatALayerHasNotIsRefused() {
        assertRefused(c -> c.targets("fc.", "conv").engine(Engine.SAMEDIFF), "engine(SAMEDIFF) is for DenseLayer", "\"conv\" "
                + "(ConvolutionLayer)", "exclude(...)", "engine(FUSED)");
        assertThat(LoRA.apply(mixed, LoRAConfig.builder().targets("fc.", "out").engine(Engine.SAMEDIFF).build())).isNotNull();
        assertRefused(c -> c.targets("fc.", "conv").engine(Engine.EFFECTIVE_WEIGHTS), "is for layers other than DenseLayer",
                "\"fc1\", \"fc2\" (DenseLayer)", "exclude(...)", "engine(FUSED)");
        assertThat(LoRA.apply(mixed, LoRAConfig.builder().targets("conv").engine(Engine.EFFECTIVE_WEIGHTS).build())).isNotNull();
    }

    @Test
    void nothingInPlaceOfAConfigurationOrAdapterIsRefused() {
        assertThatThrownBy(() -> LoRA.apply(mixed, (LoRAConfig) null)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("The LoRAConfig is null");
        assertThatThrownBy(() -> LoRA.apply(mixed, (LoRAAdapter) null)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("The adapter is null");
        assertThatThrownBy(() -> LoRA.attach(LoRA.apply(mixed, LoRAConfig.builder().build()), null))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("The base is null");
    }

    private static ComputationGraph withTwoNorms() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(0.01)).graphBuilder().addInputs("in")
                .addLayer("norm1", new BatchNormalization(), "in")
                .addLayer("fc", new DenseLayer.Builder().nOut(6).activation(Activation.TANH).build(), "norm1")
                .addLayer("norm2", new BatchNormalization(), "fc")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build(),
                        "norm2")
                .setOutputs("out").setInputTypes(InputType.feedForward(3)).build());
    }

    @ParameterizedTest
    @CsvSource({"relu,it has no parameters", "sum,it has no parameters", "mine,what it computes is unknown",
        "norm,its parameters are vectors"})
    void layersWithoutAWeightMatrixCannotBeAdapted(String name, String reason) {
        assertRefused(c -> c.targets(name), "targets(\"" + name + "\") matches", "\"" + name + "\" (", reason,
                "cannot be adapted", "[conv, fc1, fc2, out]");
    }

    @Test
    void trainableThatMatchesNothingIsRefused() {
        assertRefused(c -> c.trainable("head"), "trainable(\"head\") matches no layer with parameters",
                "[conv, fc1, norm, fc2, mine, out]");
        assertRefused(c -> c.trainable("relu"), "trainable(\"relu\") matches no layer with parameters");
    }

    @Test
    void overrideThatMatchesNothingAdaptedIsRefused() {
        assertRefused(c -> c.override("out", o -> o.rank(4)), "override(\"out\", …) matches none of the adapted layers",
                "[fc1, fc2]");
    }

    @Test
    void excludingEveryTargetIsRefused() {
        assertRefused(c -> c.targets("fc.").exclude("fc."), "exclude and trainable leave no target", "fc1");
        assertRefused(c -> c.exclude("fc."), "no DenseLayer to adapt that is not excluded", "targets(...)",
                "[conv, fc1, fc2, out]");
    }

    @ParameterizedTest
    @ValueSource(strings = {"targets", "exclude", "trainable", "override"})
    void patternThatIsNoRegularExpressionIsRefused(String what) {
        LoRAConfig.Builder builder = LoRAConfig.builder();

        assertThatThrownBy(() -> {
            switch (what) {
                case "targets" -> builder.targets("fc(");
                case "exclude" -> builder.exclude("fc(");
                case "trainable" -> builder.trainable("fc(");
                default -> builder.override("fc(", o -> o.rank(2));
            }
        }).isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(what + "(\"fc(\") is not a regular expression",
                "Pattern.quote");
    }

    @Test
    void nullUninitialisedAndForeignNetworksAreRefused() {
        assertThatThrownBy(() -> LoRA.apply((ComputationGraph) null, LoRAConfig.builder().build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessage("The network is null");
        assertThatThrownBy(() -> LoRA.apply(new ComputationGraph(mixed.getConfiguration().clone()), LoRAConfig.builder().build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("not initialised", "init()");
        MultiLayerNetwork layers = new MultiLayerNetwork(Networks.trainedLayers().getLayerWiseConfigurations().clone());
        assertThatThrownBy(() -> LoRA.apply(layers, LoRAConfig.builder().build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("not initialised", "init()");
    }

    @Test
    void adaptedNetworkIsNotAdaptedTwice() {
        ComputationGraph adapted = LoRA.apply(mixed, LoRAConfig.builder().build());

        assertThatThrownBy(() -> LoRA.apply(adapted, LoRAConfig.builder().build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("already adapted", "layer \"conv\"", "LoRA.merge", "LoRAAdapter.applyTo");
    }

    @Test
    void stockNetworkHasNothingToMergeOrUnload() {
        assertThatThrownBy(() -> LoRA.merge(mixed)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("nothing to merge");
        assertThatThrownBy(() -> LoRA.unload(mixed)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("nothing to unload");
    }

    @Test
    void layerWithoutUpdaterIsNamed() {
        ((org.deeplearning4j.nn.conf.layers.BaseLayer) mixed.getLayer("fc2").conf().getLayer()).setIUpdater(null);

        assertRefused(c -> { }, "Layer \"fc2\" has no updater", "updater(new Adam(1e-3))");
        assertThat(LoRA.apply(mixed, LoRAConfig.builder().updater(new Adam(1e-3)).build())).isNotNull();
    }

    private void assertRefused(Consumer<LoRAConfig.Builder> settings, String... words) {
        LoRAConfig.Builder builder = LoRAConfig.builder();
        settings.accept(builder);
        assertThatThrownBy(() -> LoRA.apply(mixed, builder.build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(words);
    }

    private Map<String, Role> roles(LoRAConfig.Builder config) {
        return Plan.of(nodes(), config.build()).decisions().entrySet().stream()
                .collect(toMap(Map.Entry::getKey, decision -> decision.getValue().role()));
    }

    /** A user's own layer: a subclass may compute something else than what it inherits. */
    public static class OwnDenseLayer extends DenseLayer {

        private static final long serialVersionUID = 1L;

        public OwnDenseLayer() {
        }

        OwnDenseLayer(int nIn, int nOut) {
            setNIn(nIn);
            setNOut(nOut);
        }
    }
}
