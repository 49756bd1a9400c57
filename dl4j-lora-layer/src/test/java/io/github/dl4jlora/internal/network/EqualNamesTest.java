package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

/** DL4J lets the layers of a MultiLayerNetwork have one name, or none. */
class EqualNamesTest {

    private static final INDArray INPUT = Networks.random(DataType.FLOAT, 5, 4, 6);

    @Test
    void aPatternMatchesAllLayersOfTheName() {
        assertThat(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().targets("fc")).paramTable())
                .containsOnlyKeys("0_A", "0_B", "1_A", "1_B");
        assertThat(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().targets("fc/W")).paramTable())
                .containsOnlyKeys("0_A", "0_B", "1_A", "1_B");
        assertThat(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().exclude("fc")).paramTable())
                .containsOnlyKeys("2_A", "2_B");
        assertThat(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().trainable("fc")).paramTable())
                .containsOnlyKeys("0_W", "0_b", "1_W", "1_b", "2_A", "2_B");
        assertThat(LoRA.summary(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().override("fc", o -> o.rank(1)))).rows())
                .extracting(LoRASummary.Row::name, LoRASummary.Row::rank)
                .containsExactly(tuple("fc", 1), tuple("1", 1), tuple("top", 2), tuple("out", 0));
    }

    @Test
    void theIndexTellsTheLaterOnesApart() {
        assertThat(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().targets("1")).paramTable())
                .containsOnlyKeys("1_A", "1_B");
        assertThat(adapted(layers("fc", "fc", "top"), LoRAConfig.builder().targets("fc").exclude("1")).paramTable())
                .containsOnlyKeys("0_A", "0_B");
    }

    @Test
    void aNameThatIsAnotherLayersIndexIsNotMistakenForIt() {
        MultiLayerNetwork base = layers("2", "x", "x");

        MultiLayerNetwork tuned = adapted(base, LoRAConfig.builder());

        assertThat(LoRA.summary(tuned).rows()).extracting(LoRASummary.Row::name).containsExactly("2", "x", "layer2", "out");
        assertThat(tuned.output(INPUT)).isEqualTo(base.output(INPUT));
        assertThat(adapted(base, LoRAConfig.builder().targets("2")).paramTable()).containsOnlyKeys("0_A", "0_B");
    }

    @Test
    void adaptersGoWhereTheyCameFrom() {
        MultiLayerNetwork base = layers("fc", "fc", "top");
        for (LoRAConfig.Builder config : new LoRAConfig.Builder[]{LoRAConfig.builder().targets("fc"),
            LoRAConfig.builder().targets("1"), LoRAConfig.builder().targets("fc").exclude("1"),
            LoRAConfig.builder().targets("fc").override("1", o -> o.rank(1))}) {
            MultiLayerNetwork tuned = adapted(base, config);
            Networks.randomizeAdapters(tuned.paramTable(), 3);

            MultiLayerNetwork again = LoRA.apply(base, LoRAAdapter.of(tuned));

            assertThat(again.paramTable()).isEqualTo(tuned.paramTable());
            assertThat(again.output(INPUT)).isEqualTo(tuned.output(INPUT)).isNotEqualTo(base.output(INPUT));
        }
        assertThat(LoRAAdapter.of(adapted(base, LoRAConfig.builder())).layers()).containsExactly("fc", "1", "top");
    }

    private static MultiLayerNetwork adapted(MultiLayerNetwork base, LoRAConfig.Builder config) {
        return LoRA.apply(base, config.rank(2).build());
    }

    private static MultiLayerNetwork layers(String... names) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(12).updater(new Sgd(0.1))
                .activation(Activation.TANH).list();
        for (String name : names) {
            list.layer(new DenseLayer.Builder().name(name).nIn(6).nOut(6).build());
        }
        return Networks.of(list.layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nIn(6).nOut(3).build()).build());
    }
}
