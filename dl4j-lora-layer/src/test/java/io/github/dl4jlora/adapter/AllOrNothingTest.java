package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** An adapter that does not fit is refused before it changes anything. */
class AllOrNothingTest {

    @TempDir
    Path folder;

    @Test
    void anAdapterForOtherLayersChangesNothing() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter both = adapter(base, LoRAConfig.builder().rank(2));
        applyingChangesNothing(both, LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc1").build()),
                "missing in the adapter []", "surplus in it [fc2]");
        applyingChangesNothing(both, LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc.*", "out").build()),
                "missing in the adapter [out]", "surplus in it []");
        applyingChangesNothing(both, LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build()),
                "layers trained in full", "missing in the adapter [out]");
    }

    @Test
    void anAdapterOfAnotherRankChangesNothing() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        LoRAConfig.Builder wider = LoRAConfig.builder().rank(2).override("fc2", o -> o.rank(3));

        applyingChangesNothing(adapter(base, LoRAConfig.builder().rank(2)), LoRA.apply(base, wider.build()),
                "\"fc2\"", "A has shape [5, 2]", "network's has [5, 3]");
    }

    @ParameterizedTest
    @EnumSource
    void anAdapterForAnotherBaseChangesNothing(Kind kind) throws IOException {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        Models.fitSteps(adapted, 0, 2);
        LoRAAdapter.of(adapted).save(folder);
        String id = AdapterFiles.header(folder).path("__metadata__").path("dl4j_lora.base.fc1").asText();

        assertThat(id).hasSize(64);
        applyingChangesNothing(LoRAAdapter.load(folder), kind.adapt(kind.stranger()), "\"fc1\"",
                "made for the base weights " + id, "but the network has");
    }

    @Test
    void valuesBeyondTheNetworksDataTypeChangeNothing() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        float[][] a = new float[2][6];
        a[1][5] = 1e30f;
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG, a, new float[5][2]);
        ComputationGraph half = base.convertDataType(DataType.HALF);

        applyingChangesNothing(LoRAAdapter.load(folder), LoRA.apply(half, LoRAConfig.builder().rank(2).targets("fc1").build()),
                "\"fc1\"", "too large", "HALF");
    }

    @Test
    void aScalingBeyondTheNetworksDataTypeChangesNothing() throws IOException {
        AdapterFiles.writePeft(folder, AdapterFiles.PEFT_CONFIG.replace("\"lora_alpha\": 16", "\"lora_alpha\": 140000"),
                new float[2][6], new float[5][2]);
        ComputationGraph half = Networks.trainedGraph().convertDataType(DataType.HALF);

        applyingChangesNothing(LoRAAdapter.load(folder), LoRA.apply(half, LoRAConfig.builder().rank(2).targets("fc1").build()),
                "\"fc1\"", "the factor of A·B 70000.0", "HALF can compute with at most 65504.0");
    }

    @Test
    void aNetworkThatIsNotAdaptedTakesNoneAndGivesNone() throws IOException {
        ComputationGraph base = Networks.trainedGraph();

        assertThatThrownBy(() -> LoRAAdapter.of(base)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no adapted layer").hasMessageContaining("LoRA.apply");
        applyingChangesNothing(adapter(Networks.trainedGraph(), LoRAConfig.builder().rank(2)), base, "not adapted", "[fc1, fc2]");
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void aBaseThatMovedNeitherGivesNorTakesAnAdapter(Kind kind) throws IOException {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        LoRAAdapter adapter = LoRAAdapter.of(adapted);
        Models.fit(base, 1);

        assertThatThrownBy(() -> LoRAAdapter.of(adapted)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc1\"");
        assertThatThrownBy(() -> adapter.applyTo(adapted)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc1\"");
    }

    private static LoRAAdapter adapter(ComputationGraph base, LoRAConfig.Builder config) {
        ComputationGraph adapted = LoRA.apply(base, config.build());
        Networks.randomizeAdapters(adapted.paramTable(), 9);
        return LoRAAdapter.of(adapted);
    }

    private static void applyingChangesNothing(LoRAAdapter adapter, Model network, String... reasons) {
        double[] params = Models.params(network);
        double[] outputs = Models.outputs(network);

        assertThatThrownBy(() -> adapter.applyTo(network)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(reasons);

        assertThat(Models.params(network)).isEqualTo(params);
        assertThat(Models.outputs(network)).isEqualTo(outputs);
    }
}
