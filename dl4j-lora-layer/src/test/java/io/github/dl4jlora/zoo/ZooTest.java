package io.github.dl4jlora.zoo;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.frozen.FrozenWeights;
import io.github.dl4jlora.rewrite.Rewriter;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Every architecture of DL4J's model zoo: adapted, trained, merged, saved. */
@Tag("heavy")
class ZooTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource
    void isAdaptedTrainedMergedAndSaved(Architecture architecture) throws IOException {
        Model base = architecture.base();
        DataSet batch = architecture.batch();
        INDArray x = batch.getFeatures();
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).alpha(4).updater(new Adam(0.01));
        architecture.target(config);
        INDArray before = Models.output(base, x);

        Model adapted = Models.apply(base, config.build());

        System.out.println(LoRA.summary(adapted));
        assertThat(Networks.difference(Models.output(adapted, x), before)).isLessThan(1e-6);
        Map<String, String> ids = ids(adapted);
        Map<String, INDArray> start = copy(Models.paramTable(adapted));
        for (int step = 0; step < 2; step++) {
            Models.fit(adapted, batch);
        }
        assertThat(ids(adapted)).isEqualTo(ids);
        Models.paramTable(adapted).forEach((name, value) ->
                assertThat(value.equals(start.get(name))).as("%s stayed where it was", name).isFalse());
        INDArray after = Models.output(adapted, x);
        System.out.println(architecture + " moved " + Networks.difference(after, before) + " of " + before.amaxNumber() + " params " + adapted.params().length() + " of base " + base.params().length());
        Model merged = Models.merge(adapted);
        System.out.println("merged difference " + Networks.difference(Models.output(merged, x), after));
        LoRA.save(adapted, folder.resolve("model.zip"), true);
        Model loaded = adapted instanceof ComputationGraph ? LoRA.loadComputationGraph(folder.resolve("model.zip"))
                : LoRA.loadMultiLayerNetwork(folder.resolve("model.zip"));
        System.out.println("loaded difference " + Networks.difference(Models.output(loaded, x), after));
        LoRAAdapter.of(adapted).save(folder);
        System.out.println("adapter difference " + Networks.difference(Models.output(applied(base, LoRAAdapter.load(folder)), x), after));
    }

    private static Model applied(Model base, LoRAAdapter adapter) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter) : LoRA.apply((MultiLayerNetwork) base, adapter);
    }

    /** Content ids of all frozen weights, hashed again. */
    private static Map<String, String> ids(Model adapted) {
        Map<String, String> ids = new LinkedHashMap<>();
        for (Map.Entry<String, FrozenWeights> layer : Rewriter.verifiedBase(adapted).entrySet()) {
            ids.put(layer.getKey(), layer.getValue().id());
        }
        return ids;
    }

    private static Map<String, INDArray> copy(Map<String, INDArray> table) {
        Map<String, INDArray> copy = new LinkedHashMap<>();
        table.forEach((name, value) -> copy.put(name, value.dup()));
        return copy;
    }
}
