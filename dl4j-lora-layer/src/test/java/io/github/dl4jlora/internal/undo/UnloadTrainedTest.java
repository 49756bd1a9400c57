package io.github.dl4jlora.internal.undo;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.within;

/** What unload gives for layers that were trained in full: the base's values, or a refusal. */
class UnloadTrainedTest {

    @TempDir
    private Path directory;

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void theBasesValuesComeBack(Kind kind) {
        Model base = kind.base();
        Model tuned = trained(base, kind, false);

        assertThat(Models.params(Models.unload(tuned))).containsExactly(Models.params(base));
        assertThat(Models.params(Models.unload(Models.copy(tuned)))).as("of a clone").containsExactly(Models.params(base));
        assertThat(Models.outputs(Models.merge(tuned))).hasSize(15).isNotEqualTo(Models.outputs(base));
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void aCopiedBaseIsCopiedForThemToo(Kind kind) {
        Model base = kind.base();
        double[] before = Models.params(base);
        Model tuned = trained(base, kind, true);

        Models.fit(base, 9);

        assertThat(Models.params(Models.unload(tuned))).containsExactly(before);
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void savedAndRestoredNetworksGiveThemBack(Kind kind) throws IOException {
        Model base = kind.base();
        Model tuned = trained(base, kind, false);
        Path whole = directory.resolve("whole.zip");
        Path checkpoint = directory.resolve("checkpoint.zip");
        LoRA.save(tuned, whole, true);
        ModelSerializer.writeModel(tuned, checkpoint.toFile(), true);

        assertThat(BaseValues.everythingFrozen(tuned)).as("fc1, fc2, out").hasSize(3);
        Model restored = kind.restore(checkpoint.toFile(), true);
        Models.attach(restored, base);
        assertThat(Models.params(Models.unload(restored))).containsExactly(Models.params(base));
        assertThat(Models.params(Models.unload(kind.load(whole)))).containsExactly(Models.params(base));
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void aBaseWhoseTrainedLayerMovedIsRefusedNamingIt(Kind kind) {
        Model base = kind.base();
        Model tuned = trained(base, kind, false);

        base.paramTable().get(kind.graph ? "out_W" : "2_W").addi(1);

        assertThatIllegalStateException().isThrownBy(() -> Models.unload(tuned))
                .withMessageContainingAll("\"out\"", "have changed");
        assertThat(Models.outputs(Models.merge(tuned))).as("does not need it")
                .containsExactly(Models.outputs(tuned), within(1e-6));
    }

    @ParameterizedTest
    @EnumSource(names = ".*_EMBEDDED", mode = EnumSource.Mode.MATCH_ALL)
    void anEmbeddedNetworkHasThemNot(Kind kind) {
        Model tuned = trained(kind.base(), kind, false);

        assertThatIllegalStateException().isThrownBy(() -> Models.unload(tuned))
                .withMessageContainingAll("its layers \"out\" are trained in full", "Use the base network itself", "LoRA.merge");
    }

    @Test
    void aNetworkOfAnOlderVersionSaysNothingOfThem() {
        ComputationGraph base = (ComputationGraph) Kind.GRAPH_SHARED.base();
        ComputationGraph tuned = (ComputationGraph) trained(base, Kind.GRAPH_SHARED, false);
        String json = tuned.getConfiguration().toJson();
        String old = json.replaceAll(",\\s*\"trainedInFull\"\\s*:\\s*\\{[^{}]*\\{[^{}]*\\}[^{}]*\\}", "");
        assertThat(json).contains("trainedInFull");
        assertThat(old).doesNotContain("trainedInFull");
        ComputationGraph restored = new ComputationGraph(ComputationGraphConfiguration.fromJson(old));
        restored.init(tuned.params().dup(), false);

        assertThatIllegalStateException().isThrownBy(() -> LoRA.unload(restored)).withMessageContaining("\"out\"");
        assertThat(Models.outputs(restored)).isEqualTo(Models.outputs(tuned));
    }

    private static Model trained(Model base, Kind kind, boolean copied) {
        Model tuned = Models.apply(base, config(kind).copyBase(copied).build());
        Models.fitSteps(tuned, 0, 3);
        return tuned;
    }

    private static LoRAConfig.Builder config(Kind kind) {
        return kind.config().targets("fc.").trainable("out");
    }
}
