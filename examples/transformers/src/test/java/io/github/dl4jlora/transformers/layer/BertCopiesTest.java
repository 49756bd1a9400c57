package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.io.File;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class BertCopiesTest {

    private final ComputationGraph graph = Encoders.tiny(DataType.FLOAT, new Adam(1e-2));
    private final INDArray ids = Encoders.ids(DataType.FLOAT);

    @Test
    void clonesAndSavedNetworksComputeTheSameAndTrainTheSame(@TempDir File folder) throws Exception {
        File file = new File(folder, "bert.zip");
        ModelSerializer.writeModel(graph, file, true);
        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file, true);
        ComputationGraph clone = graph.clone();
        DataSet batch = new DataSet(ids, Encoders.labels(DataType.FLOAT));

        assertThat(restored.outputSingle(ids)).isEqualTo(graph.outputSingle(ids));
        assertThat(clone.outputSingle(ids)).isEqualTo(graph.outputSingle(ids));
        for (ComputationGraph each : new ComputationGraph[]{graph, restored, clone}) {
            each.fit(batch);
            each.fit(batch);
        }
        assertThat(restored.params()).isEqualTo(graph.params());
        assertThat(clone.params()).isEqualTo(graph.params());
    }

    /** Dense layers by kernels of the library, the others as they are. */
    @Test
    void frozenItComputesTheSame() {
        ComputationGraph frozen = LoRA.freeze(graph);

        assertThat(frozen.outputSingle(ids).distance2(graph.outputSingle(ids))).isLessThan(1e-5);
        assertThat(LoRA.merge(frozen).params()).isEqualTo(graph.params());
    }

    @Test
    void jsonAndYamlKeepTheConfiguration() {
        ComputationGraphConfiguration configuration = graph.getConfiguration();

        assertThat(ComputationGraphConfiguration.fromJson(configuration.toJson())).isEqualTo(configuration);
        assertThat(ComputationGraphConfiguration.fromYaml(configuration.toYaml())).isEqualTo(configuration);
    }

    @Test
    void itLearnsToTellTextsApart() {
        DataSet batch = new DataSet(ids, Encoders.labels(DataType.FLOAT));
        double before = graph.score(batch);
        for (int step = 0; step < 60; step++) {
            graph.fit(batch);
        }

        assertThat(graph.score(batch)).isLessThan(before / 4);
    }

    @Test
    void paddingChangesNothing() {
        INDArray longer = Nd4j.concat(1, ids, Nd4j.zeros(DataType.FLOAT, ids.size(0), 2));

        assertThat(graph.outputSingle(longer).distance2(graph.outputSingle(ids))).isLessThan(1e-5);
    }

    @Test
    void badIdsAreNamedWithTheCure() {
        assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new float[][]{{1, 11}})))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Token id 11", "vocabulary of 11", "embeddings");
        assertThatThrownBy(() -> graph.outputSingle(Nd4j.ones(DataType.FLOAT, 1, 8)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("[1, 8]", "at most 7 tokens");
        assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new float[][]{{1, 2}, {0, 0}})))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("text 1", "no token");
    }

    @Test
    void sizesThatCannotBeAreRefused() {
        assertThatThrownBy(() -> TransformerShape.bert(11, 7, 6, 8, 2, 4)).hasMessageContainingAll("hidden is 6", "4 heads");
        assertThatThrownBy(() -> TransformerShape.bert(11, 7, 6, 8, 0, 2)).hasMessageContainingAll("layers is 0", "at least 1");
    }
}
