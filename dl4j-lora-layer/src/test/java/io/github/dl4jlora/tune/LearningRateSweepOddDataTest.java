package io.github.dl4jlora.tune;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Nesterovs;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Sweeps of data and updaters that are out of the ordinary. */
class LearningRateSweepOddDataTest {

    @Test
    void momentumDoesNotGoOnWhereNothingIsLearned() {
        MultiLayerNetwork network = LoRA.apply(Networks.trainedLayers(),
                LoRAConfig.builder().rank(2).alpha(2).seed(3).updater(new Nesterovs(0.5, 0.95)).build());
        DataSet batch = Networks.data(DataType.FLOAT, 8, 1);
        for (int i = 0; i < 5; i++) {
            network.fit(batch);
        }

        assertThat(LearningRateSweep.of(network).points(2).steps(9).run(new ExistingDataSetIterator(List.of(batch))).untrained())
                .isCloseTo(network.score(batch), within(1e-5));
    }

    @Test
    void dataWithoutLabelsIsRefused() {
        INDArray features = Networks.random(DataType.FLOAT, 1, 8, Networks.IN);

        assertThatThrownBy(() -> LearningRateSweep.of(Networks.trainedGraph()).run(new ExistingDataSetIterator(List.of(
                new DataSet(features, null))))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("[out]", "0 arrays of labels");
    }
}
