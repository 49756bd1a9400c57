package io.github.dl4jlora.regression;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.content.Kind;
import org.deeplearning4j.nn.api.Model;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.ISchedule;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/**
 * A fresh adapter starts at iteration 0 and epoch 0: its updater state is that of the first step, and Adam's bias
 * correction, warm-up and decay go by the count.
 */
class FreshCountsTest {

    private static final double RATE = 1e-3;

    /** A base that has been trained for long. */
    private static Model longTrained(Models.Kind kind) {
        Model base = kind.base();
        Counts.set(base, 10_000, 40);
        return base;
    }

    private static LoRAConfig config(Models.Kind kind, IUpdater updater) {
        return LoRAConfig.builder().rank(2).storage(kind.storage).updater(updater).build();
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void countsBeginAnew(Models.Kind kind) {
        Model base = longTrained(kind);

        Model tuned = Models.apply(base, config(kind, new Adam(RATE)));

        assertThat(Counts.iterations(tuned)).isZero();
        assertThat(Counts.epochs(tuned)).isZero();
        assertThat(Counts.iterations(base)).as("of the base").isEqualTo(10_000);
    }

    /** With zero state and the count of the first step Adam moves what has a gradient by the learning rate, up to epsilon. */
    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void firstStepOfAdamIsAsLargeAsTheLearningRate(Models.Kind kind) {
        Model tuned = Models.apply(longTrained(kind), config(kind, new Adam(RATE)));

        assertThat(step(tuned)).isCloseTo(RATE, within(0.01 * RATE));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void stepsOfAdamDoNotDependOnHowLongTheBaseWasTrained(Models.Kind kind) {
        Model after = Models.apply(longTrained(kind), config(kind, new Adam(RATE)));
        Model shortBase = kind.base();
        Counts.set(shortBase, 0, 0);
        Model fresh = Models.apply(shortBase, config(kind, new Adam(RATE)));
        Models.fitSteps(after, 0, 10);
        Models.fitSteps(fresh, 0, 10);

        assertThat(Models.outputs(after)).containsExactly(Models.outputs(fresh));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void warmUpWarmsUp(Models.Kind kind) {
        ISchedule warmUp = new MapSchedule(ScheduleType.ITERATION, Map.of(0, 0.0, 2, 0.5));
        Model tuned = Models.apply(longTrained(kind), config(kind, new Sgd(warmUp)));

        assertThat(step(tuned)).as("first step").isZero();
        assertThat(step(tuned)).as("second step").isZero();
        assertThat(step(tuned)).as("third step").isPositive();
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void countsBeginAnewWithAnAdapterOutOfAFileToo(Models.Kind kind, @TempDir Path folder) throws IOException {
        Model base = longTrained(kind);
        Model tuned = Models.apply(base, config(kind, new Adam(RATE)));
        Models.fitSteps(tuned, 0, 3);
        LoRAAdapter.of(tuned).save(folder);

        Model again = Models.with(base, LoRAAdapter.load(folder));

        assertThat(Counts.iterations(again)).isZero();
        assertThat(Counts.epochs(again)).isZero();
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void resetOfTheUpdaterResetsTheCounts(Models.Kind kind) {
        Model tuned = Models.apply(kind.base(), config(kind, new Adam(RATE)));
        Counts.set(tuned, 10_000, 40);
        Models.fitSteps(tuned, 0, 3);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);

        adapter.applyTo(tuned);
        assertThat(Counts.iterations(tuned)).as("without the option").isEqualTo(10_003);
        assertThat(Counts.epochs(tuned)).as("without the option").isGreaterThanOrEqualTo(40);

        adapter.applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);
        assertThat(Counts.iterations(tuned)).isZero();
        assertThat(Counts.epochs(tuned)).isZero();
        assertThat(step(tuned)).isCloseTo(RATE, within(0.01 * RATE));
    }

    /** The largest change of a trained value in one step. */
    private static double step(Model tuned) {
        INDArray before = tuned.params().dup();
        Models.fit(tuned, 1);
        return Networks.difference(tuned.params(), before);
    }
}
