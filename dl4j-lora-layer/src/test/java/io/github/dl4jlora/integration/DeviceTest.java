package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** What the CPU tests show, once on an NVIDIA device: run with {@code -Pcuda}. */
@Tag("cuda")
class DeviceTest {

    @Test
    void adaptsTrainsAndMergesOnTheDevice() {
        // Before any call to ND4J, whose CUDA backend does not load without a device.
        assumeTrue(Files.exists(Path.of("/dev/nvidia0")), "Skipped: no NVIDIA device on this machine");
        assertThat(Nd4j.getBackend().getClass().getSimpleName()).contains("Cublas");
        ComputationGraph base = Networks.trainedGraph();
        INDArray before = base.params().dup();
        INDArray input = Networks.random(DataType.FLOAT, 5, 8, Networks.IN);
        INDArray expected = base.outputSingle(input);
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(2).build());
        assertThat(Networks.difference(adapted.outputSingle(input), expected)).isLessThan(1e-5);

        for (int i = 0; i < 5; i++) {
            adapted.fit(Networks.data(DataType.FLOAT, 8, i));
        }

        assertThat(Networks.difference(adapted.outputSingle(input), expected)).isGreaterThan(1e-5);
        assertThat(base.params()).isEqualTo(before);
        assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(input), adapted.outputSingle(input))).isLessThan(1e-5);
    }
}
