package io.github.dl4jlora.integration;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.earlystopping.EarlyStoppingConfiguration;
import org.deeplearning4j.earlystopping.EarlyStoppingModelSaver;
import org.deeplearning4j.earlystopping.EarlyStoppingResult;
import org.deeplearning4j.earlystopping.saver.LocalFileGraphSaver;
import org.deeplearning4j.earlystopping.saver.LocalFileModelSaver;
import org.deeplearning4j.earlystopping.scorecalc.DataSetLossCalculator;
import org.deeplearning4j.earlystopping.termination.MaxEpochsTerminationCondition;
import org.deeplearning4j.earlystopping.trainer.EarlyStoppingGraphTrainer;
import org.deeplearning4j.earlystopping.trainer.EarlyStoppingTrainer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.listeners.CheckpointListener;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Whatever DL4J itself saves while it trains can be loaded again. */
class CheckpointsAndEarlyStoppingTest {

    @TempDir
    File folder;

    @ParameterizedTest
    @EnumSource
    void everyCheckpointIsTheNetworkAsItWas(Kind kind) {
        Model adapted = kind.adapt(kind.base());
        List<Long> frozen = Models.frozen(adapted);
        List<double[]> history = new ArrayList<>();
        BaseTrainingListener recorder = new BaseTrainingListener() {
            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                history.add(Models.params(model));
            }
        };
        CheckpointListener checkpoints = new CheckpointListener.Builder(folder).saveEveryNIterations(2).keepAll().build();
        adapted.setListeners(recorder, checkpoints);

        Models.fitSteps(adapted, 0, 6);

        List<Integer> found = new ArrayList<>();
        checkpoints.availableCheckpoints().forEach(checkpoint -> {
            Model loaded = kind.graph ? checkpoints.loadCheckpointCG(checkpoint) : checkpoints.loadCheckpointMLN(checkpoint);
            found.add(indexOf(history, Models.params(loaded)));
            assertThat(Models.frozen(loaded)).isEqualTo(frozen);
            refusesAStranger(kind, loaded);
        });
        assertThat(found).hasSizeGreaterThanOrEqualTo(2).doesNotContain(-1).doesNotHaveDuplicates();
        Model last = kind.graph ? CheckpointListener.loadLastCheckpointCG(folder)
                : CheckpointListener.loadLastCheckpointMLN(folder);
        assertThat(indexOf(history, Models.params(last))).isEqualTo(found.get(found.size() - 1));
    }

    private static int indexOf(List<double[]> history, double[] params) {
        for (int i = 0; i < history.size(); i++) {
            if (java.util.Arrays.equals(history.get(i), params)) {
                return i;
            }
        }
        return -1;
    }

    @ParameterizedTest
    @EnumSource
    void earlyStoppingKeepsTheBestNetworkInItsFile(Kind kind) throws IOException {
        Model adapted = kind.adapt(kind.base());
        List<Long> frozen = Models.frozen(adapted);
        DataSetIterator data = new ListDataSetIterator<>(Networks.data(DataType.FLOAT, 24, 3).asList(), 8);

        Model best = kind.graph ? stopEarly((ComputationGraph) adapted, data) : stopEarly((MultiLayerNetwork) adapted, data);

        assertThat(score(best)).isLessThan(score(kind.base()));
        assertThat(Models.frozen(best)).isEqualTo(frozen).isEqualTo(Models.frozen(adapted));
        Models.fitSteps(best, 0, 1);
        refusesAStranger(kind, best);
    }

    private static double score(Model model) {
        return Models.score(model, Networks.data(DataType.FLOAT, 24, 3));
    }

    private ComputationGraph stopEarly(ComputationGraph graph, DataSetIterator data) throws IOException {
        LocalFileGraphSaver saver = new LocalFileGraphSaver(folder.getPath());
        EarlyStoppingResult<ComputationGraph> result = new EarlyStoppingGraphTrainer(configuration(saver, data), graph, data)
                .fit();
        assertThat(Models.params(saver.getBestModel())).isEqualTo(Models.params(result.getBestModel()));
        assertThat(result.getTotalEpochs()).isEqualTo(4);
        return result.getBestModel();
    }

    private MultiLayerNetwork stopEarly(MultiLayerNetwork network, DataSetIterator data) throws IOException {
        LocalFileModelSaver saver = new LocalFileModelSaver(folder);
        EarlyStoppingResult<MultiLayerNetwork> result = new EarlyStoppingTrainer(configuration(saver, data), network, data).fit();
        assertThat(Models.params(saver.getBestModel())).isEqualTo(Models.params(result.getBestModel()));
        assertThat(result.getTotalEpochs()).isEqualTo(4);
        return result.getBestModel();
    }

    private static <M extends Model> EarlyStoppingConfiguration<M> configuration(EarlyStoppingModelSaver<M> saver,
            DataSetIterator data) {
        return new EarlyStoppingConfiguration.Builder<M>().epochTerminationConditions(new MaxEpochsTerminationCondition(4))
                .scoreCalculator(new DataSetLossCalculator(data, true)).evaluateEveryNEpochs(1).modelSaver(saver).build();
    }

    private static void refusesAStranger(Kind kind, Model restored) {
        if (kind.isShared()) {
            assertThatThrownBy(() -> Models.attach(restored, kind.stranger())).hasMessageContaining("different weights");
        }
    }
}
