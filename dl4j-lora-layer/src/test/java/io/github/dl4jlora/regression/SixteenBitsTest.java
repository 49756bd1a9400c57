package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Map;

import static io.github.dl4jlora.Gradients.of;
import static org.assertj.core.api.Assertions.assertThat;

/** Numbers of 16 bits, and numbers that left their range. */
class SixteenBitsTest {

    /** Magnitude and norm have to be rounded alike, else their ratio is off by a unit in the last place. */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "HALF", "BFLOAT16"})
    void freshDoRAComputesWhatTheBaseComputesBitForBit(DataType type) {
        MultiLayerNetwork base = ((MultiLayerNetwork) Stacks.of(false, DataType.FLOAT, InputType.feedForward(64),
                new DenseLayer.Builder().nOut(32).activation(Activation.IDENTITY).name("fc").build(), Stacks.head()))
                .convertDataType(type);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").variant(new DoRA()).build());
        INDArray input = Networks.random(type, 1, 8, 64);

        assertThat(Networks.difference(tuned.output(input), base.output(input))).isZero();
        assertThat(Networks.difference(LoRA.merge(tuned).params(), base.params())).isZero();
    }

    /** HALF knows no number as small as 1e-15, which stood for a norm of zero: magnitude and norm were both 0. */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"HALF", "BFLOAT16"})
    void aColumnOfZerosIsNoNumberByZero(DataType type) {
        MultiLayerNetwork base = ((MultiLayerNetwork) Stacks.of(false, DataType.FLOAT, InputType.feedForward(6),
                new DenseLayer.Builder().nOut(4).name("fc").build(), Stacks.head())).convertDataType(type);
        base.getParam("0_W").getColumn(1).assign(0);
        INDArray input = Networks.random(type, 1, 3, 6);

        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").variant(new DoRA()).build());

        assertThat(Networks.difference(tuned.output(input), base.output(input))).isZero();
        assertThat(Networks.difference(LoRA.merge(tuned).output(input), base.output(input))).isZero();
    }

    /**
     * Effective weights are W + ΔW in the network's own type: of weights near 1 a ΔW of 1e-4 is lost in 16 bits, and with
     * it all that is learned until ΔW is larger. A low-rank path has no such threshold.
     */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"HALF", "BFLOAT16"})
    void effectiveWeightsOfSixteenBitsAreWarnedOf(DataType type) {
        MultiLayerNetwork base = ((MultiLayerNetwork) Stacks.of(false, DataType.FLOAT, InputType.recurrent(4),
                new LSTM.Builder().nOut(4).name("x").build(), Stacks.sequenceHead())).convertDataType(type);
        try (LogCapture log = LogCapture.ofLibrary()) {
            LoRA.apply(base, LoRAConfig.builder().rank(2).targets("x").build());

            assertThat(log.messages()).anySatisfy(message -> assertThat(message).contains("\"x", type.toString()));
        }
    }

    /** DL4J's ReLU gives zero where the unit is dead, whatever comes from above; so 0 · infinity must not be computed. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void deadReLUPassesNothingOnOfAnInfiniteGradient(boolean graph) {
        assertDead(graph, InputType.feedForward(3),
                new DenseLayer.Builder().nOut(4).activation(Activation.RELU).name("x").build(), 2, 3);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void deadReLUOfAConvolutionPassesNothingOnOfAnInfiniteGradient(boolean graph) {
        assertDead(graph, InputType.convolutional(3, 3, 3),
                new ConvolutionLayer.Builder(2, 2).nOut(4).activation(Activation.RELU).name("x").build(), 2, 3, 3, 3);
    }

    private static void assertDead(boolean graph, InputType input, Layer relu, long... shape) {
        Model base = Stacks.of(graph, DataType.FLOAT, input, relu, Stacks.head());
        Map<String, INDArray> table = base.paramTable();
        table.get(graph ? "x_b" : "0_b").assign(-1e4);
        table.get(graph ? "out_W" : "1_W").assign(1e30);
        MultiDataSet overflowing = new MultiDataSet(Networks.random(DataType.FLOAT, 1, shape),
                Networks.random(DataType.FLOAT, 2, 2, 2).muli(1e30));
        Map<String, INDArray> stock = of(Models.copy(base), overflowing);
        assertThat(stock.get(graph ? "x_W" : "0_W").amaxNumber().doubleValue()).as("of the stock network").isZero();

        Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets("x").updater(new Sgd(0.1)).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);

        of(tuned, overflowing).forEach((name, gradient) ->
                assertThat(gradient.amaxNumber().doubleValue()).as(name).isZero());
    }
}
