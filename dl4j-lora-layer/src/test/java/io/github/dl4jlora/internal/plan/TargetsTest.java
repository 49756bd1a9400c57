package io.github.dl4jlora.internal.plan;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.function.Consumer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

/** Targets by layer name, by kind of layer, and by parameter. */
class TargetsTest {

    private ComputationGraph base;

    @BeforeEach
    void makeGraph() {
        base = graph("rnn");
    }

    private static ComputationGraph graph(String secondName) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(5).updater(new Adam(0.01))
                .activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("conv", new Convolution1DLayer.Builder(2).nOut(3).build(), "in")
                .addLayer("norm", new BatchNormalization(), "conv")
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "norm")
                .addLayer("both", new Bidirectional(Bidirectional.Mode.ADD, new LSTM.Builder().nOut(4).build()), "lstm")
                .addLayer(secondName, new SimpleRnn.Builder().nOut(4).build(), "both")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build(),
                        secondName)
                .setOutputs("out").setInputTypes(InputType.recurrent(3, 5)).build());
    }

    @Test
    void layerNameMeansAllItsMatrices() {
        assertTrained(c -> c.targets("lstm"), "lstm_W.A", "lstm_W.B", "lstm_RW.A", "lstm_RW.B");
        assertTrained(c -> c.targets("both"), "both_fW.A", "both_fW.B", "both_fRW.A", "both_fRW.B", "both_bW.A", "both_bW.B",
                "both_bRW.A", "both_bRW.B");
        assertTrained(c -> c.targets("conv|out"), "conv_W.A", "conv_W.B", "out_A", "out_B");
    }

    @Test
    void slashNamesOneParameter() {
        assertTrained(c -> c.targets("lstm/RW"), "lstm_RW.A", "lstm_RW.B");
        assertTrained(c -> c.targets("(lstm|rnn)/RW"), "lstm_RW.A", "lstm_RW.B", "rnn_RW.A", "rnn_RW.B");
        assertTrained(c -> c.targets("both/f.*"), "both_fW.A", "both_fW.B", "both_fRW.A", "both_fRW.B");
        assertTrained(c -> c.targets("out/W"), "out_A", "out_B");
        assertTrained(c -> c.targets("lstm/.*"), "lstm_W.A", "lstm_W.B", "lstm_RW.A", "lstm_RW.B");
    }

    @Test
    void kindsOfLayersAreTargets() {
        assertTrained(c -> c.targets(LayerType.CONVOLUTION), "conv_W.A", "conv_W.B");
        assertTrained(c -> c.targets(LayerType.CONVOLUTION, LayerType.OUTPUT), "conv_W.A", "conv_W.B", "out_A", "out_B");
        assertTrained(c -> c.targets(LayerType.RECURRENT).exclude("both", "rnn"), "lstm_W.A", "lstm_W.B", "lstm_RW.A",
                "lstm_RW.B");
        assertTrained(c -> c.targets("rnn/W").targets(LayerType.CONVOLUTION), "conv_W.A", "conv_W.B", "rnn_W.A", "rnn_W.B");
    }

    @Test
    void excludeTakesSingleParametersAway() {
        assertTrained(c -> c.targets("lstm").exclude("lstm/W"), "lstm_RW.A", "lstm_RW.B");
        assertTrained(c -> c.targets(LayerType.RECURRENT).exclude(".*/.*RW", "both", "rnn"), "lstm_W.A", "lstm_W.B");
    }

    @Test
    void overridesMatchLayersAndParameters() {
        LoRASummary summary = LoRA.summary(LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(3).targets("lstm", "rnn")
                .override("lstm", o -> o.rank(1)).override("rnn/RW", o -> o.alpha(5)).build()));

        assertThat(summary.rows()).filteredOn(row -> row.rank() > 0).extracting(LoRASummary.Row::name, LoRASummary.Row::rank,
                LoRASummary.Row::alpha).containsExactly(tuple("lstm.W", 1, 3.0), tuple("lstm.RW", 1, 3.0), tuple("rnn.W", 2, 3.0),
                tuple("rnn.RW", 2, 5.0));
    }

    @Test
    void ofOverlappingOverridesTheFirstThatSetsSomethingWins() {
        LoRASummary summary = LoRA.summary(LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(3).targets("lstm", "rnn")
                .override(".*/RW", o -> o.rank(1)).override("lstm", o -> o.rank(3).alpha(5)).override(".*", o -> o.alpha(7))
                .override(".*/RW", o -> o.rank(4)).build()));

        assertThat(summary.rows()).filteredOn(row -> row.rank() > 0).extracting(LoRASummary.Row::name, LoRASummary.Row::rank,
                LoRASummary.Row::alpha).containsExactly(tuple("lstm.W", 3, 5.0), tuple("lstm.RW", 4, 5.0), tuple("rnn.W", 2, 7.0),
                tuple("rnn.RW", 4, 7.0));
    }

    @Test
    void namesThatSayTwoThingsOrAreNoPatternsOfThemselvesAreRefused() {
        ComputationGraph odd = Networks.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("fc", new DenseLayer.Builder().nIn(2).nOut(2).build(), "in")
                .addLayer("fc/W", new DenseLayer.Builder().nIn(2).nOut(2).build(), "fc")
                .addLayer("a+b", new DenseLayer.Builder().nIn(2).nOut(2).build(), "fc/W")
                .addLayer("out", new OutputLayer.Builder().nIn(2).nOut(2).activation(Activation.SOFTMAX).build(), "a+b")
                .setOutputs("out").build());
        String cure = "\"a+b\" does not match that name: quote it with Pattern.quote";

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(odd, LoRAConfig.builder().targets("fc/W").build()))
                .withMessageContaining("targets(\"fc/W\") is both the name of a layer and that of the parameter W of "
                        + "layer \"fc\"");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(odd, LoRAConfig.builder().targets("a+b").build()))
                .withMessageContaining(cure);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(odd, LoRAConfig.builder().trainable("a+b").build()))
                .withMessageContaining(cure);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(odd, LoRAConfig.builder().override("a+b", o -> o.rank(2))
                .build())).withMessageContaining(cure);
        ComputationGraph tuned = LoRA.apply(odd, LoRAConfig.builder().targets("a\\+b", "fc").build());
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.setScale(tuned, "a+b", 2)).withMessageContaining(cure);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.merging(tuned).layers("a+b").merge())
                .withMessageContaining(cure);
    }

    @Test
    void whatAnAdapterSaysOfItselfMakesTheSameNetwork() {
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm/RW", "both/bW", "conv")
                .override("both/bW", o -> o.rank(1)).build());
        LoRAAdapter adapter = LoRAAdapter.of(adapted);

        assertThat(adapter.layers()).containsExactly("conv", "lstm.RW", "both.bW");
        assertThat(LoRA.apply(base, adapter).paramTable().keySet()).isEqualTo(adapted.paramTable().keySet());
        assertThat(adapter.deltaWeight("lstm.RW").shape()).containsExactly(4, 16);
    }

    @Test
    void targetsThatCannotBeMetSayWhy() {
        assertRefused(c -> c.targets("lstm/b"), "targets(\"lstm/b\") matches",
                "lstm/b (LSTM: only its parameters [W, RW] can be adapted)");
        assertRefused(c -> c.targets("norm/gamma"), "norm/gamma (BatchNormalization: its parameters are vectors");
        assertRefused(c -> c.targets("norm"), "\"norm\" (BatchNormalization: its parameters are vectors",
                "[conv, lstm, both, rnn, out]");
        assertRefused(c -> c.targets("conv,lstm"), "targets(\"conv,lstm\") matches no layer", "A comma does not separate");
        LoRAConfig.Builder config = LoRAConfig.builder();
        assertThatIllegalArgumentException().isThrownBy(() -> config.targets(new String[0]))
                .withMessageStartingWith("targets() was given no pattern");
        assertThatIllegalArgumentException().isThrownBy(() -> config.targets(new LayerType[0]))
                .withMessageStartingWith("targets() was given no type of layers");
        assertRefused(c -> c.targets("lstm/X"), "targets(\"lstm/X\") matches no layer", "name/parameter");
        assertRefused(c -> c.targets(LayerType.EMBEDDING), "targets(LayerType.EMBEDDING) matches no layer", "conv (CONVOLUTION)",
                "norm (BatchNormalization)", "lstm (RECURRENT)");
        assertRefused(c -> c.targets("lstm").exclude("lstm/.*"), "exclude and trainable leave no target");
        assertRefused(c -> c.targets("lstm/RW").override("lstm/W", o -> o.rank(1)), "override(\"lstm/W\", …) matches none",
                "[lstm]");
        assertRefused(c -> { }, "There is no DenseLayer to adapt", "[conv, lstm, both, rnn, out]");
    }

    @Test
    void namesThatWouldCollideInAnAdapterFileAreRefused() {
        base = graph("lstm.RW");

        assertRefused(c -> c.targets("lstm"), "lstm/RW would be called \"lstm.RW\" in an adapter file", "layer \"lstm.RW\"",
                "exclude(");
        assertTrained(c -> c.targets("lstm/W"), "lstm_W.A", "lstm_W.B");
    }

    @Test
    void dropoutOfAnInputThatThereIsNotIsRefused() {
        assertRefused(c -> c.targets("lstm").loraDropout(0.1), "Layer \"lstm\": loraDropout is 0.1", "an adapted LSTM",
                "loraDropout(0)");
        assertThat(LoRA.apply(base, LoRAConfig.builder().targets("out").loraDropout(0.1).build())).isNotNull();
    }

    @Test
    void weightNoiseOnAnAdapterIsRefused() {
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().targets("lstm").build());
        ((org.deeplearning4j.nn.conf.layers.BaseLayer) adapted.getLayer("lstm").conf().getLayer())
                .setWeightNoise(new DropConnect(0.5));

        assertThatThrownBy(adapted::clone).hasMessageContainingAll("Layer \"lstm\": weightNoise", "Remove it");
    }

    private void assertTrained(Consumer<LoRAConfig.Builder> settings, String... keys) {
        LoRAConfig.Builder builder = LoRAConfig.builder().rank(2);
        settings.accept(builder);
        assertThat(LoRA.apply(base, builder.build()).paramTable()).containsOnlyKeys(keys);
    }

    private void assertRefused(Consumer<LoRAConfig.Builder> settings, String... words) {
        LoRAConfig.Builder builder = LoRAConfig.builder().rank(2);
        settings.accept(builder);
        assertThatThrownBy(() -> LoRA.apply(base, builder.build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(words);
    }
}
