package io.github.dl4jlora.regression;

import ch.qos.logback.classic.Level;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Ranks and factors that no network can have, and those that are only unwise. */
class OutOfRangeTest {

    @ParameterizedTest
    @EnumSource
    void aRankThatWouldTakeAllMemoryIsRefusedBeforeAnyIsTaken(Kind kind) {
        assertThatThrownBy(() -> Models.apply(kind.base(), kind.config().rank(100_000_000).build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("Layer \"fc1\"", "rank 100000000",
                        "min(nIn, nOut) = 5", "rank(5)");
    }

    /** As version 0.2.0 allows it. */
    @Test
    void aRankAboveTheMatrixsIsOnlyWarnedOf() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAConfig config = LoRAConfig.builder().rank(7).build();
        try (LogCapture log = LogCapture.ofLibrary()) {
            assertThat(Models.outputs(LoRA.apply(base, config))).isEqualTo(Models.outputs(base));
            assertThat(String.join("\n", log.messages())).contains("rank 7 is above min(nIn, nOut) = 5", "override(\"fc1\"");
        }
        assertThat(LoRA.largestRanks(base, config)).isEqualTo(Map.of("fc1", 5L, "fc2", 5L));
    }

    /** Its rank is what it is: there is nothing to do about it, and so nothing to warn of. */
    @Test
    void ofAnAdapterTheSameIsToldWithoutAWarning() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(7).build()));
        try (LogCapture warnings = LogCapture.ofLibrary()) {
            LoRA.apply(base, adapter);
            assertThat(String.join("\n", warnings.messages())).doesNotContain("is above min");
        }
        try (LogCapture log = new LogCapture("io.github.dl4jlora", Level.INFO)) {
            LoRA.apply(base, adapter);
            assertThat(String.join("\n", log.messages())).contains("rank 7 is above min(nIn, nOut) = 5")
                    .doesNotContain("override");
        }
    }

    @Test
    void aFactorThatTheNetworksTypeHasNotIsRefused() {
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(1e5).build();
        Model half = Networks.trainedGraph(DataType.HALF, new Sgd(0.1));

        assertThatThrownBy(() -> Models.apply(half, config)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Layer \"fc1\"", "alpha 100000.0", "of type HALF can compute with at most 65504.0");
        assertThatThrownBy(() -> LoRA.plan(half, config, 4)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("HALF");
        assertThat(LoRA.summary(Models.apply(Networks.trainedGraph(), config)).trainableParams()).isPositive();
        assertThatThrownBy(() -> LoRA.apply(Networks.trainedGraph(), config.toBuilder().alpha(1e39).build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("FLOAT");
    }

    @Test
    void aRankFarBeyondAMatrixIsRefusedByThePlanToo() {
        LoRAConfig config = LoRAConfig.builder().rank(20_000_000).build();

        for (ThrowingCallable call : List.<ThrowingCallable>of(() -> LoRA.apply(Networks.trainedGraph(), config),
                () -> LoRA.plan(Networks.trainedGraph(), config, 4))) {
            assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("rank 20000000 is above min(nIn, nOut) = 5");
        }
    }

    /** What apply takes, a file takes too, and gives back. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT", "DOUBLE"})
    void aFactorThatIsAppliedIsReadAgain(DataType type, @TempDir Path folder) throws IOException {
        double most = Scaling.LARGEST_FACTOR;
        Model base = Networks.trainedGraph(type, new Sgd(0.1));
        Model adapted = Models.apply(base, LoRAConfig.builder().rank(2).alpha(most).build());
        LoRAAdapter.of(adapted).save(folder.resolve("a"));

        assertThat(LoRAAdapter.load(folder.resolve("a")).config().settings().alpha()).isEqualTo(most);
        assertThatThrownBy(() -> Models.apply(base, LoRAConfig.builder().rank(2).alpha(-Math.nextUp(most)).build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("can compute with at most 1.8E19");
        assertThatThrownBy(() -> LoRAConfig.builder().rank(2).alpha(Double.MIN_VALUE).scaling(Scaling.ALPHA_OVER_RANK).build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("alpha is 4.9E-324, which makes the factor of A·B zero");
    }
}
