package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** rank, alpha, scaling, loraInit and loraDropout. */
class AdapterSettingsTest {

    private static final int IN = 64;
    private static final int RANK = 16;

    @ParameterizedTest
    @CsvSource({"ALPHA, 12", "ALPHA_OVER_RANK, 0.75", "ALPHA_OVER_SQRT_RANK, 3"})
    void scalingMakesTheFactorOfAlphaAndRank(Scaling scaling, double factor) {
        MultiLayerNetwork network = linear(lora().alpha(12).scaling(scaling));
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, IN);
        INDArray delta = network.getParam("0_A").mmul(network.getParam("0_B"));

        INDArray expected = x.mmul(network.getParam("0_W").add(delta.mul(factor)));

        assertThat(Networks.difference(network.output(x), expected)).isLessThan(1e-10);
    }

    @ParameterizedTest
    @CsvSource({"KAIMING_UNIFORM, 0.125", "KAIMING_UNIFORM_RANK, 0.25"})
    void uniformStartsFillTheirRange(LoRAInit init, double bound) {
        for (INDArray a : starts(init)) {
            assertThat(a.maxNumber().doubleValue()).isBetween(0.95 * bound, bound);
            assertThat(a.minNumber().doubleValue()).isBetween(-bound, -0.95 * bound);
            assertThat(a.meanNumber().doubleValue()).isCloseTo(0, within(0.1 * bound));
            assertThat(a.stdNumber().doubleValue()).isCloseTo(bound / Math.sqrt(3), within(0.05 * bound));
        }
    }

    @Test
    void gaussianStartsHaveADeviationOfOneOverRank() {
        for (INDArray a : starts(LoRAInit.GAUSSIAN)) {
            assertThat(a.meanNumber().doubleValue()).isCloseTo(0, within(0.1 / RANK));
            assertThat(a.stdNumber().doubleValue()).isCloseTo(1.0 / RANK, within(0.05 / RANK));
            assertThat(a.maxNumber().doubleValue()).isGreaterThan(2.0 / RANK);
        }
    }

    /** A of either layer, as a network of it starts. */
    private static INDArray[] starts(LoRAInit init) {
        MultiLayerNetwork dense = network(lora().loraInit(init).build());
        MultiLayerNetwork lone = network(new LowRankLayer.Builder().nIn(IN).nOut(4).rank(RANK).loraInit(init).build());
        assertThat(Twins.largest(dense.getParam("0_B"))).isZero();
        assertThat(Twins.largest(lone.getParam("0_B"))).isZero();
        return new INDArray[]{dense.getParam("0_A"), lone.getParam("0_A")};
    }

    @Test
    void startsDifferFromLayerToLayerAndRepeatWithTheSeed() {
        MultiLayerNetwork network = twoLayers();

        assertThat(network.getParam("0_A")).isEqualTo(twoLayers().getParam("0_A"));
        assertThat(network.getParam("0_A")).isNotEqualTo(network.getParam("1_A"));
    }

    private static MultiLayerNetwork twoLayers() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LoRADenseLayer.Builder().nIn(8).nOut(8).rank(2).build())
                .layer(new LoRADenseLayer.Builder().nIn(8).nOut(8).rank(2).build())
                .layer(new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build()).build());
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void loraDropoutKeepsTheMeanOfThePathAndLeavesTheDensePathAlone(Engine engine) {
        MultiLayerNetwork network = linear(lora().loraDropout(0.25).engine(engine));
        INDArray x = Nd4j.ones(DataType.DOUBLE, 5000, IN);
        INDArray inference = network.output(x);
        INDArray dense = x.mmul(network.getParam("0_W"));

        INDArray training = network.output(x, true);
        INDArray again = network.output(x, true);

        assertThat(training).isNotEqualTo(again);
        INDArray path = inference.sub(dense);
        double spread = training.sub(dense).std(0).maxNumber().doubleValue();
        assertThat(spread).isGreaterThan(0.1);
        assertThat(Networks.difference(training.sub(dense).mean(0), path.mean(0))).isLessThan(5 * spread / Math.sqrt(5000));
        assertThat(network.output(x)).isEqualTo(inference);
        network.getParam("0_B").assign(0);
        assertThat(network.output(x, true)).isEqualTo(network.output(x));
    }

    /** With one example and no other source of gradient, dA of a dropped input is zero and dx is that of W alone. */
    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void loraDropoutBackpropagatesThroughTheInputsItKept(Engine engine) {
        MultiLayerNetwork network = linear(lora().loraDropout(0.5).engine(engine));
        INDArray x = Networks.random(DataType.DOUBLE, 1, 1, IN);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 1, 4);
        INDArray a = network.getParam("0_A");
        INDArray b = network.getParam("0_B");
        INDArray w = network.getParam("0_W");

        Pair<Gradient, INDArray> both = network.calculateGradients(x, labels, null, null);

        INDArray da = both.getFirst().getGradientFor("0_A");
        INDArray keep = Nd4j.zeros(DataType.DOUBLE, 1, IN);
        for (int i = 0; i < IN; i++) {
            keep.putScalar(0, i, Twins.largest(da.getRow(i)) == 0 ? 0 : 2);
        }
        assertThat(keep.sumNumber().doubleValue()).isBetween(32.0, 96.0);
        INDArray dropped = x.mul(keep);
        INDArray dz = x.mmul(w).add(dropped.mmul(a).mmul(b).mul(0.5)).sub(labels).mul(2.0 / 4);
        assertThat(Networks.difference(da, dropped.transpose().mmul(dz).mmul(b.transpose()).mul(0.5))).isLessThan(1e-10);
        assertThat(Networks.difference(both.getFirst().getGradientFor("0_B"),
                a.transpose().mmul(dropped.transpose()).mmul(dz).mul(0.5))).isLessThan(1e-10);
        INDArray dx = dz.mmul(w.transpose()).add(dz.mmul(b.transpose()).mmul(a.transpose()).mul(0.5).mul(keep));
        assertThat(Networks.difference(both.getSecond(), dx)).isLessThan(1e-10);
    }

    private static LoRADenseLayer.Builder lora() {
        return new LoRADenseLayer.Builder().nIn(IN).nOut(4).rank(RANK).alpha(0.5).hasBias(false).activation(Activation.IDENTITY);
    }

    private static MultiLayerNetwork linear(LoRADenseLayer.Builder layer) {
        MultiLayerNetwork network = network(layer.build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        return network;
    }

    private static MultiLayerNetwork network(Layer layer) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).list().layer(layer)
                .layer(new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build()).build());
    }
}
