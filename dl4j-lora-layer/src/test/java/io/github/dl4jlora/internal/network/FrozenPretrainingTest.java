package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** DL4J's pretraining passes over layers that cannot be pretrained, and so over frozen ones, without a word. */
class FrozenPretrainingTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 8, 1);
    private static final DataSetIterator BATCHES = new ListDataSetIterator<>(List.of(DATA), 8);

    private static void assertAllRefuse(ThrowingCallable... ways) {
        assertThat(List.of(ways)).allSatisfy(way -> assertThatThrownBy(way).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("nothing to fit"));
    }

    @Test
    void ofLayersIsRefused() {
        MultiLayerNetwork frozen = LoRA.freeze(Networks.trainedLayers());

        assertAllRefuse(() -> frozen.pretrain(BATCHES), () -> frozen.pretrain(BATCHES, 2), () -> frozen.pretrainLayer(0, BATCHES),
                () -> frozen.pretrainLayer(0, DATA.getFeatures()));
    }

    @Test
    void ofAGraphIsRefused() {
        ComputationGraph frozen = LoRA.freeze(Networks.trainedGraph());

        assertAllRefuse(() -> frozen.pretrain(BATCHES), () -> frozen.pretrain(BATCHES, 2),
                () -> frozen.pretrainLayer("fc1", BATCHES));
    }
}
