package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What attach says of a base that does not fit. */
class AttachTest {

    private final ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build());

    @Test
    void anotherShapeIsNamed() {
        refused(baseOfWidth(Networks.HIDDEN + 1), "Layer \"fc1\"", "W[6,6]", "W[6,5]");
    }

    @Test
    void anotherDataTypeIsNamed() {
        refused(Networks.trainedGraph(DataType.DOUBLE), "Layer \"fc1\"", "DOUBLE W[6,5]", "FLOAT W[6,5]");
    }

    private void refused(ComputationGraph base, String... parts) {
        assertThatThrownBy(() -> LoRA.attach(adapted, base)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(parts);
    }

    private static ComputationGraph baseOfWidth(int width) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).activation(Activation.TANH).graphBuilder()
                .addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nIn(Networks.IN).nOut(width).build(), "in")
                .addLayer("fc2", new DenseLayer.Builder().nIn(width).nOut(Networks.HIDDEN).build(), "fc1")
                .addLayer("out", new OutputLayer.Builder().nIn(Networks.HIDDEN).nOut(Networks.OUT)
                        .activation(Activation.SOFTMAX).build(), "fc2")
                .setOutputs("out").build());
    }
}
