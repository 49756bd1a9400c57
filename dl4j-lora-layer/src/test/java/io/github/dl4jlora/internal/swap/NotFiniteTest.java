package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** An adapter that diverged is refused wherever its first wrong value lies, and the network stays as it was. */
class NotFiniteTest {

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).trainable("out").build();

    private final MultiLayerNetwork base = Networks.trainedLayers();

    private LoRAAdapter diverged(String parameter, int position, double value) {
        MultiLayerNetwork tuned = LoRA.apply(base, CONFIG);
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        tuned.getParam(parameter).putScalar(position, value);
        return LoRAAdapter.of(tuned);
    }

    @ParameterizedTest
    @CsvSource({"0_A, 0, Infinity", "0_A, 0, -Infinity", "0_A, 0, NaN", "0_A, 11, NaN", "0_B, 0, Infinity",
        "1_B, 9, Infinity", "2_W, 0, Infinity", "2_W, 14, NaN", "2_b, 0, -Infinity"})
    void isRefusedAndNothingChanges(String parameter, int position, double value) {
        MultiLayerNetwork network = LoRA.apply(base, CONFIG);
        Networks.randomizeAdapters(network.paramTable(), 5);
        INDArray before = network.params().dup();
        LoRAAdapter adapter = diverged(parameter, position, value);

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.applyTo(network))
                .withMessageContainingAll("has " + value, "at position " + position, "training diverged");
        assertThat(network.params()).isEqualTo(before);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            assertThatIllegalArgumentException().isThrownBy(() -> bank.add("a", adapter)).withMessageContaining("diverged");
            assertThat(bank.names()).isEmpty();
        }
    }
}
