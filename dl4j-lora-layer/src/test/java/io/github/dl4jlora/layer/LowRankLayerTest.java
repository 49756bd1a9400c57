package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.engine.LowRankRuntime;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.TimeSeriesUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** The low-rank path as a layer of its own; the oracle is the algebra, spelled out. */
class LowRankLayerTest {

    private static final double S = 0.75;

    @Test
    void outputIsTheScaledProduct() {
        MultiLayerNetwork network = alone(layer());
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);

        INDArray expected = x.mmul(network.getParam("0_A")).mmul(network.getParam("0_B")).muli(S);

        assertThat(Networks.difference(network.output(x), expected)).isLessThan(1e-14);
    }

    @ParameterizedTest
    @EnumSource(value = WorkspaceMode.class, names = {"ENABLED", "NONE"})
    void anSgdStepTakesTheGradientOnceNotTwice(WorkspaceMode workspaces) {
        MultiLayerNetwork network = alone(layer(), workspaces);
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 4, Networks.OUT);
        for (int step = 0; step < 3; step++) {
            INDArray a = network.getParam("0_A").dup();
            INDArray b = network.getParam("0_B").dup();
            // MSE is the mean of squares over the outputs; the updater divides by the minibatch.
            INDArray dz = x.mmul(a).mmul(b).muli(S).subi(labels).muli(2.0 / Networks.OUT).divi(4);
            INDArray da = x.transpose().mmul(dz).mmul(b.transpose()).muli(S);
            INDArray db = a.transpose().mmul(x.transpose()).mmul(dz).muli(S);

            network.fit(x, labels);

            assertThat(Networks.difference(network.getParam("0_A"), a.sub(da.mul(0.1)))).isLessThan(1e-14);
            assertThat(Networks.difference(network.getParam("0_B"), b.sub(db.mul(0.1)))).isLessThan(1e-14);
        }
    }

    @Test
    void gradientOfItsInputIsRight() {
        MultiLayerNetwork network = alone(layer());
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 4, Networks.OUT);

        INDArray dx = network.calculateGradients(x, labels, null, null).getSecond();

        INDArray ab = network.getParam("0_A").mmul(network.getParam("0_B")).muli(S);
        INDArray expected = x.mmul(ab).subi(labels).muli(2.0 / Networks.OUT).mmul(ab.transpose());
        assertThat(Networks.difference(dx, expected)).isLessThan(1e-14);
    }

    @Test
    void printsNothingWhenItFirstTrains() {
        MultiLayerNetwork network = alone(layer());
        PrintStream before = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            network.fit(Networks.random(DataType.DOUBLE, 1, 4, Networks.IN),
                    Networks.random(DataType.DOUBLE, 2, 4, Networks.OUT));
            System.out.println("still heard");
        } finally {
            System.setOut(before);
        }

        assertThat(printed.toString(StandardCharsets.UTF_8)).isEqualToIgnoringNewLines("still heard");
    }

    @Test
    void setParamSets() {
        MultiLayerNetwork network = alone(layer());
        INDArray value = Networks.random(DataType.DOUBLE, 9, 2, Networks.OUT);
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);

        network.setParam("0_B", value);

        assertThat(network.getParam("0_B")).isEqualTo(value);
        assertThat(Networks.difference(network.output(x), x.mmul(network.getParam("0_A")).mmul(value).muli(S))).isLessThan(1e-14);
        assertThatThrownBy(() -> network.setParam("0_B", value.transpose())).hasMessageContaining("shape");
        assertThatThrownBy(() -> network.getLayer(0).setParam("W", value)).hasMessageContaining("W");
    }

    @Test
    void setParamsReachesARunningGraph() {
        MultiLayerNetwork network = alone(layer());
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        network.output(x);

        network.setParams(Networks.random(DataType.DOUBLE, 8, 1, network.numParams()));

        INDArray expected = x.mmul(network.getParam("0_A")).mmul(network.getParam("0_B")).muli(S);
        assertThat(Networks.difference(network.output(x), expected)).isLessThan(1e-14);
    }

    @Test
    void acceptsDropoutWhileTrainingAndKeepsTheirMean() {
        MultiLayerNetwork network = alone(layer().loraDropout(0.5));
        INDArray x = Nd4j.ones(DataType.DOUBLE, 4000, Networks.IN);
        INDArray inference = network.output(x);

        INDArray training = network.output(x, true);

        assertThat(training).isNotEqualTo(inference);
        assertThat(Networks.difference(training.mean(0), inference.mean(0))).isLessThan(0.15);
        assertThat(network.output(x)).isEqualTo(inference);
    }

    @Test
    void dropoutOfZeroTakesBackWhatWasSetBefore() {
        assertThat(layer().loraDropout(0.5).loraDropout(0).build().getIDropout()).isNull();
    }

    @Test
    void gradientsBelongToTheInputsThatWereDropped() {
        MultiLayerNetwork network = alone(layer().loraDropout(0.5));
        INDArray x = Networks.random(DataType.DOUBLE, 1, 1, Networks.IN);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 1, Networks.OUT);

        Pair<Gradient, INDArray> both = network.calculateGradients(x, labels, null, null);

        INDArray da = both.getFirst().getGradientFor("0_A");
        int dropped = 0;
        for (int i = 0; i < Networks.IN; i++) {
            boolean zero = da.getRow(i).amaxNumber().doubleValue() == 0;
            assertThat(both.getSecond().getDouble(0, i) == 0).as("input " + i).isEqualTo(zero);
            dropped += zero ? 1 : 0;
        }
        assertThat(dropped).isBetween(1, Networks.IN - 1);
    }

    @Test
    void masksZeroOutputsAndGradients() {
        MultiLayerNetwork network = sequences(layer().nIn(0));
        INDArray x = Networks.random(DataType.DOUBLE, 1, 2, Networks.IN, 3);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 2, 2, 3);
        INDArray mask = Nd4j.createFromArray(new double[][]{{1, 1, 1}, {1, 0, 0}});

        INDArray dx = network.calculateGradients(x, labels, mask, mask).getSecond();

        INDArray rows = network.feedForward(x, mask, mask).get(1);
        INDArray rowMask = TimeSeriesUtils.reshapeTimeSeriesMaskToVector(mask);
        for (int row = 0; row < 6; row++) {
            assertThat(Twins.largest(rows.getRow(row)) > 0).isEqualTo(rowMask.getDouble(row) == 1);
        }
        assertThat(dx.getDouble(1, 0, 2)).isZero();
        assertThat(Math.abs(dx.getDouble(1, 0, 0))).isPositive();
    }

    private static MultiLayerNetwork sequences(LowRankLayer.Builder layer) {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).list().layer(layer.build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(Networks.IN)).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        return network;
    }

    @Test
    void cloneOfTheLayerComputesTheSameOnParametersOfItsOwn() {
        MultiLayerNetwork network = alone(layer());
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        INDArray expected = network.output(x);

        LowRankRuntime clone = (LowRankRuntime) ((LowRankRuntime) network.getLayer(0)).clone();
        network.getParam("0_B").assign(0);

        assertThat(Networks.difference(clone.activate(x, false, LayerWorkspaceMgr.noWorkspaces()), expected)).isLessThan(1e-14);
    }

    @Test
    void regularizationCountsInTheScore() {
        MultiLayerNetwork network = alone(layer().l1(0.1).l2(0.2));
        INDArray a = network.getParam("0_A");
        INDArray b = network.getParam("0_B");

        double expected = 0.1 * (a.norm1Number().doubleValue() + b.norm1Number().doubleValue())
                + 0.1 * (Math.pow(a.norm2Number().doubleValue(), 2) + Math.pow(b.norm2Number().doubleValue(), 2));

        assertThat(network.calcRegularizationScore(true)).isCloseTo(expected, within(1e-12));
    }

    @Test
    void weightDecayShrinksIt() {
        MultiLayerNetwork decayed = alone(layer().weightDecay(0.1));
        MultiLayerNetwork free = alone(layer());
        INDArray a = free.getParam("0_A").dup();
        DataSet data = new DataSet(Networks.random(DataType.DOUBLE, 1, 4, Networks.IN),
                Networks.random(DataType.DOUBLE, 2, 4, Networks.OUT));

        decayed.fit(data);
        free.fit(data);

        assertThat(Networks.difference(free.getParam("0_A").sub(decayed.getParam("0_A")), a.mul(0.01))).isLessThan(1e-14);
    }

    @ParameterizedTest
    @EnumSource(value = WorkspaceMode.class, names = {"ENABLED", "NONE"})
    void constraintsHoldWhetherItsInputIsGivenOrInferred(WorkspaceMode workspaces) {
        for (int nIn : new int[]{Networks.IN, 0}) {
            MultiLayerNetwork network = alone(layer().nIn(nIn).constrainWeights(new MaxNormConstraint(1e-3, 1)), workspaces);

            network.fit(Networks.random(DataType.DOUBLE, 1, 4, Networks.IN),
                    Networks.random(DataType.DOUBLE, 2, 4, Networks.OUT));

            assertThat(network.getParam("0_A").norm2(1).maxNumber().doubleValue()).as("nIn " + nIn).isLessThan(1.1e-3);
        }
    }

    @Test
    void survivesJsonAndYaml() {
        MultiLayerNetwork network = alone(layer().scaling(Scaling.ALPHA_OVER_RANK).loraInit(LoRAInit.GAUSSIAN)
                .loraDropout(0.25).l1(0.1));
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations();

        assertThat(MultiLayerConfiguration.fromJson(conf.toJson()).toJson()).isEqualTo(conf.toJson());
        MultiLayerNetwork restored = new MultiLayerNetwork(MultiLayerConfiguration.fromYaml(conf.toYaml()));
        restored.init(network.params().dup(), false);

        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        assertThat(restored.output(x)).isEqualTo(network.output(x));
        assertThat(network.clone().output(x)).isEqualTo(network.output(x));
    }

    @Test
    void infersItsInputFromImages() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).list().layer(layer().nIn(0).build())
                .layer(new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build())
                .setInputType(InputType.convolutional(2, 2, 3)).build());

        network.fit(Networks.random(DataType.DOUBLE, 1, 4, 3, 2, 2), Networks.random(DataType.DOUBLE, 2, 4, Networks.OUT));

        assertThat(network.getParam("0_A").shape()).containsExactly(12, 2);
    }

    @Test
    void residualGraphHasTheGradientsOfFiniteDifferences() {
        DataType before = Nd4j.dataType();
        DataType floatsBefore = Nd4j.defaultFloatingPointType();
        Nd4j.setDefaultDataTypes(DataType.DOUBLE, DataType.DOUBLE);
        try {
            ComputationGraphConfiguration conf = new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE)
                    .updater(new NoOp()).activation(Activation.TANH).graphBuilder().addInputs("in")
                    .addLayer("below", new DenseLayer.Builder().nOut(4).build(), "in")
                    .addLayer("path", layer().nIn(0).nOut(4).build(), "below")
                    .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "path", "below")
                    .addLayer("path2", layer().nIn(0).nOut(4).build(), "sum")
                    .addVertex("sum2", new ElementWiseVertex(ElementWiseVertex.Op.Add), "sum", "path2")
                    .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT)
                            .activation(Activation.SOFTMAX).build(), "sum2")
                    .setOutputs("out").setInputTypes(InputType.feedForward(Networks.IN)).build();
            ComputationGraph graph = Networks.of(conf);
            Networks.randomizeAdapters(graph.paramTable(), 3);
            DataSet data = Networks.data(DataType.DOUBLE, 4, 1);

            assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.GraphConfig().net(graph)
                    .inputs(new INDArray[]{data.getFeatures()}).labels(new INDArray[]{data.getLabels()}))).isTrue();
        } finally {
            Nd4j.setDefaultDataTypes(before, floatsBefore);
        }
    }

    @Test
    void worksOnWithOtherBatchSizes() {
        MultiLayerNetwork network = alone(layer());
        for (int rows : new int[]{4, 1, 7}) {
            INDArray x = Networks.random(DataType.DOUBLE, rows, rows, Networks.IN);
            network.fit(x, Networks.random(DataType.DOUBLE, 2, rows, Networks.OUT));

            INDArray expected = x.mmul(network.getParam("0_A")).mmul(network.getParam("0_B")).muli(S);
            assertThat(Networks.difference(network.output(x), expected)).isLessThan(1e-14);
        }
    }

    private static LowRankLayer.Builder layer() {
        return new LowRankLayer.Builder().nIn(Networks.IN).nOut(Networks.OUT).rank(2).alpha(S);
    }

    private static MultiLayerNetwork alone(LowRankLayer.Builder layer) {
        return alone(layer, WorkspaceMode.ENABLED);
    }

    /** The path and a loss; A and B away from zero. */
    private static MultiLayerNetwork alone(LowRankLayer.Builder layer, WorkspaceMode workspaces) {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).trainingWorkspaceMode(workspaces).inferenceWorkspaceMode(workspaces).list()
                .layer(layer.build())
                .layer(new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build())
                .setInputType(InputType.feedForward(Networks.IN)).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        return network;
    }
}
