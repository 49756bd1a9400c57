package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.HashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Outputs that no backward pass looks at are overwritten by those of layers above, unless somebody watches. */
class PassingOutputsTest {

    private final Map<String, INDArray> seen = new HashMap<>();

    private final BaseTrainingListener watcher = new BaseTrainingListener() {
        @Override
        public void onForwardPass(Model model, Map<String, INDArray> activations) {
            activations.forEach((name, output) -> seen.put(name, output.dup()));
        }
    };

    private static ComputationGraph adapted(String targets) {
        return LoRA.apply(Encoders.tiny(DataType.FLOAT, new NoOp()), LoRAConfig.builder().rank(2).seed(5).targets(targets)
                .trainable("classifier").updater(new Adam(1e-2)).build());
    }

    @Test
    void trainingIsTheSameWhetherTheyPassOrAreKept() {
        DataSet batch = new DataSet(Encoders.ids(DataType.FLOAT), Encoders.labels(DataType.FLOAT));
        for (String targets : new String[]{"encoder.*\\.(query|value)", "encoder.*\\.output\\.dense", "encoder.*dense"}) {
            ComputationGraph passing = adapted(targets);
            ComputationGraph kept = adapted(targets);
            kept.setListeners(watcher);
            for (int step = 0; step < 3; step++) {
                passing.fit(batch);
                kept.fit(batch);
            }
            assertThat(passing.params()).as(targets).isEqualTo(kept.params());
        }
    }

    @Test
    void whoWatchesSeesEachLayersOwn() {
        ComputationGraph graph = adapted("encoder.*\\.(query|value)");
        INDArray ids = Encoders.ids(DataType.FLOAT);
        Map<String, INDArray> expected = graph.feedForward(ids, true);
        graph.setListeners(watcher);
        graph.fit(new DataSet(ids, Encoders.labels(DataType.FLOAT)));

        seen.forEach((name, output) -> assertThat(output).as(name).isEqualTo(expected.get(name)));
        assertThat(seen).containsKey("encoder.layer.0.output.dense");
    }
}
