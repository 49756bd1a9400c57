package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.LayerChains;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.constraint.UnitNormConstraint;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;

/** What the base asks of W stands in the summary of a network whose W rests. */
class SummaryNotesTest {

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).targets("free|bound|both|lstm").build();

    private static MultiLayerNetwork network(Layer... layers) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list();
        for (Layer layer : layers) {
            list.layer(layer);
        }
        return Networks.of(list.layer(new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2)
                .name("out").build()).setInputType(InputType.recurrent(4)).build());
    }

    private static DenseLayer.Builder dense(String name) {
        return new DenseLayer.Builder().nOut(4).name(name);
    }

    @Test
    void constraintsAndWeightNoiseOfTheBaseAreNoted() {
        MultiLayerNetwork base = network(dense("free").build(),
                dense("bound").constrainWeights(new MaxNormConstraint(0.5, 1)).build(),
                dense("both").constrainAllParameters(new UnitNormConstraint(1)).weightNoise(new DropConnect(0.5)).build(),
                LayerChains.named(new Bidirectional(new LSTM.Builder().nOut(4).weightNoise(new DropConnect(0.5)).build()),
                        "lstm"));
        String rest = " not apply while the layer is adapted: its weights stay as they are, and A and B have no such rule";
        LoRASummary summary = LoRA.summary(LoRA.apply(base, CONFIG));

        assertThat(summary.notes()).containsExactly("Layer \"bound\": MaxNormConstraint of the base does" + rest,
                "Layer \"both\": DropConnect and UnitNormConstraint of the base do" + rest,
                "Layer \"lstm\": DropConnect of the base does" + rest);
        assertThat(summary.toString().lines()).endsWith(summary.notes().toArray(String[]::new));
        assertThat(LoRA.plan(base, CONFIG, 1, InputType.recurrent(4, 5)).layers().notes()).isEqualTo(summary.notes());
        assertThat(LoRA.plan(base, CONFIG, 1, InputType.recurrent(4, 5)).toString()).contains(summary.notes());
        assertThat(LoRA.summary(LoRA.apply(base, LoRAConfig.builder().rank(2).targets("free").build())).notes())
                .as("of frozen layers").isEmpty();
        assertThat(LoRA.summary(base).notes()).as("of the base").isEmpty();
    }

    @Test
    void whatADeclaredLayerIsGivenApplies() {
        MultiLayerNetwork declared = network(new LoRADenseLayer.Builder().nOut(4).rank(2).name("own")
                .constrainWeights(new MaxNormConstraint(0.5, 1)).build());

        assertThat(LoRA.summary(declared).notes()).isEmpty();
    }
}
