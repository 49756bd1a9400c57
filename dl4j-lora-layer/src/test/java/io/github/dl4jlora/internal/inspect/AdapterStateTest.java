package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Set;
import java.util.TreeSet;

import static org.assertj.core.api.Assertions.assertThat;

/** The state is another one if, and only if, something has changed. */
class AdapterStateTest {

    private static MultiLayerNetwork base() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list(
                new DenseLayer.Builder().name("one").nIn(3).nOut(4).build(),
                new OutputLayer.Builder(LossFunction.MSE).name("two").nIn(4).nOut(2).build()).build());
    }

    @Test
    void itTellsWhatWasReplacedTrainedScaledAndDisabled() {
        MultiLayerNetwork tuned = LoRA.apply(base(), LoRAConfig.builder().rank(2).targets("one").build());
        LoRAAdapter first = LoRAAdapter.of(tuned);
        long state = AdapterState.of(tuned);

        tuned.output(Nd4j.ones(DataType.FLOAT, 1, 3));
        assertThat(AdapterState.of(tuned)).isEqualTo(state);
        try (LoRA.Scope off = LoRA.disabled(tuned)) {
            assertThat(AdapterState.of(tuned)).isNotEqualTo(state);
        }
        try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
            assertThat(AdapterState.of(tuned)).isNotEqualTo(state);
        }
        assertThat(AdapterState.of(tuned)).isEqualTo(state);
        tuned.params().addi(0.1);
        long changed = AdapterState.of(tuned);
        assertThat(changed).isNotEqualTo(state);
        first.applyTo(tuned);
        assertThat(AdapterState.of(tuned)).isEqualTo(state);
    }

    /** Embedded, frozen weights are in the same vector as those that train. */
    @Test
    void itLooksAtWhatTrainsAlone() {
        MultiLayerNetwork tuned = LoRA.apply(base(), LoRAConfig.builder().rank(2).targets("one").trainable("two")
                .bias(BiasTraining.LORA_ONLY).storage(FrozenStorage.EMBEDDED).build());
        Set<String> noticed = new TreeSet<>();
        for (String key : tuned.paramTable().keySet()) {
            long state = AdapterState.of(tuned);
            tuned.getParam(key).addi(0.1);
            if (AdapterState.of(tuned) != state) {
                noticed.add(key);
            }
        }

        assertThat(noticed).isEqualTo(Set.of("0_A", "0_B", "0_b", "1_W", "1_b"));
        assertThat(tuned.paramTable()).containsKey("0_W");
    }

    @Test
    void ofANetworkWithoutAdaptersItTellsTraining() {
        MultiLayerNetwork base = base();
        long state = AdapterState.of(base);

        assertThat(AdapterState.of(base)).isEqualTo(state);
        base.fit(Nd4j.ones(DataType.FLOAT, 1, 3), Nd4j.ones(DataType.FLOAT, 1, 2));
        assertThat(AdapterState.of(base)).isNotEqualTo(state);
    }
}
