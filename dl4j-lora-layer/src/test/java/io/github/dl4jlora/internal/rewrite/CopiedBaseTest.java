package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;

/** {@code copyBase(true)} detaches replicas too: what is rebuilt from JSON finds the copy, never the live base. */
class CopiedBaseTest {

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
}
