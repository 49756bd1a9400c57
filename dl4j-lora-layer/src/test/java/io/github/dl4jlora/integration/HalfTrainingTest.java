package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.tune.LoRAAdvice;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.AdaDelta;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.AdaMax;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nadam;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.RmsProp;
import org.nd4j.linalg.learning.config.Sgd;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Training in 16 bits with updaters whose epsilon is 0 there. */
class HalfTrainingTest {

    private static final String SET = "updater(Adam.builder().learningRate(1e-3).epsilon(1e-4).build())";

    @TempDir
    private Path folder;

    private static MultiLayerNetwork half(IUpdater updater) {
        return LoRA.apply(Networks.trainedLayers().convertDataType(DataType.HALF),
                LoRAConfig.builder().rank(2).alpha(2).updater(updater).build());
    }

    private static void fit(MultiLayerNetwork network) {
        network.fit(Networks.data(network.params().dataType(), 8, 3));
    }

    /** With ND4J's own settings, and whether a gradient of 0 becomes NaN in HALF. */
    static Stream<Arguments> updaters() {
        return Stream.of(Arguments.of(new Adam(1e-3), "Adam's epsilon 1.0E-8 is 0 in HALF"),
                Arguments.of(new AMSGrad(1e-3), "AMSGrad's epsilon 1.0E-8 is 0 in HALF"),
                Arguments.of(new Nadam(1e-3), "Nadam's epsilon 1.0E-8 is 0 in HALF"),
                Arguments.of(new RmsProp(1e-3), "RmsProp's epsilon 1.0E-8 is 0 in HALF"),
                Arguments.of(new AdaMax(1e-3),
                        "AdaMax adds 1e-32 to its divisor, whatever its epsilon is. That is 0 in HALF"),
                Arguments.of(new AdaGrad(1e-3), null), Arguments.of(new AdaDelta(), null), Arguments.of(new Sgd(1e-3), null),
                Arguments.of(new Nesterovs(1e-3), null), Arguments.of(new NoOp(), null),
                Arguments.of(Adam.builder().learningRate(1e-3).epsilon(1e-4).build(), null),
                Arguments.of(AMSGrad.builder().learningRate(1e-3).epsilon(1e-7).build(), null));
    }

    @ParameterizedTest
    @MethodSource("updaters")
    void whatBecomesNaNIsToldOfWhenANetworkIsAdapted(IUpdater updater, String told) {
        MultiLayerNetwork tuned;
        try (LogCapture log = LogCapture.ofLibrary()) {
            tuned = half(updater);
            List<String> warnings = log.messages().stream().filter(message -> message.contains("becomes NaN")).toList();
            if (told == null) {
                assertThat(warnings).isEmpty();
            } else {
                assertThat(warnings).singleElement().asString().startsWith("Layers [fc1, fc2")
                        .contains("]: " + told + ", so a gradient").endsWith("for example " + SET);
            }
        }

        fit(tuned);

        boolean finite = Double.isFinite(tuned.params().castTo(DataType.DOUBLE).sumNumber().doubleValue());
        assertThat(finite).as("whether the parameters are finite after a step").isEqualTo(told == null);
    }

    @ParameterizedTest
    @MethodSource("updaters")
    void otherTypesHaveTheEpsilon(IUpdater updater, String told) {
        for (DataType type : List.of(DataType.BFLOAT16, DataType.FLOAT, DataType.DOUBLE)) {
            assertThat(Divergence.ofZeros(updater, type)).isNull();
        }
    }

    @Test
    void whatIsNotFiniteIsRefusedWithTheEpsilonInMind() {
        MultiLayerNetwork tuned = half(new Adam(1e-3));
        fit(tuned);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);

        assertThatThrownBy(() -> adapter.save(folder)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("training has diverged. In HALF the default epsilon of Adam", SET,
                        "Nothing was written");
        assertThatThrownBy(() -> LoRA.merge(tuned)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("The adapter has diverged. In HALF the default epsilon of Adam", SET);
        assertThatThrownBy(() -> adapter.applyTo(half(new Sgd(0.1)))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("its training diverged. In HALF the default epsilon of Adam", SET);
        assertThat(LoRAAdvice.about(adapter).list()).isNotEmpty().allSatisfy(advice ->
                assertThat(advice.remedy()).startsWith("In HALF the default epsilon of Adam").contains(SET));
    }

    @Test
    void otherTypesAreToldToLowerTheRate() {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().rank(2).build());
        tuned.params().assign(Double.NaN);

        assertThatThrownBy(() -> LoRAAdapter.of(tuned).save(folder)).hasMessageContaining("diverged. Lower the learning rate")
                .hasMessageNotContaining("HALF");
    }

    @Test
    void whatTheMessageSaysTrains() {
        MultiLayerNetwork tuned = half(Adam.builder().learningRate(1e-2).epsilon(1e-4).build());
        double before = tuned.score(Networks.data(DataType.HALF, 8, 3));
        for (int step = 0; step < 30; step++) {
            fit(tuned);
        }

        assertThat(tuned.score(Networks.data(DataType.HALF, 8, 3))).isLessThan(0.9 * before);
    }
}
