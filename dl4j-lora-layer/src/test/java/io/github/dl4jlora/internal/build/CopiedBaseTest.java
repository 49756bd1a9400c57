package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.File;
import java.lang.ref.Reference;
import java.lang.ref.WeakReference;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** {@code copyBase(true)} detaches replicas too: what is rebuilt from JSON finds the copy, never the live base. */
class CopiedBaseTest {

    @TempDir
    Path folder;

    @Test
    void aReplicaStandsOnTheCopyWhateverBecomesOfTheBase() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).copyBase(true).build());
        INDArray input = Networks.random(DataType.FLOAT, 5, 4, Networks.IN);
        INDArray expected = adapted.outputSingle(input);
        ComputationGraph replica = new ComputationGraph(ComputationGraphConfiguration.fromJson(adapted.getConfiguration()
                .toJson()));
        replica.init(adapted.params().dup(), false);

        base.fit(Networks.data(DataType.FLOAT, 8, 1));

        assertThat(replica.outputSingle(input)).isEqualTo(expected);
        assertThat(adapted.outputSingle(input)).isEqualTo(expected);
    }

    /** A checkpoint does not hold the copy. Once that is gone, a new one is taken of what is found or attached. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aRestoredCheckpointTakesACopyOfItsOwn(boolean attached) throws Exception {
        ComputationGraph base = Networks.trainedGraph();
        base.fit(Networks.data(DataType.FLOAT, 8, 4242));
        File file = folder.resolve("checkpoint.zip").toFile();
        INDArray input = Networks.random(DataType.FLOAT, 5, 4, Networks.IN);
        INDArray expected = checkpoint(base, file, input);
        ComputationGraph asItWas = base.clone();
        ComputationGraph neighbour = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());

        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file, true);
        if (attached) {
            LoRA.attach(restored, asItWas);
        }
        Reference.reachabilityFence(neighbour);
        base.fit(Networks.data(DataType.FLOAT, 8, 1));
        asItWas.params().close();

        assertThat(restored.outputSingle(input)).isEqualTo(expected);
        assertThat(LoRA.unload(restored).numParams()).isEqualTo(base.numParams());
        restored.fit(Networks.data(DataType.FLOAT, 8, 2));
        assertThat(LoRA.merge(restored).outputSingle(input)).satisfies(merged ->
                assertThat(Networks.difference(merged, restored.outputSingle(input))).isLessThan(1e-6));
    }

    /** Writes a network on a copy, of which nothing is left. */
    private static INDArray checkpoint(ComputationGraph base, File file, INDArray input) throws Exception {
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").copyBase(true).build());
        adapted.fit(Networks.data(DataType.FLOAT, 8, 3));
        ModelSerializer.writeModel(adapted, file, true);
        INDArray output = adapted.outputSingle(input);
        WeakReference<ComputationGraph> gone = new WeakReference<>(adapted);
        adapted = null;
        for (int i = 0; i < 200 && gone.get() != null; i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertThat(gone.get()).isNull();
        return output;
    }
}
