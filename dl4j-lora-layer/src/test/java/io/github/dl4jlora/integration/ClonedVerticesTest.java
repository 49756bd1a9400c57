package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;

/** DL4J's clones of some vertices lose their settings; those in adapted networks keep them. */
class ClonedVerticesTest {

    private static ConvolutionLayer convolution(int nIn, int nOut) {
        return new ConvolutionLayer.Builder(1, 1).nIn(nIn).nOut(nOut).dataFormat(CNN2DFormat.NHWC).build();
    }

    @Test
    void aCloneMergesChannelsThatComeLastAboveAdaptedLayers() {
        MergeVertex merge = new MergeVertex();
        merge.setMergeAxis(3);
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("a", convolution(3, 2), "in").addLayer("b", convolution(3, 4), "in").addVertex("merge", merge, "a", "b")
                .addLayer("out", convolution(6, 1), "merge").setOutputs("out").build());
        base.init();
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(1).targets("a", "b").seed(1).build());
        Networks.randomizeAdapters(tuned.paramTable(), 1);
        INDArray x = Networks.random(DataType.FLOAT, 2, 2, 4, 4, 3);
        INDArray expected = tuned.outputSingle(x);

        assertThat(tuned.clone().outputSingle(x)).isEqualTo(expected);
        assertThat(Networks.difference(LoRA.merge(tuned.clone()).outputSingle(x), expected)).isLessThan(1e-5);
        assertThat(((MergeVertex) LoRA.unload(tuned.clone()).getConfiguration().getVertices().get("merge")).getMergeAxis())
                .isEqualTo(3);
    }
}
