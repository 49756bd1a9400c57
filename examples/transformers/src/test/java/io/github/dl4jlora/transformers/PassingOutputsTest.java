package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.HashMap;
import java.util.List;
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

    private static ComputationGraph adapted(Tiny tiny, String targets) {
        return LoRA.apply(tiny.network(DataType.FLOAT, new NoOp()), LoRAConfig.builder().rank(2).seed(5).targets(targets)
                .updater(new Adam(1e-2)).build());
    }

    @Tag("heavy")
    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#others")
    void inOtherNetworksItIsToo(Tiny tiny) {
        trainingIsTheSameWhetherTheyPassOrAreKept(tiny);
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#few")
    void trainingIsTheSameWhetherTheyPassOrAreKept(Tiny tiny) {
        for (String targets : List.of(Transformer.QUERY_VALUE,
                ".*(output\\.dense|ffn\\.lin2|mlp\\.c_proj)",
                ".*(query|key|value|dense|_lin|lin\\d|c_[a-z]+|attn\\.[qkvo])")) {
            ComputationGraph passing = adapted(tiny, targets);
            ComputationGraph kept = adapted(tiny, targets);
            kept.setListeners(watcher);
            for (int step = 0; step < 3; step++) {
                passing.fit(tiny.batch(DataType.FLOAT));
                kept.fit(tiny.batch(DataType.FLOAT));
            }
            assertThat(passing.params()).as(targets).isEqualTo(kept.params());
        }
    }

    @Test
    void whoWatchesSeesEachLayersOwn() {
        Tiny tiny = Tiny.meanPooling();
        ComputationGraph graph = adapted(tiny, "encoder.*\\.(query|value)");
        Map<String, INDArray> expected = graph.feedForward(tiny.ids(DataType.FLOAT), true);
        graph.setListeners(watcher);
        graph.fit(tiny.batch(DataType.FLOAT));

        seen.forEach((name, output) -> assertThat(output).as(name).isEqualTo(expected.get(name)));
        assertThat(seen).containsKey("encoder.layer.0.output.dense");
    }
}
