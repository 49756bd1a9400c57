package io.github.dl4jlora.examples.spark;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.junit.jupiter.api.io.TempDir;

import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** A master, two workers and their executors, each a JVM of its own: none of the executors has the base in memory. */
@Tag("spark")
@DisabledForJreRange(min = JRE.JAVA_24, disabledReason = "Hadoop 3.3 calls Subject.getSubject, which JDK 24 has no more")
class ClusterTest {

    private static final int EPOCHS = 8;
    /** Three standard deviations of a share of 451 answers around 0.9, and no more. */
    private static final double NOISE = 0.043;

    private static DigitsTask task;
    private static ComputationGraph base;

    @TempDir
    private Path folder;

    @BeforeAll
    static void trainBase() {
        task = new DigitsTask(256, 7);
        base = task.base();
    }

    @Test
    void trainingSurvivesAWorkerThatIsKilledInMidEpochAndEndsAsItWouldHave() throws Exception {
        Path file = folder.resolve("base.zip");
        ModelSerializer.writeModel(base, file.toFile(), false);
        byte[] fileBefore = Files.readAllBytes(file);
        float[] frozen = base.params().toFloatVector();

        ComputationGraph undisturbed = task.lora(base, file.toUri());
        double untrained = task.accuracy(undisturbed);
        try (Engine engine = Engine.cluster(folder.resolve("undisturbed"))) {
            train(engine, undisturbed);
            assertThat(engine.basesRead()).containsExactly(1L, 1L);
            WireBytes.Count sent = engine.sent();
            assertThat(sent.arrived()).isBetween(sent.written(), 2 * sent.written());
        }
        ComputationGraph disturbed = task.lora(base, file.toUri());
        int rounds = EPOCHS * ParameterAveraging.rounds(task.batches(), Engine.WORKERS);
        try (Engine engine = Engine.cluster(folder.resolve("disturbed"))) {
            WorkerKiller killer = engine.killInRound(rounds / 2 + 2);
            train(engine, disturbed);
            assertThat(engine.sent().rounds()).isEqualTo(rounds);
            assertThat(killer.noticed()).isTrue();
        }

        assertThat(task.accuracy(undisturbed)).isGreaterThan(untrained + 0.5);
        assertThat(task.accuracy(disturbed)).isCloseTo(task.accuracy(undisturbed), within(NOISE));
        assertThat(Files.readAllBytes(file)).isEqualTo(fileBefore);
        assertThat(base.params().toFloatVector()).containsExactly(frozen);
    }

    @Test
    void executorsReadTheBaseFromHdfs() throws Exception {
        MiniDFSCluster hdfs = new MiniDFSCluster.Builder(new Configuration(), folder.resolve("hdfs").toFile())
                .numDataNodes(1).build();
        try (Engine engine = Engine.cluster(folder.resolve("cluster"))) {
            URI location = hdfs.getURI().resolve("/models/base.zip");
            try (OutputStream file = hdfs.getFileSystem().create(new org.apache.hadoop.fs.Path(location))) {
                ModelSerializer.writeModel(base, file, false);
            }
            ComputationGraph lora = task.lora(base, location);
            double untrained = task.accuracy(lora);

            train(engine, lora);

            assertThat(task.accuracy(lora)).isGreaterThan(untrained + 0.5);
            assertThat(engine.basesRead()).containsExactly(1L, 1L);
        } finally {
            hdfs.shutdown();
        }
    }

    private static void train(Engine engine, ComputationGraph network) {
        ParameterAveraging.train(engine.spark(), network, task.data(engine.spark(), Engine.WORKERS), Engine.WORKERS, EPOCHS, 7,
                List.of());
    }
}
