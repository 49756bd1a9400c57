package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.Scaling;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the code on the guide's pages about bases in fewer bits; {@link GuideTest} looks here for its lines. */
class QuantizedGuideTest {

    @Test
    void aStartFromWhatQuantisingLoses() {
        ComputationGraph base = Networks.trainedGraph();
        INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);
        LoRAConfig loftQ = LoRAConfig.builder().rank(4).alpha(4).scaling(Scaling.ALPHA_OVER_RANK)
                .quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ).pissaIterations(4).build();

        INDArray plain = LoRA.apply(base, loftQ.toBuilder().loraInit(LoRAInit.KAIMING_UNIFORM).pissaIterations(0).build())
                .outputSingle(input);
        INDArray original = base.outputSingle(input);
        assertThat(original.distance2(LoRA.apply(base, loftQ).outputSingle(input))).isLessThan(original.distance2(plain));
    }
}
