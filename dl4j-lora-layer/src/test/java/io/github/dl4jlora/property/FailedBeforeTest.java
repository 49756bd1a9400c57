package io.github.dl4jlora.property;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.property.Settings.Place;
import io.github.dl4jlora.property.Settings.Which;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Networks that broke a law once: as {@link Search} prints them, each under what was wrong. */
class FailedBeforeTest {

    static Stream<NetworkSpec> networks() {
        return Stream.of(
                new NetworkSpec(false, Input.SEQUENCE, List.of(), Head.RNN_OUTPUT, Role.FROZEN, new Settings(Which.DORA, LoRAInit.GAUSSIAN, 0, BiasTraining.NONE, false, 1.0, Scaling.ALPHA, 3, Place.COPIED, false), 2, false, true, DataType.FLOAT, false, Path.REPLICAS, 177L),
                new NetworkSpec(false, Input.SEQUENCE, List.of(), Head.RNN_OUTPUT, Role.FROZEN, new Settings(Which.DORA, LoRAInit.GAUSSIAN, 0, BiasTraining.NONE, false, 1.0, Scaling.ALPHA, 3, Place.COPIED, false), 2, false, true, DataType.FLOAT, false, Path.REPLICAS, 177L),
                new NetworkSpec(false, Input.SEQUENCE, List.of(), Head.RNN_OUTPUT, Role.FROZEN, new Settings(Which.PLAIN, LoRAInit.GAUSSIAN, 0, BiasTraining.NONE, false, 1.0, Scaling.ALPHA, 3, Place.SHARED, false), 2, false, true, DataType.FLOAT, false, Path.REPLICAS, 177L),
                new NetworkSpec(false, Input.SEQUENCE, List.of(), Head.RNN_OUTPUT, Role.FROZEN, new Settings(Which.DORA, LoRAInit.GAUSSIAN, 0, BiasTraining.NONE, false, 1.0, Scaling.ALPHA, 3, Place.COPIED, false), 2, false, true, DataType.FLOAT, false, Path.REPLICAS, 177L));
    }

    @AfterEach
    void restoreDataType() {
        Nd4j.setDefaultDataTypes(DataType.FLOAT, DataType.FLOAT);
    }

    @ParameterizedTest
    @MethodSource("networks")
    void failsNoMore(NetworkSpec network) {
        for (Law law : Law.values()) {
            Verdict verdict = Verdict.of(law, network);
            assertThat(verdict.outcome()).as(law + ": " + verdict.kind()).withFailMessage(() -> String.valueOf(verdict.problem()))
                    .isNotEqualTo(Verdict.Outcome.FAILED);
        }
    }
}
