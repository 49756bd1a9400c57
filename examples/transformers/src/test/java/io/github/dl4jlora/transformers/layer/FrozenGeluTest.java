package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

/** A frozen layer that keeps slopes, given errors from outside. */
class FrozenGeluTest {

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    private static ComputationGraph headless(InputType in, Layer adapted, Layer frozen) {
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.FLOAT)
                .updater(new NoOp()).graphBuilder().addInputs("in").setInputTypes(in).addLayer("adapted", adapted, "in")
                .addLayer("frozen", frozen, "adapted").setOutputs("frozen").build());
        base.init();
        return LoRA.apply(base, LoRAConfig.builder().rank(2).targets("adapted").updater(new NoOp()).build());
    }

    private static void refuses(ComputationGraph graph, INDArray x, long... shape) {
        INDArray output = graph.feedForward(new INDArray[]{x}, true, false).get("frozen");

        assertThat(output.shape()).isNotEqualTo(shape);
        assertThatIllegalStateException().isThrownBy(() -> graph.backpropGradient(Nd4j.rand(DataType.FLOAT, shape)))
                .withMessageContaining("Shapes must be equal");
    }

    /** Slopes that there are none of would be read from beyond the array. */
    @Test
    void errorsForMoreRowsAreRefused() {
        Layer below = new DenseLayer.Builder().nOut(7).activation(Activation.IDENTITY).build();
        refuses(headless(InputType.feedForward(5), below, new DenseLayer.Builder().nOut(33).activation(new ErfGelu()).build()),
                Nd4j.rand(DataType.FLOAT, 3, 5), 4, 33);
    }

    /** As many as there are slopes, and no product objects. */
    @Test
    void errorsWithTheirChannelsInAnotherPlaceAreRefused() {
        ConvolutionLayer.Builder[] layers = {new ConvolutionLayer.Builder(1, 1), new ConvolutionLayer.Builder(1, 1)};
        for (ConvolutionLayer.Builder layer : layers) {
            layer.nOut(3).dataFormat(CNN2DFormat.NHWC);
        }
        refuses(headless(InputType.convolutional(2, 3, 3, CNN2DFormat.NHWC), layers[0].build(),
                layers[1].activation(new ErfGelu()).build()), Nd4j.rand(DataType.FLOAT, 1, 2, 3, 3), 1, 3, 2, 3);
    }
}
