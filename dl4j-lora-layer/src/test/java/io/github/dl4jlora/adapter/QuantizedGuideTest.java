package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.Scaling;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the code on the guide's pages about bases in fewer bits; {@link GuideTest} looks here for its lines. */
class QuantizedGuideTest {

    private final ComputationGraph base = Networks.trainedGraph();

    @Test
    void aStartFromWhatQuantisingLoses() {
        INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);
        LoRAConfig loftQ = LoRAConfig.builder().rank(4).alpha(4).scaling(Scaling.ALPHA_OVER_RANK)
                .quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ).pissaIterations(4).build();

        INDArray plain = LoRA.apply(base, loftQ.toBuilder().loraInit(LoRAInit.KAIMING_UNIFORM).pissaIterations(0).build())
                .outputSingle(input);
        INDArray original = base.outputSingle(input);
        assertThat(original.distance2(LoRA.apply(base, loftQ).outputSingle(input))).isLessThan(original.distance2(plain));
    }

    @Test
    void quantise(@TempDir Path folder) throws IOException {
        LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .quantize(Quantization.INT8).build();
        ComputationGraph tuned = LoRA.apply(base, config);
        assertThat(LoRA.summary(tuned).toString()).contains("INT8");
        System.out.println(LoRA.merging(tuned).against(base).report());
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        adapter.applyTo(tuned, LoRAAdapter.ApplyOption.STRICT);
        read(folder.resolve("base.zip"), config);
        map(folder.resolve("base.mapped"));
    }

    private void read(Path file, LoRAConfig config) throws IOException {
        ModelSerializer.writeModel(base, file.toFile(), false);
        Model tuned = LoRA.loadQuantized(file, config);
        System.out.println(LoRA.summary(tuned));
    }

    private void map(Path file) throws IOException {
        ComputationGraph trained = this.base;
        LoRA.writeBase(trained, file, Quantization.INT8);
        Model base = LoRA.openBase(file);
        ComputationGraph tuned = LoRA.apply((ComputationGraph) base, LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).build());
        assertThat(tuned.numParams()).isPositive();
    }
}
