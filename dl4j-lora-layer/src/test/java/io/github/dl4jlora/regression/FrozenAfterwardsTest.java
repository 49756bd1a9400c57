package io.github.dl4jlora.regression;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.content.Kind;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** An adapted layer that TransferLearning froze is adapted still: its A and B are part of the adapter. */
class FrozenAfterwardsTest {

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterHasTheFrozenLayersToo(Models.Kind kind) {
        assertThat(LoRAAdapter.of(frozen(kind, kind.base())).layers()).containsExactlyInAnyOrderElementsOf(
                LoRAAdapter.of(kind.adapt(kind.base())).layers());
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterTakenOutAndAppliedAgainComputesTheSame(Models.Kind kind, @TempDir Path folder) throws IOException {
        Model base = kind.base();
        Model frozen = frozen(kind, base);

        LoRAAdapter.of(frozen).save(folder);
        Model again = Models.with(base, LoRAAdapter.load(folder));

        assertThat(Models.outputs(again)).containsExactly(Models.outputs(frozen));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterIsAppliedToFrozenLayersToo(Models.Kind kind) {
        Model base = kind.base();
        Model other = kind.adapt(base);
        Models.fitSteps(other, 20, 40);
        Model frozen = frozen(kind, base);

        LoRAAdapter.of(other).applyTo(frozen);

        assertThat(Models.outputs(frozen)).containsExactly(Models.outputs(other));
    }

    /** Trained, then with its first layer in a FrozenLayer. */
    private static Model frozen(Models.Kind kind, Model base) {
        Model tuned = kind.adapt(base);
        Models.fitSteps(tuned, 0, 10);
        return tuned instanceof ComputationGraph graph
                ? new TransferLearning.GraphBuilder(graph).setFeatureExtractor("fc1").build()
                : new TransferLearning.Builder((MultiLayerNetwork) tuned).setFeatureExtractor(0).build();
    }
}
