package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.Variant;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** What adapters start as that start from data. */
class DataStartTest {

    private static final int ROWS = 40;

    private static DataSetIterator batches(DataType type, int count) {
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            batches.add(Networks.data(type, ROWS, 100 + i));
        }
        return new ListDataSetIterator<>(batches, 1);
    }

    private static DataSetIterator of(DataSet... batches) {
        return new ListDataSetIterator<>(Arrays.asList(batches), 1);
    }

    private static LoRAConfig.Builder config(LoRAInit init) {
        return LoRAConfig.builder().rank(2).alpha(3).scaling(Scaling.ALPHA_OVER_RANK).loraInit(init).updater(new Adam(0.01));
    }

    private static MultiLayerNetwork base() {
        return Networks.trainedLayers(DataType.DOUBLE, new Sgd(0.1));
    }

    private static INDArray parameter(MultiLayerNetwork network, int layer, String part) {
        return network.getParam(layer + "_" + part);
    }

    /** Singular vectors, each of either sign. */
    private static void assertSameDirections(INDArray found, double[][] expected, double length) {
        for (int i = 0; i < found.size(1); i++) {
            double product = 0;
            for (int row = 0; row < found.size(0); row++) {
                product += found.getDouble(row, i) * expected[row][i];
            }
            assertThat(Math.abs(product)).as("column %d", i).isCloseTo(length, within(1e-9));
            assertThat(found.getColumn(i).norm2Number().doubleValue()).isCloseTo(length, within(1e-9));
        }
    }

    @Test
    void evaStartsAsThePrincipalComponentsOfTheInputs() {
        MultiLayerNetwork base = base();
        DataSet data = Networks.data(DataType.DOUBLE, ROWS, 100);

        MultiLayerNetwork adapted = LoRA.apply(base, config(LoRAInit.EVA).build(), of(data));

        INDArray inputs = base.feedForward(data.getFeatures()).get(1);
        INDArray centred = inputs.subRowVector(inputs.mean(0));
        assertSameDirections(parameter(adapted, 1, Variant.A),
                new SingularValueDecomposition(new Array2DRowRealMatrix(centred.toDoubleMatrix())).getV().getData(), 1);
        assertThat(parameter(adapted, 1, Variant.B).amaxNumber().doubleValue()).isZero();
        assertThat(adapted.output(data.getFeatures())).isEqualTo(base.output(data.getFeatures()));
    }

    @Test
    void loraGaStartsAsTheSingularVectorsOfTheGradient() {
        MultiLayerNetwork base = base();
        DataSetIterator data = batches(DataType.DOUBLE, 3);
        INDArray sum = Nd4j.create(DataType.DOUBLE, Networks.IN, Networks.HIDDEN);
        while (data.hasNext()) {
            sum.addi(Gradients.of(base, (MultiDataSet) data.next().toMultiDataSet()).get("0_W"));
        }

        MultiLayerNetwork adapted = LoRA.apply(base, config(LoRAInit.LORA_GA).build(), data);

        SingularValueDecomposition svd = new SingularValueDecomposition(new Array2DRowRealMatrix(sum.toDoubleMatrix()));
        double scale = Math.pow(Networks.HIDDEN, 0.25) / 4;
        assertSameDirections(parameter(adapted, 0, Variant.A), svd.getU().getData(), scale);
        double[][] next = svd.getV().getSubMatrix(0, Networks.HIDDEN - 1, 2, 3).getData();
        assertSameDirections(parameter(adapted, 0, Variant.B).transpose(), next, scale);
        INDArray x = data.next().getFeatures();
        assertThat(Networks.difference(adapted.output(x), base.output(x))).isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource(names = {"EVA", "LORA_GA"})
    void everyKindOfNetworkAndStorageTrainsFromIt(LoRAInit init) {
        for (Models.Kind kind : Models.Kind.values()) {
            Model base = kind.base();
            double[] before = Models.params(base);
            LoRAConfig config = kind.config().loraInit(init).build();
            DataSetIterator data = batches(DataType.FLOAT, 4);
            data.next();

            Model adapted = Models.apply(base, config, data);

            assertThat(data.next().getFeatures()).as("the data is at its beginning").isEqualTo(Networks
                    .data(DataType.FLOAT, ROWS, 100).getFeatures());
            assertThat(Models.params(base)).containsExactly(before);
            assertThat(Models.outputs(adapted)).containsExactly(Models.outputs(base), within(1e-5));
            double[] start = Models.params(adapted);
            Models.fitSteps(adapted, 0, 5);
            assertThat(Models.params(adapted)).isNotEqualTo(start);
            assertThat(Models.outputs(Models.merge(adapted))).containsExactly(Models.outputs(adapted), within(1e-5));
            assertThat(Models.params(Models.unload(adapted))).containsExactly(before);
        }
    }

    @Test
    void severalInputsComeFromAMultiDataSetIterator() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);

        ComputationGraph one = LoRA.apply(base, config(LoRAInit.LORA_GA).build(),
                new MultiDataSetIteratorAdapter(batches(DataType.DOUBLE, 2)));

        assertThat(one.params()).isEqualTo(LoRA.apply(base, config(LoRAInit.LORA_GA).build(), batches(DataType.DOUBLE, 2))
                .params());
    }

    @Test
    void nd4jsGeneratorIsLeftAlone() {
        for (LoRAInit init : List.of(LoRAInit.EVA, LoRAInit.LORA_GA)) {
            MultiLayerNetwork base = withDropout(0.5);
            Nd4j.getRandom().setSeed(5);
            double expected = Nd4j.getRandom().nextDouble();
            Nd4j.getRandom().setSeed(5);

            LoRA.apply(base, config(init).targets("fc.*").build(), batches(DataType.DOUBLE, 3));

            assertThat(Nd4j.getRandom().nextDouble()).isEqualTo(expected);
        }
    }

    private static MultiLayerNetwork withDropout(double keep) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Networks.IN).nOut(8).build())
                .layer(new DropoutLayer.Builder(keep).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(Networks.OUT).dropOut(keep).build())
                .layer(new LossLayer.Builder(LossFunction.MCXENT).activation(Activation.SOFTMAX).build()).build());
        INDArray params = Networks.random(DataType.DOUBLE, 8, 1, Networks.IN * 8 + 8 + 8 * Networks.OUT + Networks.OUT);
        network.init(params, true);
        return network;
    }

    @ParameterizedTest
    @EnumSource(names = {"EVA", "LORA_GA"})
    void dropoutOfTheBaseChangesNothing(LoRAInit init) {
        LoRAConfig config = config(init).targets("fc.*").build();

        MultiLayerNetwork with = LoRA.apply(withDropout(0.5), config, batches(DataType.DOUBLE, 2));

        assertThat(with.params()).isEqualTo(LoRA.apply(withDropout(1), config, batches(DataType.DOUBLE, 2)).params());
    }

    @Test
    void maskedStepsDoNotCount() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).list()
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).name("out").nIn(4).nOut(3)
                        .build()).build());
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 9, 5);
        INDArray features = Networks.random(DataType.DOUBLE, 1, 9, 4, 5);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 9, 3, 5);
        INDArray disturbed = features.dup();
        mask.get(NDArrayIndex.all(), NDArrayIndex.interval(3, 5)).assign(0);
        disturbed.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(3, 5)).assign(1e6);
        for (LoRAInit init : List.of(LoRAInit.EVA, LoRAInit.LORA_GA)) {
            LoRAConfig config = config(init).targets("out").build();

            MultiLayerNetwork clean = LoRA.apply(base, config, of(new DataSet(features, labels, mask, mask)));
            MultiLayerNetwork other = LoRA.apply(base, config, of(new DataSet(disturbed, labels, mask, mask)));

            assertThat(other.params()).isEqualTo(clean.params());
            INDArray all = parameter(LoRA.apply(base, config, of(new DataSet(features, labels))), 0, Variant.A);
            assertThat(Networks.difference(all, parameter(clean, 0, Variant.A))).isGreaterThan(1e-3);
        }
    }

    @Test
    void aSequenceConvolutionStartsInTheOrderInWhichItsWeightsLie() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).list()
                .layer(new Convolution1D.Builder(3).name("conv").nIn(2).nOut(4).stride(3)
                        .convolutionMode(ConvolutionMode.Truncate).build())
                .layer(new GlobalPoolingLayer())
                .layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(4).nOut(3).build()).build());
        // Of a window only the first step of the second channel varies.
        INDArray features = Nd4j.create(DataType.DOUBLE, 8, 2, 6);
        for (int step : new int[] {0, 3}) {
            features.get(NDArrayIndex.all(), NDArrayIndex.point(1), NDArrayIndex.point(step))
                    .assign(Networks.random(DataType.DOUBLE, step, 8));
        }

        MultiLayerNetwork adapted = LoRA.apply(base, config(LoRAInit.EVA).rank(1).targets("conv").build(),
                of(new DataSet(features, Networks.random(DataType.DOUBLE, 2, 8, 3))));

        // [kernel, nIn]: row 0 · 2 + 1.
        assertThat(adapted.getParam("0_W.A").toDoubleVector()).containsExactly(new double[] {0, 1, 0, 0, 0, 0}, within(1e-12));
    }

    @Test
    void anImageConvolutionsInputsAreItsWindows() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.IDENTITY).list()
                .layer(new Convolution2D.Builder(2, 2).name("conv").nIn(2).nOut(8).build())
                .layer(new GlobalPoolingLayer())
                .layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(8).nOut(3).build())
                .setInputType(InputType.convolutional(5, 4, 2)).build());
        // One output for each value of the window: the output's covariance is that of the windows.
        base.getParam("0_W").assign(Nd4j.eye(8).castTo(DataType.DOUBLE).reshape('c', 8, 2, 2, 2));
        INDArray features = Networks.random(DataType.DOUBLE, 4, 9, 2, 5, 4);
        INDArray windows = base.feedForward(features).get(1).permute(0, 2, 3, 1).dup('c').reshape('c', 9 * 4 * 3, 8);

        MultiLayerNetwork adapted = LoRA.apply(base, config(LoRAInit.EVA).rank(3).targets("conv").build(),
                of(new DataSet(features, Networks.random(DataType.DOUBLE, 2, 9, 3))));

        INDArray centred = windows.subRowVector(windows.mean(0));
        assertSameDirections(adapted.getParam("0_W.A"),
                new SingularValueDecomposition(new Array2DRowRealMatrix(centred.toDoubleMatrix())).getV().getData(), 1);
    }

    @Test
    void variantsAndFewerBitsGoWithThem() {
        for (LoRAInit init : List.of(LoRAInit.EVA, LoRAInit.LORA_GA)) {
            MultiLayerNetwork base = Networks.trainedLayers();
            double[] expected = Models.outputs(base);
            for (LoRAConfig.Builder config : List.of(config(init).variant(new DoRA()), config(init).variant(new FrozenALoRA()),
                    config(init).loraPlusRatio(4), config(init).scaling(Scaling.ALPHA_OVER_SQRT_RANK),
                    config(init).bias("lora_only"), config(init).loraDropout(0.3))) {
                MultiLayerNetwork adapted = LoRA.apply(base, config.build(), batches(DataType.FLOAT, 2));
                assertThat(Models.outputs(adapted)).containsExactly(expected, within(1e-5));
                Models.fitSteps(adapted, 0, 3);
                assertThat(Models.outputs(Models.merge(adapted))).containsExactly(Models.outputs(adapted), within(1e-4));
            }
            MultiLayerNetwork frozen = LoRA.freeze(base, Quantization.INT8);
            MultiLayerNetwork onFrozen = LoRA.apply(frozen, config(init).build(), batches(DataType.FLOAT, 2));
            MultiLayerNetwork quantised = LoRA.apply(base, config(init).quantize(Quantization.INT8).build(),
                    batches(DataType.FLOAT, 2));
            assertThat(Models.outputs(onFrozen)).containsExactly(Models.outputs(frozen), within(1e-4));
            assertThat(Models.outputs(quantised)).containsExactly(Models.outputs(frozen), within(1e-4));
        }
    }

    @Test
    void startsFromDataAndOthersGoTogether() {
        MultiLayerNetwork base = base();
        LoRAConfig config = config(LoRAInit.EVA).override("fc2", o -> o.loraInit(LoRAInit.LORA_GA)).targets("fc.*", "out")
                .override("out", o -> o.loraInit(LoRAInit.PISSA)).build();
        List<String> lines = new ArrayList<>();

        MultiLayerNetwork adapted = LoRA.apply(base, config, batches(DataType.DOUBLE, 3), lines::add);

        INDArray x = Networks.random(DataType.DOUBLE, 1, 5, Networks.IN);
        assertThat(Networks.difference(adapted.output(x), base.output(x))).isLessThan(1e-12);
        assertThat(parameter(adapted, 1, Variant.B).amaxNumber().doubleValue()).isPositive();
        assertThat(lines).startsWith("EVA: 0 of 1 layers converged after 1 batch", "LoRA-GA: gradients of 1 layers, 1 batch")
                .hasSize(6);
    }

    @Test
    void evaEndsWhenItHasConvergedAndEachStartAtItsLimit() {
        List<String> lines = new ArrayList<>();
        MultiLayerNetwork base = base();
        DataSet same = Networks.data(DataType.DOUBLE, ROWS, 100);
        DataSetIterator data = of(same, same, same, same);

        LoRA.apply(base, config(LoRAInit.EVA).build(), data, lines::add);
        LoRA.apply(base, config(LoRAInit.LORA_GA).startBatches(3).build(), data, lines::add);

        assertThat(lines).containsExactly("EVA: 0 of 2 layers converged after 1 batch",
                "EVA: 2 of 2 layers converged after 2 batches", "LoRA-GA: gradients of 2 layers, 1 batch",
                "LoRA-GA: gradients of 2 layers, 2 batches", "LoRA-GA: gradients of 2 layers, 3 batches");
    }

    @Test
    void layersWithOneInputHaveTheSameStart() {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("query", new DenseLayer.Builder().nIn(Networks.IN).nOut(4).build(), "in")
                .addLayer("value", new DenseLayer.Builder().nIn(Networks.IN).nOut(5).build(), "in")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nIn(9).nOut(Networks.OUT)
                        .activation(Activation.SOFTMAX).build(), "query", "value")
                .setOutputs("out").build());

        ComputationGraph adapted = LoRA.apply(base, config(LoRAInit.EVA).build(), batches(DataType.DOUBLE, 4));

        assertThat(adapted.getParam("query_A")).isEqualTo(adapted.getParam("value_A"));
    }

    @Test
    void embeddedNetworksKeepWhatWasTakenInTheirVector() {
        LoRAConfig config = config(LoRAInit.LORA_GA).storage(FrozenStorage.EMBEDDED).build();

        MultiLayerNetwork adapted = LoRA.apply(base(), config, batches(DataType.DOUBLE, 2));

        Map<String, INDArray> table = adapted.getLayer(0).paramTable();
        assertThat(table.get(Variant.START_A)).isEqualTo(table.get(Variant.A));
        assertThat(table.get(Variant.START_B)).isEqualTo(table.get(Variant.B));
    }

    @Test
    void wholeNumbersAreInputsToo() {
        DataSet data = Networks.data(DataType.DOUBLE, ROWS, 100);
        INDArray whole = data.getFeatures().mul(9).castTo(DataType.INT);

        MultiLayerNetwork adapted = LoRA.apply(base(), config(LoRAInit.EVA).build(), of(new DataSet(whole, data.getLabels())));

        assertThat(adapted.params()).isEqualTo(LoRA.apply(base(), config(LoRAInit.EVA).build(),
                of(new DataSet(whole.castTo(DataType.DOUBLE), data.getLabels()))).params());
    }

    /** DL4J's convolution computes the steps that a mask leaves out as well. */
    @Test
    void maskedStepsOfAConvolutionDoNotCount() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).list()
                .layer(new Convolution1D.Builder(1).name("conv").nIn(4).nOut(5).convolutionMode(ConvolutionMode.Same).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(5).nOut(3).build())
                .build());
        INDArray features = Networks.random(DataType.DOUBLE, 1, 7, 4, 6);
        INDArray mask = Nd4j.zeros(DataType.DOUBLE, 7, 6);
        List<double[]> counted = new ArrayList<>();
        for (int row = 0; row < 7; row++) {
            for (int step = 0; step <= row % 5; step++) {
                mask.putScalar(row, step, 1);
                counted.add(features.get(NDArrayIndex.point(row), NDArrayIndex.all(), NDArrayIndex.point(step))
                        .toDoubleVector());
            }
        }
        INDArray rows = Nd4j.create(counted.toArray(double[][]::new));
        DataSet masked = new DataSet(features, Networks.random(DataType.DOUBLE, 2, 7, 3, 6), mask, mask);

        MultiLayerNetwork adapted = LoRA.apply(base, config(LoRAInit.EVA).targets("conv").build(), of(masked));

        assertSameDirections(adapted.getParam("0_W.A"), new SingularValueDecomposition(new Array2DRowRealMatrix(
                rows.subRowVector(rows.mean(0)).toDoubleMatrix())).getV().getData(), 1);
    }
}
