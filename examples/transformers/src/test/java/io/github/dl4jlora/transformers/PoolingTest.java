package io.github.dl4jlora.transformers;

import io.github.dl4jlora.DoublePrecision;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Every way to make one vector of a text, on texts of several lengths. */
@ExtendWith(DoublePrecision.class)
class PoolingTest {

    private static final Tiny TINY = Tiny.meanPooling();
    private static final int[] LENGTHS = {5, 3, 1};
    private static final double STEP = 1e-6;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(28);
    }

    private static ComputationGraph network(Pooling... modes) {
        return network(TINY.shape(), modes);
    }

    private static ComputationGraph network(TransformerShape shape, Pooling... modes) {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).graphBuilder(), shape, Head.tokenVectors());
        String rows = Transformer.output(shape, Head.tokenVectors());
        String pooled = Pooling.addTo(graph, shape, rows, modes);
        graph.addLayer("own", new OutputLayer.Builder(LossFunction.MCXENT).nIn((long) modes.length * shape.hidden())
                .nOut(Tiny.CLASSES).activation(Activation.SOFTMAX).build(), pooled);
        ComputationGraph network = Tiny.initialised(graph.setOutputs("own", rows, pooled).build());
        network.params().addi(Nd4j.randn(DataType.DOUBLE, network.params().shape()).muli(0.3));
        return network;
    }

    /** As sentence-transformers' class Pooling computes it, from the vectors of one text without its padding. */
    private static INDArray expected(Pooling mode, INDArray text) {
        long tokens = text.size(0);
        INDArray places = Nd4j.linspace(1, tokens, tokens, DataType.DOUBLE).reshape(tokens, 1);
        return switch (mode) {
            case FIRST_TOKEN -> text.getRow(0);
            case LAST_TOKEN -> text.getRow(tokens - 1);
            case MAXIMUM -> text.max(0);
            case MEAN -> text.mean(0);
            case MEAN_SQRT_LENGTH -> text.sum(0).div(Math.sqrt(tokens));
            case WEIGHTED_MEAN -> text.mulColumnVector(places).sum(0).div(places.sumNumber());
        };
    }

    private static INDArray expected(Pooling mode, INDArray rows, int text) {
        int[] tokens = new int[LENGTHS[text]];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = text * 5 + i;
        }
        return expected(mode, rows.getRows(tokens));
    }

    @ParameterizedTest
    @EnumSource
    void itIsTheFormulaOnTheTokensThatAreNoPadding(Pooling mode) {
        INDArray[] outputs = network(mode).output(TINY.ids(DataType.DOUBLE));
        for (int text = 0; text < LENGTHS.length; text++) {
            assertThat(outputs[2].getRow(text).distance2(expected(mode, outputs[1], text))).isLessThan(1e-12);
        }
    }

    @Test
    void severalStandSideBySideInTheOrderGiven() {
        ComputationGraph network = network(Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.FIRST_TOKEN, Pooling.MAXIMUM);
        INDArray[] outputs = network.output(TINY.ids(DataType.DOUBLE));
        INDArray expected = Nd4j.hstack(expected(Pooling.LAST_TOKEN, outputs[1], 1), expected(Pooling.MEAN, outputs[1], 1),
                expected(Pooling.FIRST_TOKEN, outputs[1], 1), expected(Pooling.MAXIMUM, outputs[1], 1));

        assertThat(outputs[2].getRow(1).distance2(expected)).isLessThan(1e-12);
    }

    /** GPT-2's token that ends a text is often its padding, too; a mask tells them apart. */
    @Test
    void theLastTokenIsTheLastOfTheMaskWhateverItsId() {
        ComputationGraph network = network(Tiny.shape(Family.GPT2).padded(10), Pooling.LAST_TOKEN);
        INDArray ids = Nd4j.createFromArray(new double[][] {{5, 6, 10, 10}, {10, 7, 8, 9}});
        network.setLayerMaskArrays(new INDArray[] {Nd4j.createFromArray(new double[][] {{1, 1, 1, 0}, {0, 1, 1, 1}})}, null);
        INDArray[] outputs = network.output(ids);

        assertThat(outputs[2].getRow(0).distance2(outputs[1].getRow(2))).isZero();
        assertThat(outputs[2].getRow(1).distance2(outputs[1].getRow(7))).isZero();
    }

    @Test
    void noneIsRefused() {
        assertThatThrownBy(PoolingTest::network).isInstanceOf(IllegalArgumentException.class).hasMessageContaining("no pooling");
    }

    @ParameterizedTest
    @EnumSource
    void itsGradientIsThatOfFiniteDifferences(Pooling mode) {
        ComputationGraphConfiguration same = ComputationGraphConfiguration.fromJson(network(mode).getConfiguration().toJson());
        same.setNetworkOutputs(List.of("own"));
        ComputationGraph network = Tiny.initialised(same);
        network.params().addi(Nd4j.randn(DataType.DOUBLE, network.params().shape()).muli(0.3));
        DataSet batch = new DataSet(TINY.ids(DataType.DOUBLE), TINY.labels(DataType.DOUBLE));
        network.setInputs(batch.getFeatures());
        network.setLabels(batch.getLabels());
        network.computeGradientAndScore();
        INDArray gradient = network.gradient().gradient().dup();
        for (int i = 0; i < 5; i++) {
            INDArray direction = Nd4j.randn(DataType.DOUBLE, network.params().shape()).muli(STEP);
            network.params().addi(direction);
            double above = network.score(batch, true);
            network.params().subi(direction.mul(2));
            double below = network.score(batch, true);
            network.params().addi(direction);
            double shown = (above - below) / 2;
            assertThat(gradient.reshape(direction.shape()).mul(direction).sumNumber().doubleValue() / LENGTHS.length)
                    .isCloseTo(shown, within(1e-5 * Math.abs(shown) + 1e-8 * STEP));
        }
    }
}
