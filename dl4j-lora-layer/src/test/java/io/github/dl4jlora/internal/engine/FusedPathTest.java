package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import static org.assertj.core.api.Assertions.assertThat;

/** What a path keeps of a forward pass is of use as long as the workspaces in which it lies are open. */
class FusedPathTest {

    private static final LayerWorkspaceMgr IN_WORKSPACE = LayerWorkspaceMgr.builder()
            .with(ArrayType.INPUT, "FUSED_PATH_TEST", WorkspaceConfiguration.builder().initialSize(1 << 16).build())
            .defaultNoWorkspace().build();

    private final INDArray x = Networks.random(DataType.FLOAT, 1, 4, Networks.IN);

    private static FusedPath path(LoRAConfig.Builder config) {
        MultiLayerNetwork adapted = LoRA.apply(Networks.trainedLayers(), config.rank(2).build());
        return new FusedPath((DenseRuntime) adapted.getLayer(0));
    }

    private boolean[] readyInsideAndAfter(FusedPath path) {
        INDArray z = Nd4j.zeros(DataType.FLOAT, 4, Networks.HIDDEN);
        boolean inside;
        try (MemoryWorkspace open = IN_WORKSPACE.notifyScopeEntered(ArrayType.INPUT)) {
            path.forward(x, z, true, IN_WORKSPACE);
            inside = path.isReady();
        }
        return new boolean[] {inside, path.isReady()};
    }

    /** dA needs the dropped x, which is gone with its workspace: the pass has to be computed again. */
    @Test
    void theDroppedInputIsLostWithItsWorkspace() {
        FusedPath path = path(LoRAConfig.builder().loraDropout(0.5));

        assertThat(readyInsideAndAfter(path)).containsExactly(true, false);

        path.forward(x, Nd4j.zeros(DataType.FLOAT, 4, Networks.HIDDEN), true, LayerWorkspaceMgr.noWorkspaces());
        assertThat(path.isReady()).as("outside of workspaces").isTrue();
        path.forget();
        assertThat(path.isReady()).isFalse();
    }

    @Test
    void withoutDropoutNothingLiesThere() {
        assertThat(readyInsideAndAfter(path(LoRAConfig.builder()))).containsExactly(true, true);
    }
}
