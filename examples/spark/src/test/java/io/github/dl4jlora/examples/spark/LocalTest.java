package io.github.dl4jlora.examples.spark;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.junit.jupiter.api.io.TempDir;

import java.net.URI;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Two threads of this JVM as Spark's workers. */
@Tag("spark")
@DisabledForJreRange(min = JRE.JAVA_24, disabledReason = "Hadoop 3.3 calls Subject.getSubject, which JDK 24 has no more")
class LocalTest {

    private static final int EPOCHS = 8;
    private static final int ADAM = 3;
    /** Configuration of the network, Spark's own bookkeeping. */
    private static final long ELSE = 16 << 10;
    /** Workers are threads of the JVM that has the base. */
    private static final URI NOWHERE = null;

    private static DigitsTask task;
    private static ComputationGraph base;

    @BeforeAll
    static void trainBase() {
        task = new DigitsTask(256, 7);
        base = task.base();
    }

    @Test
    void workersThatAverageTrainAdaptersAloneFromOnePointEachRound(@TempDir Path folder) throws Exception {
        ComputationGraph lora = task.lora(base, NOWHERE);
        double before = task.accuracy(lora);
        float[] frozen = base.params().toFloatVector();
        float[] fresh = lora.params().toFloatVector();
        FirstParams.forget();
        WireBytes.Count sent;
        try (Engine engine = Engine.local()) {
            ParameterAveraging.train(engine.spark(), lora, task.data(engine.spark(), Engine.WORKERS), Engine.WORKERS, EPOCHS, 7,
                    List.of(), new FirstParams());
            sent = engine.sent();
        }

        assertThat(task.accuracy(lora)).isGreaterThan(before + 0.4);
        assertThat(lora.params().toFloatVector()).isNotEqualTo(fresh).doesNotContain(Float.NaN);
        assertThat(base.params().toFloatVector()).containsExactly(frozen);

        List<List<Float>> starts = FirstParams.seen();
        assertThat(sent.rounds()).isEqualTo(EPOCHS * ParameterAveraging.rounds(task.batches(), Engine.WORKERS));
        assertThat(starts).hasSize(Engine.WORKERS * sent.rounds());
        assertThat(new HashSet<>(starts)).as("both workers of a round start alike, and each round elsewhere")
                .hasSize(sent.rounds());

        long adapters = ADAM * Float.BYTES * lora.numParams();
        assertThat(sent.up()).isBetween(adapters, adapters + ELSE);
        assertThat(sent.down()).isBetween(adapters / 2, adapters + ELSE);

        Path file = folder.resolve("lora.zip");
        ModelSerializer.writeModel(lora, file.toFile(), true);
        ComputationGraph back = ModelSerializer.restoreComputationGraph(file.toFile(), true);
        assertThat(back.outputSingle(task.questions()).ravel().toFloatVector())
                .containsExactly(lora.outputSingle(task.questions()).ravel().toFloatVector());
        assertThat(back.getUpdater().getUpdaterStateViewArray().toFloatVector())
                .containsExactly(lora.getUpdater().getUpdaterStateViewArray().toFloatVector());
    }

    @Test
    void fullFineTuningSendsEveryWeightAndItsUpdaterState() {
        ComputationGraph full = task.full(base);
        WireBytes.Count sent;
        try (Engine engine = Engine.local()) {
            ParameterAveraging.train(engine.spark(), full, task.data(engine.spark(), Engine.WORKERS), Engine.WORKERS, 1, 7,
                    List.of());
            sent = engine.sent();
        }

        long everything = ADAM * Float.BYTES * full.numParams();
        assertThat(sent.up()).isBetween(everything, everything + ELSE);
    }

    @Test
    void workersThatShareGradientsTrainAdapters() {
        ComputationGraph lora = task.lora(base, NOWHERE);
        double before = task.accuracy(lora);
        float[] frozen = base.params().toFloatVector();
        try (Engine engine = Engine.local()) {
            GradientSharing.train(engine.spark(), lora, task.data(engine.spark(), Engine.WORKERS), Engine.WORKERS, Engine.WORKERS,
                    EPOCHS, 7);
        }

        assertThat(task.accuracy(lora)).isGreaterThan(before + 0.4);
        assertThat(base.params().toFloatVector()).containsExactly(frozen);
    }
}
