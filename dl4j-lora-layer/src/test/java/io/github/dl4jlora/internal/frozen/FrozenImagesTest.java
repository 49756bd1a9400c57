package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.OneDnn.Use;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** A frozen image network, with shortcuts and batch normalisation, computes what the stock one computes. */
class FrozenImagesTest {

    private static final int SIDE = 17;
    private static final int CHANNELS = 3;

    @AfterEach
    void asUsual() {
        OneDnn.use(Use.WHERE_IT_GAINS);
    }

    private static ComputationGraph base(DataType type) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(4).dataType(type).updater(new NoOp())
                .activation(Activation.IDENTITY).convolutionMode(ConvolutionMode.Truncate).graphBuilder().addInputs("in")
                .addLayer("padding", new ZeroPaddingLayer.Builder(2, 1).build(), "in");
        convolution(graph, "stem", "padding", new ConvolutionLayer.Builder(3, 3).stride(2, 2).nOut(8));
        graph.addLayer("stem-act", new ActivationLayer(Activation.RELU), "stem-norm");
        graph.addLayer("pool", new SubsamplingLayer.Builder(
                SubsamplingLayer.PoolingType.MAX, new int[] {3, 3}, new int[] {2, 2}).build(), "stem-act");
        convolution(graph, "one", "pool", new ConvolutionLayer.Builder(1, 1).nOut(6));
        graph.addLayer("one-act", new ActivationLayer(Activation.RELU), "one-norm");
        convolution(graph, "two", "one-act", new ConvolutionLayer.Builder(3, 3).nOut(8)
                .convolutionMode(ConvolutionMode.Same).hasBias(false));
        graph.addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "two-norm", "pool")
                .addLayer("sum-act", new ActivationLayer(Activation.RELU), "sum")
                .addLayer("relu", new ConvolutionLayer.Builder(2, 2).nOut(40).activation(Activation.RELU).build(), "sum-act")
                .addLayer("average", new SubsamplingLayer.Builder(SubsamplingLayer.PoolingType.AVG, new int[] {2, 2},
                        new int[] {1, 1}).build(), "relu")
                .addLayer("strided", new ConvolutionLayer.Builder(1, 1).stride(2, 1).nOut(6).build(), "average")
                .addLayer("dense", new DenseLayer.Builder().nOut(7).activation(Activation.RELU).build(), "strided")
                .addLayer("dense-norm", new BatchNormalization(), "dense")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(4).activation(Activation.SOFTMAX).build(),
                        "dense-norm")
                .setOutputs("out").setInputTypes(InputType.convolutional(SIDE, SIDE, CHANNELS));
        ComputationGraph base = Networks.of(graph.build());
        long seed = 20;
        for (Map.Entry<String, INDArray> parameter : base.paramTable().entrySet()) {
            INDArray noise = Networks.random(type, seed++, parameter.getValue().shape()).muli(0.3);
            if (parameter.getKey().endsWith("_var")) {
                parameter.getValue().addi(noise.muli(noise));
            } else {
                parameter.getValue().addi(noise);
            }
        }
        return base;
    }

    private static void convolution(GraphBuilder graph, String name, String input, ConvolutionLayer.Builder builder) {
        graph.addLayer(name, builder.build(), input)
                .addLayer(name + "-norm", new BatchNormalization(), name);
    }

    private static INDArray images(DataType type, int count, long seed) {
        return Networks.random(type, seed, count, CHANNELS, SIDE, SIDE);
    }

    private static void assertEqual(INDArray actual, INDArray expected, double error) {
        assertThat(actual.shape()).isEqualTo(expected.shape());
        assertThat(actual.castTo(DataType.DOUBLE).sub(expected.castTo(DataType.DOUBLE)).norm2Number().doubleValue())
                .isLessThan(error * expected.norm2Number().doubleValue());
    }

    private static double error(DataType type) {
        return type == DataType.DOUBLE ? 1e-14 : 1e-6;
    }

    @ParameterizedTest
    @EnumSource
    void outputsAreTheStockNetworksWhateverComputes(Use use) {
        OneDnn.use(use);
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE}) {
            ComputationGraph base = base(type);
            ComputationGraph frozen = LoRA.freeze(base);
            for (int count : new int[] {2, 5, 1}) {
                INDArray x = images(type, count, count);
                assertEqual(frozen.outputSingle(x), base.outputSingle(x), error(type));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void outputsOfEachLayerAreTheStockNetworks(Use use) {
        OneDnn.use(use);
        ComputationGraph base = base(DataType.FLOAT);
        ComputationGraph frozen = LoRA.freeze(base);
        INDArray x = images(DataType.FLOAT, 2, 3);
        Map<String, INDArray> all = frozen.feedForward(x, false);
        Map<String, INDArray> expected = base.feedForward(x, false);

        expected.forEach((name, output) -> assertEqual(all.get(name), output, 1e-6));
    }

    @ParameterizedTest
    @EnumSource
    void anOutputStaysWhatItIsInLaterPasses(Use use) {
        OneDnn.use(use);
        ComputationGraph frozen = LoRA.freeze(base(DataType.FLOAT));
        INDArray x = images(DataType.FLOAT, 2, 3);
        INDArray before = x.dup();
        Map<String, INDArray> first = frozen.feedForward(x, false);
        INDArray output = frozen.outputSingle(x);
        INDArray kept = output.dup();

        frozen.outputSingle(images(DataType.FLOAT, 3, 8));

        assertThat(output).isEqualTo(kept);
        assertThat(first.get("out")).isEqualTo(kept);
        assertThat(x).isEqualTo(before);
    }

    @ParameterizedTest
    @EnumSource
    void whatIsNotANumberStaysSo(Use use) {
        OneDnn.use(use);
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(4).updater(new NoOp()).list()
                .layer(new ConvolutionLayer.Builder(3, 3).nOut(8).activation(Activation.RELU).build())
                .layer(new BatchNormalization())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(4).activation(Activation.IDENTITY).build())
                .setInputType(InputType.convolutional(SIDE, SIDE, CHANNELS)).build());
        INDArray x = images(DataType.FLOAT, 2, 3);
        x.putScalar(new int[] {0, 0, 4, 4}, Float.NaN);

        INDArray output = LoRA.freeze(base).output(x);

        assertThat(output.getFloat(0, 0)).isNaN();
        assertThat(output.getFloat(1, 0)).isFinite();
    }

    /** What passes through frozen layers to an adapted one is the gradient of the same network in DOUBLE, which ND4J computes. */
    @ParameterizedTest
    @EnumSource
    void gradientsBelowAreThoseInDouble(Use use) {
        OneDnn.use(use);
        ComputationGraph exact = LoRA.apply(base(DataType.DOUBLE),
                LoRAConfig.builder().rank(2).targets("stem").updater(new NoOp()).build());
        Networks.randomizeAdapters(exact.paramTable(), 5);
        ComputationGraph adapted = exact.convertDataType(DataType.FLOAT);

        assertEqual(gradient(adapted, DataType.FLOAT), gradient(exact, DataType.DOUBLE), 1e-5);
    }

    private static INDArray gradient(ComputationGraph network, DataType type) {
        network.setInputs(images(type, 2, 3));
        network.setLabels(Networks.random(type, 7, 2, 4));
        network.computeGradientAndScore();
        return network.gradient().gradient().dup();
    }
}
