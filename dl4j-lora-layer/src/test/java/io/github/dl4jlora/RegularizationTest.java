package io.github.dl4jlora;

import io.github.dl4jlora.conf.LoRAConfig;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** L1, L2 and weight decay of A and B are set as on DL4J's own builder: L2 and weight decay take each other's place. */
class RegularizationTest {

    private enum Setting { L1, L2, WEIGHT_DECAY }

    private record Call(Setting setting, double coefficient) {

        void on(LoRAConfig.Builder builder) {
            switch (setting) {
                case L1 -> builder.l1(coefficient);
                case L2 -> builder.l2(coefficient);
                case WEIGHT_DECAY -> builder.weightDecay(coefficient);
            }
        }

        void on(DenseLayer.Builder builder) {
            switch (setting) {
                case L1 -> builder.l1(coefficient);
                case L2 -> builder.l2(coefficient);
                case WEIGHT_DECAY -> builder.weightDecay(coefficient);
            }
        }
    }

    @Provide
    Arbitrary<List<Call>> calls() {
        return Combinators.combine(Arbitraries.of(Setting.class), Arbitraries.of(0.0, 0.1, 0.2)).as(Call::new).list()
                .ofMaxSize(5);
    }

    @Property(tries = 300, seed = "24")
    void areTheStockBuilders(@ForAll("calls") List<Call> calls, @ForAll boolean inTwo) {
        LoRAConfig.Builder ours = LoRAConfig.builder();
        DenseLayer.Builder stock = new DenseLayer.Builder().nIn(2).nOut(2);
        for (int i = 0; i < calls.size(); i++) {
            ours = inTwo && i == calls.size() / 2 ? ours.build().toBuilder() : ours;
            calls.get(i).on(ours);
            calls.get(i).on(stock);
        }

        assertThat(ours.build().regularization()).isEqualTo(stock.build().getRegularization());
    }

    @net.jqwik.api.Example
    void adaptedLayersHaveWhatTheBuilderHas() {
        MultiLayerNetwork adapted = LoRA.apply(Networks.trainedLayers(),
                LoRAConfig.builder().weightDecay(0.1).l1(0.2).l2(0.3).build());
        List<Regularization> expected = new DenseLayer.Builder().nIn(2).nOut(2).l1(0.2).l2(0.3).build().getRegularization();

        assertThat(((BaseLayer) adapted.getLayer(0).conf().getLayer()).getRegularizationByParam("A")).isEqualTo(expected);
    }

    @ParameterizedTest
    @ValueSource(doubles = {-1, Double.NaN})
    void whatIsNoCoefficientIsRefused(double coefficient) {
        assertThatThrownBy(() -> LoRAConfig.builder().l1(coefficient)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("l1 is " + coefficient + ", but must be 0 (none) or more. Set it with l1(1e-4), for example");
        assertThatThrownBy(() -> LoRAConfig.builder().l2(coefficient)).hasMessageStartingWith("l2 is " + coefficient);
        assertThatThrownBy(() -> LoRAConfig.builder().weightDecay(coefficient))
                .hasMessageStartingWith("weightDecay is " + coefficient);
    }
}
