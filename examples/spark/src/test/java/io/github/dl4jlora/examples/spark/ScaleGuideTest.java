package io.github.dl4jlora.examples.spark;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.JavaBlocks;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.parallelism.ParallelWrapper.TrainingMode;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.deeplearning4j.spark.impl.graph.SparkComputationGraph;
import org.deeplearning4j.spark.impl.paramavg.ParameterAveragingTrainingMaster;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the code in docs/scale.md. A line of that page that is not in this file fails a test. */
@Tag("spark")
@DisabledForJreRange(min = JRE.JAVA_24, disabledReason = "Hadoop 3.3 calls Subject.getSubject, which JDK 24 has no more")
class ScaleGuideTest {

    private static DigitsTask task;
    private static ComputationGraph base;

    @BeforeAll
    static void trainBase() {
        task = new DigitsTask(64, 7);
        base = task.base();
    }

    @Test
    void everyLineOfThePageIsHere() throws IOException {
        String here = CodeBlock.normal(
                Files.readString(Path.of("src/test/java/io/github/dl4jlora/examples/spark/ScaleGuideTest.java")));

        assertThat(CodeBlock.of("docs/scale.md", CodeBlock.JAVA)).isNotEmpty()
                .flatExtracting(CodeBlock::statements).allSatisfy(line -> assertThat(here).contains(line));
    }

    @Test
    void itCompilesAsThePagePrintsIt() throws IOException {
        assertThat(JavaBlocks.mistakes(Map.of("docs/scale.md", ScalePageNames.class))).isEmpty();
    }

    @Test
    void cores() throws Exception {
        LoRAConfig config = LoRAConfig.builder().rank(4).build();
        DataSetIterator batches = task.batchesHere();
        float[] frozen = base.params().toFloatVector();

        ComputationGraph tuned = LoRA.apply(base, config);
        float[] fresh = tuned.params().toFloatVector();
        try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(tuned).workers(2).prefetchBuffer(0)
                .trainingMode(TrainingMode.AVERAGING).averagingFrequency(5).averageUpdaters(true).build()) {
            wrapper.fit(batches);
        }

        assertThat(tuned.params().toFloatVector()).isNotEqualTo(fresh).doesNotContain(Float.NaN);
        assertThat(base.params().toFloatVector()).containsExactly(frozen);
    }

    @Test
    void machines() {
        URI location = URI.create("hdfs://namenode/models/base.zip");
        try (Engine engine = Engine.local()) {
            JavaSparkContext spark = engine.spark();
            JavaRDD<DataSet> data = task.data(spark, Engine.WORKERS);

            LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                    .baseLocation(location)
                    .build();
            ComputationGraph tuned = LoRA.apply(base, config);
            float[] fresh = tuned.params().toFloatVector();
            ParameterAveragingTrainingMaster averaging = new ParameterAveragingTrainingMaster.Builder(32)
                    .batchSizePerWorker(32).averagingFrequency(5).saveUpdater(true).build();
            SparkComputationGraph trainer = new SparkComputationGraph(spark, tuned, averaging);
            trainer.fit(data);

            assertThat(tuned.params().toFloatVector()).isNotEqualTo(fresh).doesNotContain(Float.NaN);
        }
    }
}
