package io.github.dl4jlora.integration;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.parallelism.ParallelInference;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.deeplearning4j.parallelism.ParallelWrapper.TrainingMode;
import org.deeplearning4j.parallelism.inference.InferenceMode;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Training and inference on several threads, on replicas that DL4J makes. */
@Tag("heavy")
class ParallelTest {

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.MATCH_ANY, names = ".*SHARED")
    void twoWorkersThatAverageTrainTheAdapters(Kind kind) throws Exception {
        trainsInParallel(kind, TrainingMode.AVERAGING, 2);
    }

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.MATCH_ANY, names = ".*EMBEDDED")
    void twoWorkersThatAverageTrainTheAdaptersBesideFrozenValuesInTheVector(Kind kind) throws Exception {
        trainsInParallel(kind, TrainingMode.AVERAGING, 2);
    }

    /**
     * Graphs only: with any MultiLayerNetwork, stock ones too, DL4J 1.0.0-M2.1 deadlocks here now and then. The second
     * worker wants the original's monitor (DefaultTrainer.run, getUpdater), which the first one holds in fit while it
     * waits for the second.
     */
    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.MATCH_ANY, names = ".*GRAPH.*")
    void twoWorkersThatShareGradientsTrainTheAdapters(Kind kind) throws Exception {
        trainsInParallel(kind, TrainingMode.SHARED_GRADIENTS, 1);
    }

    private static void trainsInParallel(Kind kind, TrainingMode mode, int rounds) throws Exception {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        List<Long> frozen = Models.frozen(adapted);
        double[] baseBefore = Models.params(base);
        double[] before = Models.params(adapted);
        DataSetIterator data = new ListDataSetIterator<>(Networks.data(DataType.FLOAT, 64, 8).asList(), 8);

        ParallelWrapper.Builder<Model> builder = new ParallelWrapper.Builder<>(adapted);
        builder.workers(2).prefetchBuffer(0).trainingMode(mode);
        if (mode == TrainingMode.AVERAGING) {
            builder.averagingFrequency(2).averageUpdaters(true);
        } else {
            builder.thresholdAlgorithm(
                    new org.deeplearning4j.optimize.solvers.accumulation.encoding.threshold.FixedThresholdAlgorithm(1e-3));
        }
        try (ParallelWrapper wrapper = builder.build()) {
            for (int round = 0; round < rounds; round++) {
                wrapper.fit(data);
            }
        }

        assertThat(Models.params(adapted)).isNotEqualTo(before).doesNotContain(Double.NaN);
        assertThat(Models.frozen(adapted)).isEqualTo(frozen);
        assertThat(Models.params(base)).isEqualTo(baseBefore);
        if (kind.isShared()) {
            assertThatThrownBy(() -> Models.attach(adapted, kind.stranger())).hasMessageContaining("different weights");
        }
    }

    @ParameterizedTest
    @EnumSource
    void fourInferenceThreadsComputeWhatOneDoes(Kind kind) throws Exception {
        Model adapted = kind.adapt(kind.base());
        Models.fitSteps(adapted, 0, 3);
        List<Long> frozen = Models.frozen(adapted);
        List<INDArray> requests = new ArrayList<>();
        List<double[]> expected = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            requests.add(Networks.random(DataType.FLOAT, i, 1 + i % 4, Networks.IN));
            expected.add(Models.values(Models.output(adapted, requests.get(i))));
        }
        ParallelInference inference = new ParallelInference.Builder(adapted).workers(4)
                .inferenceMode(InferenceMode.SEQUENTIAL).build();
        ExecutorService clients = Executors.newFixedThreadPool(4);
        try {
            List<Future<double[]>> answers = new ArrayList<>();
            requests.forEach(request -> answers.add(clients.submit(() -> Models.values(inference.output(request)))));
            for (int i = 0; i < answers.size(); i++) {
                assertThat(answers.get(i).get()).isEqualTo(expected.get(i));
            }
        } finally {
            clients.shutdownNow();
            inference.shutdown();
        }
        assertThat(Models.frozen(adapted)).isEqualTo(frozen);
    }
}
