package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.transformers.Cosine;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Tiny;
import io.github.dl4jlora.transformers.Transformer;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

@ExtendWith(DoublePrecision.class)
class InBatchNegativesTest {

    private static final IActivation IDENTITY = new ActivationIdentity();
    private static final double STEP = 1e-6;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    private static INDArray embeddings() {
        return Nd4j.createFromArray(new Random(5).doubles(24, -2, 2).toArray()).reshape(8, 3);
    }

    private static INDArray groups(double... ofPairs) {
        INDArray once = Nd4j.createFromArray(ofPairs).reshape(ofPairs.length, 1);
        return Nd4j.concat(0, once, once);
    }

    /** With no array and no trick. */
    private static double byHand(double[][] embeddings, double[] groups, double scale, int row) {
        int pairs = embeddings.length / 2;
        boolean query = row < pairs;
        int own = query ? row : row - pairs;
        double others = 0;
        double match = 0;
        for (int pair = 0; pair < pairs; pair++) {
            double score = Math.exp(scale * Cosine.of(embeddings[row], embeddings[query ? pairs + pair : pair]));
            match = pair == own ? score : match;
            others += pair != own && groups[pair] != groups[own] ? score : 0;
        }
        return -Math.log(match / (match + others));
    }

    @Test
    void eachRowsScoreIsThatOfTheFormula() {
        double[] groups = {1, 2, 1, 3};
        INDArray scores = new InBatchNegatives(3).computeScoreArray(groups(groups), embeddings(), IDENTITY, null);

        assertThat(scores.shape()).containsExactly(8, 1);
        double[][] rows = embeddings().toDoubleMatrix();
        for (int row = 0; row < 8; row++) {
            assertThat(scores.getDouble(row)).isCloseTo(byHand(rows, groups, 3, row), within(1e-12));
        }
        double sum = scores.sumNumber().doubleValue();
        assertThat(new InBatchNegatives(3).computeScore(groups(groups), embeddings(), IDENTITY, null, false)).isEqualTo(sum);
        assertThat(new InBatchNegatives(3).computeScore(groups(groups), embeddings(), IDENTITY, null, true)).isEqualTo(sum / 8);
    }

    @ParameterizedTest
    @ValueSource(strings = {"identity", "tanh"})
    void theGradientIsThatOfFiniteDifferences(String name) {
        IActivation activation = name.equals("tanh") ? new ActivationTanH() : IDENTITY;
        InBatchNegatives loss = new InBatchNegatives(5);
        INDArray labels = groups(1, 2, 1, 3);
        INDArray x = embeddings();
        INDArray gradient = loss.computeGradient(labels, x, activation, null);

        assertThat(x).isEqualTo(embeddings());
        assertThat(loss.computeGradientAndScore(labels, x, activation, null, true).getSecond()).isEqualTo(gradient);
        for (int i = 0; i < x.length(); i++) {
            INDArray above = embeddings();
            above.putScalar(i, above.getDouble(i) + STEP);
            INDArray below = embeddings();
            below.putScalar(i, below.getDouble(i) - STEP);
            double slope = (loss.computeScore(labels, above, activation, null, false)
                    - loss.computeScore(labels, below, activation, null, false)) / (2 * STEP);
            assertThat(gradient.getDouble(i)).isCloseTo(slope, within(1e-7));
        }
    }

    static Stream<InBatchNegatives> settings() {
        return IntStream.rangeClosed(0, 3).boxed().flatMap(hard -> Stream.of(new InBatchNegatives(3).withHardNegatives(hard)))
                .flatMap(loss -> Stream.of(loss, loss.oneDirection(), loss.withDimensions(3, 1),
                        loss.oneDirection().withDimensions(new int[]{2, 3}, new double[]{0.5, 2})));
    }

    /** Three pairs, the first and the third of one group; the first hard negative is the second document. */
    private static INDArray groupsFor(InBatchNegatives loss) {
        double[] groups = new double[3 * (2 + loss.getHardNegatives())];
        for (int row = 0; row < groups.length; row++) {
            groups[row] = row < 6 ? new double[]{1, 2, 1}[row % 3] : row == 6 ? 2 : row;
        }
        return Nd4j.createFromArray(groups).reshape(groups.length, 1);
    }

    @ParameterizedTest
    @MethodSource("settings")
    void everySettingHasTheGradientOfFiniteDifferences(InBatchNegatives loss) {
        INDArray labels = groupsFor(loss);
        INDArray x = Nd4j.createFromArray(new Random(5).doubles(3 * labels.length(), -2, 2).toArray())
                .reshape(labels.length(), 3);
        INDArray gradient = loss.computeGradient(labels, x, IDENTITY, null);
        for (int i = 0; i < x.length(); i++) {
            INDArray above = x.dup();
            above.putScalar(i, above.getDouble(i) + STEP);
            INDArray below = x.dup();
            below.putScalar(i, below.getDouble(i) - STEP);
            double slope = (loss.computeScore(labels, above, IDENTITY, null, false)
                    - loss.computeScore(labels, below, IDENTITY, null, false)) / (2 * STEP);
            assertThat(gradient.getDouble(i)).isCloseTo(slope, within(1e-7));
        }
    }

    @Test
    void configurationsKeepEverySettingAndOldOnesHaveDefaults() {
        InBatchNegatives all = InBatchNegatives.ofTemperature(0.05).withHardNegatives(2).oneDirection()
                .withDimensions(new int[]{3, 1}, new double[]{1, 0.5});
        ComputationGraphConfiguration kept = graph(all).build();
        String json = kept.toJson();
        assertThat(ComputationGraphConfiguration.fromJson(json)).isEqualTo(kept);
        assertThat(all).hasToString("InBatchNegatives(scale=20.0, hardNegatives=2, oneDirection, dimensions=[3, 1], "
                + "weights=[1.0, 0.5])");
        String old = graph(new InBatchNegatives(20)).build().toJson()
                .replaceAll(",\\s*\"(hardNegatives|symmetric|dimensions|weights)\"\\s*:\\s*(\\[[^]]*]|[^,}\\s]*)", "");
        assertThat(old).contains("InBatchNegatives").doesNotContain("hardNegatives", "symmetric", "dimensions", "weights\"");
        assertThat(ComputationGraphConfiguration.fromJson(old)).isEqualTo(graph(new InBatchNegatives(20)).build());
        assertThat(new InBatchNegatives(20)).isNotEqualTo(new InBatchNegatives(20).oneDirection())
                .isNotEqualTo(new InBatchNegatives(20).withDimensions(3)).hasToString("InBatchNegatives(scale=20.0)");
    }

    /** An encoder that reads four texts: two queries and their documents. */
    private static ComputationGraph encoder() {
        ComputationGraph network = Tiny.initialised(graph(new InBatchNegatives(4)).build());
        network.params().addi(Nd4j.randn(DataType.DOUBLE, network.params().shape()).muli(0.3));
        return network;
    }

    private static ComputationGraphConfiguration.GraphBuilder graph(InBatchNegatives loss) {
        ComputationGraphConfiguration.GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3)
                .dataType(DataType.DOUBLE).updater(new NoOp()).graphBuilder(), Tiny.meanPooling().shape(), Head.meanPooling());
        graph.addLayer("contrast", new LossLayer.Builder(loss).activation(IDENTITY).build(), Transformer.POOLING)
                .setOutputs("contrast");
        return graph;
    }

    private static INDArray fourTexts() {
        return Nd4j.createFromArray(new double[][]{{1, 9, 4, 9, 2}, {3, 6, 2, 0, 0}, {8, 0, 0, 0, 0}, {7, 5, 3, 0, 0}});
    }

    @Test
    void adaptersUnderItHaveTheGradientThatFiniteDifferencesShow() {
        ComputationGraph adapted = LoRA.apply(encoder(), LoRAConfig.builder().rank(2).alpha(2)
                .targets("encoder\\.layer\\.0\\..*\\.(query|value)").updater(new NoOp()).build());
        adapted.params().addi(Nd4j.randn(DataType.DOUBLE, adapted.params().shape()).muli(0.3));

        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.GraphConfig().net(adapted)
                .inputs(new INDArray[]{fourTexts()}).labels(new INDArray[]{groups(1, 2)})
                .epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-9).print(GradientCheckUtil.PrintMode.FAILURES_ONLY)))
                .isTrue();
    }

    @Test
    void dl4jsScoreIsTheMeanOverRowsAndConfigurationsKeepTheLoss() {
        ComputationGraph network = encoder();
        INDArray pooled = network.outputSingle(fourTexts());
        double mean = new InBatchNegatives(4).computeScore(groups(1, 2), pooled, IDENTITY, null, true);

        assertThat(network.score(new DataSet(fourTexts(), groups(1, 2)))).isCloseTo(mean, within(1e-12));
        assertThat(ComputationGraphConfiguration.fromJson(network.getConfiguration().toJson()))
                .isEqualTo(network.getConfiguration());
    }

    @Test
    void aPairAloneAndAVectorOfLengthZeroAreNoTrouble() {
        InBatchNegatives loss = new InBatchNegatives(20);
        assertThat(loss.computeScore(groups(1), embeddings().getRows(0, 1), IDENTITY, null, false)).isZero();

        INDArray withZero = embeddings();
        withZero.putRow(2, Nd4j.zeros(DataType.DOUBLE, 3));
        INDArray gradient = loss.computeGradient(groups(1, 2, 3, 4), withZero, IDENTITY, null);
        assertThat(gradient.amaxNumber().doubleValue()).isLessThan(100);
        assertThat(gradient.getRow(2).amaxNumber().doubleValue()).isZero();
    }

    @Test
    void whatIsNoBatchOfPairsIsRefusedByName() {
        InBatchNegatives loss = new InBatchNegatives(20);
        INDArray x = embeddings();
        assertThatThrownBy(() -> loss.computeScore(groups(1, 2), x, IDENTITY, null, true))
                .hasMessageContainingAll("[8, 3]", "[4, 1]", "[2·pairs, 1]");
        assertThatThrownBy(() -> loss.computeScore(Nd4j.ones(7, 1), x.getRows(0, 1, 2, 3, 4, 5, 6), IDENTITY, null, true))
                .hasMessageContaining("[7, 3]");
        assertThatThrownBy(() -> loss.computeGradient(Nd4j.createFromArray(1., 2, 3, 4, 1, 2, 4, 3).reshape(8, 1), x, IDENTITY,
                null)).hasMessageContainingAll("Query 2 is of group 3.0", "row 6", "4.0");
        assertThatThrownBy(() -> loss.computeScore(groups(1, 2, 3, 4), x, IDENTITY, Nd4j.ones(8, 1), true))
                .hasMessageContaining("no mask");
        for (double scale : new double[]{0, -1, Double.NaN, 2e4}) {
            assertThatThrownBy(() -> new InBatchNegatives(scale)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("scale is " + scale);
        }
        for (double temperature : new double[]{0, -1, Double.NaN, 1e-5, Double.POSITIVE_INFINITY}) {
            assertThatThrownBy(() -> InBatchNegatives.ofTemperature(temperature)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("temperature is " + temperature);
        }
    }

    /** From 2²⁴ on FLOAT has every other whole number, and 16777217 is 16777216. */
    @Test
    void groupsThatTheirTypeDoesNotTellApartAreRefused() {
        InBatchNegatives loss = new InBatchNegatives(20);
        INDArray groups = groups(1, 2, 3, 16777216);
        assertThat(loss.computeScore(groups, embeddings(), IDENTITY, null, true)).isPositive();
        assertThatThrownBy(() -> loss.computeScore(groups.castTo(DataType.FLOAT), embeddings(), IDENTITY, null, true))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Row 3", "1.6777216E7", "FLOAT", "16777216 on");
    }

    @Test
    void hardNegativesAndDimensionsThatDoNotFitAreRefusedByName() {
        InBatchNegatives loss = new InBatchNegatives(20);
        INDArray x = embeddings();
        assertThatThrownBy(() -> loss.withHardNegatives(-1)).hasMessageContaining("hardNegatives is -1");
        assertThatThrownBy(() -> loss.withDimensions(3, 0)).hasMessageContaining("[3, 0]");
        assertThatThrownBy(() -> loss.withDimensions(new int[]{3}, new double[]{1, 2}))
                .hasMessageContainingAll("1 dimensions", "2 weights");
        assertThatThrownBy(() -> loss.withDimensions(new int[]{3}, new double[]{0})).hasMessageContaining("[0.0]");
        assertThatThrownBy(() -> loss.withDimensions(4).computeScore(groups(1, 2, 3, 4), x, IDENTITY, null, true))
                .hasMessageContainingAll("to 4 numbers", "they have 3");
        assertThatThrownBy(() -> loss.withHardNegatives(1).computeScore(groups(1, 2, 3, 4), x, IDENTITY, null, true))
                .hasMessageContainingAll("[8, 3]", "[3·pairs, hidden]", "1 hard negatives");
        INDArray ofItsQuery = Nd4j.createFromArray(1., 2, 1, 2, 3, 4, 5, 2).reshape(8, 1);
        assertThatThrownBy(() -> loss.withHardNegatives(2).computeScore(ofItsQuery, x, IDENTITY, null, true))
                .hasMessageContainingAll("Row 7", "query 1", "2.0");
    }
}
