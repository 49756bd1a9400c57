package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.distribution.UniformDistribution;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.objdetect.Yolo2OutputLayer;
import org.deeplearning4j.nn.conf.layers.variational.BernoulliReconstructionDistribution;
import org.deeplearning4j.nn.conf.layers.variational.GaussianReconstructionDistribution;
import org.deeplearning4j.nn.conf.layers.variational.ReconstructionDistribution;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;
import org.nd4j.linalg.lossfunctions.impl.LossMixtureDensity;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * What DL4J's own examples build of rows and images, in small: written without any setting, each computes what the network
 * computes.
 */
class ExampleNetworksTest {

    private static final InputType COLOURS = InputType.convolutional(32, 32, 3);

    static Stream<Named<MultiLayerNetwork>> rows() {
        return Stream.of(
                example("points of two classes", chain(2, dense(20, Activation.RELU), classes(2))),
                example("exclusive or", chain(2, new DenseLayer.Builder().nOut(4).activation(Activation.SIGMOID)
                        .weightInit(new UniformDistribution(0, 1)).build(), classes(2))),
                example("irises", chain(4, dense(3, Activation.TANH), dense(3, Activation.TANH), classes(3))),
                example("sums", chain(2, dense(10, Activation.TANH), numbers(1))),
                example("a function", chain(1, dense(50, Activation.TANH), dense(50, Activation.TANH), numbers(1))),
                example("a line", chain(1, dense(1, Activation.IDENTITY), numbers(1))),
                example("a drawing", chain(2, dense(25, Activation.LEAKYRELU), dense(25, Activation.RELU),
                        dense(25, Activation.RELU), dense(25, Activation.RELU), dense(25, Activation.RELU),
                        new OutputLayer.Builder(LossFunction.L2).activation(Activation.IDENTITY).nOut(3).build())),
                example("digits in one layer", chain(784, dense(100, Activation.RELU), classes(10))),
                example("digits in two layers", chain(784, dropped(100), dropped(50), classes(10))),
                example("classes with weights", chain(5, dense(8, Activation.RELU), new OutputLayer.Builder(
                        new LossMCXENT(Nd4j.createFromArray(0.1f, 1f))).activation(Activation.SOFTMAX).nOut(2).build())),
                example("no output layer", chain(4, dense(3, Activation.SIGMOID), dense(3, Activation.SIGMOID))),
                example("a mixture of densities", chain(1, dense(40, Activation.TANH), dense(40, Activation.TANH),
                        new OutputLayer.Builder(LossMixtureDensity.builder().gaussians(4).labelWidth(1).build())
                                .activation(Activation.IDENTITY).nOut(4 * 3).build())));
    }

    static Stream<Named<MultiLayerNetwork>> encoders() {
        return Stream.of(
                example("anomalies", chain(784, dense(60, Activation.RELU), dense(10, Activation.RELU),
                        dense(60, Activation.RELU), new OutputLayer.Builder(LossFunction.MSE).activation(Activation.SIGMOID)
                                .nOut(784).build())),
                example("a stack", chain(60, encoder(30), encoder(10), encoder(30), new OutputLayer.Builder(LossFunction.XENT)
                        .activation(Activation.SIGMOID).nOut(60).build())),
                example("Bernoulli", chain(784, variational(2, new BernoulliReconstructionDistribution(Activation.SIGMOID)))),
                example("Gauss", chain(60, variational(32, new GaussianReconstructionDistribution(Activation.TANH)))),
                example("features for a classifier", chain(60, variational(5, new BernoulliReconstructionDistribution()),
                        classes(3))));
    }

    @ParameterizedTest
    @MethodSource({"rows", "encoders"})
    void networksOfRowsComputeTheSame(MultiLayerNetwork network) throws IOException {
        agrees(network, Samples.normal(3, network.layerInputSize(0)));
    }

    static Stream<Arguments> images() {
        InputType digits = InputType.convolutionalFlat(28, 28, 1);
        return Stream.of(
                example("digits", digits, convolution(6, 5, Activation.IDENTITY), max(2, 2),
                        convolution(10, 5, Activation.IDENTITY), max(2, 2), dense(40, Activation.RELU), classes(10)),
                example("digits, channels last", InputType.convolutional(28, 28, 1, CNN2DFormat.NHWC),
                        convolution(6, 5, Activation.RELU), max(2, 2), convolution(10, 5, Activation.RELU), max(2, 2),
                        dense(40, Activation.RELU), classes(10)),
                example("digits around centres", digits, convolution(6, 5, Activation.LEAKYRELU), max(2, 2),
                        convolution(10, 5, Activation.LEAKYRELU), max(2, 2), dense(40, Activation.LEAKYRELU),
                        dense(2, Activation.IDENTITY), new CenterLossOutputLayer.Builder(LossFunction.NEGATIVELOGLIKELIHOOD)
                                .alpha(0.1).lambda(2e-4).activation(Activation.SOFTMAX).nOut(10).build()),
                example("small photographs", COLOURS, convolution(8, 3, 1, 1), new BatchNormalization(), max(2, 2),
                        convolution(4, 1, 1, 1), new BatchNormalization(), convolution(16, 3, 1, 1), new BatchNormalization(),
                        max(2, 2), convolution(10, 1, 1, 1), new BatchNormalization(),
                        new SubsamplingLayer.Builder(PoolingType.AVG).kernelSize(2, 2).stride(2, 2).build(), classes(10)),
                example("animals", InputType.convolutional(100, 100, 3), convolution(12, 11, 4, 3),
                        new LocalResponseNormalization.Builder().build(), max(3, 2), convolution(16, 5, 1, 2),
                        new LocalResponseNormalization.Builder().build(), max(3, 2), convolution(20, 3, 1, 1), max(3, 2),
                        dropped(30), dropped(30), classes(4)));
    }

    @ParameterizedTest
    @MethodSource("images")
    void networksOfImagesComputeTheSame(Model network, InputType type) throws IOException {
        agrees(network, Trial.input(type, 3));
    }

    @Test
    void eachDigitOfANumberHasAnOutput() throws IOException {
        GraphBuilder digits = graph("image", InputType.convolutional(30, 80, 1))
                .addLayer("cnn1", convolution(6, 5, Activation.RELU), "image").addLayer("pool1", max(2, 2), "cnn1")
                .addLayer("cnn2", convolution(8, 5, Activation.RELU), "pool1")
                .addLayer("pool2", new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(2, 1).stride(2, 1).build(), "cnn2")
                .addLayer("dense", dense(40, Activation.RELU), "pool2");
        List<String> outputs = List.of("one", "two", "three", "four", "five", "six");
        outputs.forEach(output -> digits.addLayer(output, classes(10), "dense"));

        agrees(initialised(digits.setOutputs(outputs.toArray(String[]::new))), Samples.normal(2, 1, 30, 80));
    }

    @Test
    void residualsHaveAPolicyAndAValue() throws IOException {
        GraphBuilder game = graph("board", InputType.convolutional(9, 9, 11));
        String tower = normalised(game, "board", "start", 12, true);
        for (String block : List.of("first", "second")) {
            String inner = normalised(game, normalised(game, tower, block + "-a", 12, true), block + "-b", 12, false);
            game.addVertex(block + "-sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), inner, tower)
                    .addLayer(block, new ActivationLayer(Activation.RELU), block + "-sum");
            tower = block;
        }
        game.addLayer("policy", classes(82), normalised(game, tower, "policy-head", 2, true))
                .addLayer("value-dense", dense(12, Activation.RELU), normalised(game, tower, "value-head", 1, true))
                .addLayer("value", new OutputLayer.Builder(LossFunction.XENT).activation(Activation.SIGMOID).nOut(1).build(),
                        "value-dense");

        agrees(initialised(game.setOutputs("policy", "value")), Samples.normal(2, 11, 9, 9));
    }

    /** {@return the last layer of a convolution that is normalised} */
    private static String normalised(GraphBuilder graph, String from, String name, int channels, boolean rectified) {
        graph.addLayer(name + "-conv", new ConvolutionLayer.Builder(3, 3).convolutionMode(ConvolutionMode.Same).nOut(channels)
                .build(), from).addLayer(name + "-norm", new BatchNormalization(), name + "-conv");
        if (rectified) {
            graph.addLayer(name + "-relu", new ActivationLayer(Activation.RELU), name + "-norm");
        }
        return name + (rectified ? "-relu" : "-norm");
    }

    @Test
    void layersReadAllLayersBeforeThem() throws IOException {
        GraphBuilder net = graph("image", COLOURS).addLayer("conv", convolution(8, 7, 2, 3), "image")
                .addLayer("pool", new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(3, 3).build(), "conv");
        String[] before = {"pool"};
        for (int i = 0; i < 3; i++) {
            net.addLayer("norm-a" + i, new BatchNormalization(), before)
                    .addLayer("narrow" + i, convolution(16, 1, Activation.LEAKYRELU), "norm-a" + i)
                    .addLayer("norm-b" + i, new BatchNormalization(), "narrow" + i)
                    .addLayer("wide" + i, convolution(4, 3, 1, 1), "norm-b" + i);
            before = Stream.concat(Stream.of("wide" + i), Stream.of(before)).toArray(String[]::new);
        }
        net.addLayer("all", new GlobalPoolingLayer.Builder(PoolingType.AVG).collapseDimensions(false).build(), before)
                .addLayer("norm", new BatchNormalization(), "all")
                .addLayer("point", convolution(12, 1, Activation.LEAKYRELU), "norm")
                .addLayer("out", classes(5), "point");

        agrees(initialised(net.setOutputs("out")), Samples.normal(2, 3, 32, 32));
    }

    @Test
    void sentencesAreConvolvedByWindowsOfWords() throws IOException {
        int vector = 20;
        GraphBuilder words = graph("words", InputType.convolutional(30, vector, 1));
        for (int window : new int[]{3, 4, 5}) {
            words.addLayer("cnn" + window, new ConvolutionLayer.Builder().kernelSize(window, vector).stride(1, vector)
                    .convolutionMode(ConvolutionMode.Same).activation(Activation.LEAKYRELU).nOut(10).build(), "words");
        }
        words.addVertex("merged", new MergeVertex(), "cnn3", "cnn4", "cnn5")
                .addLayer("pool", new GlobalPoolingLayer.Builder(PoolingType.MAX).dropOut(0.5).build(), "merged")
                .addLayer("out", classes(2), "pool").setOutputs("out");

        ComputationGraph network = initialised(words);
        agrees(network, Samples.normal(2, 1, 30, vector));
        agrees(network, Samples.normal(1, 1, 7, vector));
    }

    /** As in DL4J's zoo: two blocks of two convolutions, and two dense layers. */
    private static ComputationGraph vgg() {
        GraphBuilder net = graph("input", COLOURS);
        String last = "input";
        for (int block = 1; block <= 2; block++) {
            for (int i = 1; i <= 2; i++) {
                String name = "block" + block + "_conv" + i;
                net.addLayer(name, new ConvolutionLayer.Builder(3, 3).convolutionMode(ConvolutionMode.Same).nOut(8 * block)
                        .activation(Activation.RELU).build(), last);
                last = name;
            }
            net.addLayer("block" + block + "_pool", max(2, 2), last);
            last = "block" + block + "_pool";
        }
        return initialised(net.addLayer("fc1", dense(40, Activation.RELU), last)
                .addLayer("fc2", dense(40, Activation.RELU), "fc1")
                .addLayer("predictions", classes(10), "fc2").setOutputs("predictions"));
    }

    private static TransferLearning.GraphBuilder transfer(String frozen) {
        return new TransferLearning.GraphBuilder(vgg()).fineTuneConfiguration(new FineTuneConfiguration.Builder()
                .updater(new Adam(5e-5)).dropOut(0.5).seed(1).build()).setFeatureExtractor(frozen);
    }

    @Test
    void whatIsLearnedIsTransferred() throws IOException {
        INDArray images = Samples.normal(2, 3, 32, 32);
        OutputLayer flowers = new OutputLayer.Builder(LossFunction.NEGATIVELOGLIKELIHOOD).nIn(40).nOut(5)
                .activation(Activation.SOFTMAX).build();

        agrees(transfer("fc2").removeVertexKeepConnections("predictions").addLayer("predictions", flowers, "fc2").build(),
                images);
        agrees(transfer("block2_pool").nOutReplace("fc2", 24, WeightInit.XAVIER).removeVertexAndConnections("predictions")
                .addLayer("fc3", new DenseLayer.Builder().activation(Activation.TANH).nIn(24).nOut(40).build(), "fc2")
                .addLayer("flowers", flowers, "fc3").setOutputs("flowers").build(), images);
        agrees(transfer("block1_pool").build(), images);
    }

    @Test
    void boxesAreDecodedOutside() throws IOException {
        INDArray priors = Nd4j.createFromArray(new float[][]{{2, 5}, {2.5f, 6}, {3, 7}});
        GraphBuilder net = graph("image", COLOURS);
        String last = "image";
        for (int i = 0; i < 3; i++) {
            net.addLayer("conv" + i, new ConvolutionLayer.Builder(3, 3).convolutionMode(ConvolutionMode.Same).nOut(8)
                    .hasBias(false).build(), last).addLayer("norm" + i, new BatchNormalization(), "conv" + i)
                    .addLayer("leaky" + i, new ActivationLayer(Activation.LEAKYRELU), "norm" + i)
                    .addLayer("pool" + i, max(2, 2), "leaky" + i);
            last = "pool" + i;
        }
        ComputationGraph detector = initialised(net.addLayer("boxes", new ConvolutionLayer.Builder(1, 1).nOut(3 * (5 + 10))
                .build(), last).addLayer("outputs", new Yolo2OutputLayer.Builder().boundingBoxPriors(priors).build(), "boxes")
                .setOutputs("outputs"));

        assertThatThrownBy(() -> OnnxExport.write(detector, Path.of("never.onnx"))).isInstanceOf(OnnxExportException.class)
                .hasMessageStartingWith("Layer \"outputs\" cannot be written as ONNX: the decoding of YOLO's boxes");
        agrees(new TransferLearning.GraphBuilder(detector).removeVertexAndConnections("outputs").setOutputs("boxes").build(),
                Samples.normal(2, 3, 32, 32));
    }

    private static Named<MultiLayerNetwork> example(String name, MultiLayerNetwork network) {
        return Named.of(name, network);
    }

    private static Arguments example(String name, InputType type, Layer... layers) {
        return Arguments.of(Named.of(name, chain(type, layers)), type);
    }

    private static MultiLayerNetwork chain(long size, Layer... layers) {
        return chain(InputType.feedForward(size), layers);
    }

    private static MultiLayerNetwork chain(InputType type, Layer... layers) {
        return Samples.shaken(Initialised.of(settings().list(layers).setInputType(type).build()), 5);
    }

    private static GraphBuilder graph(String input, InputType type) {
        return settings().graphBuilder().addInputs(input).setInputTypes(type);
    }

    private static ComputationGraph initialised(GraphBuilder builder) {
        return Samples.shaken(Initialised.of(builder.build()), 5);
    }

    private static NeuralNetConfiguration.Builder settings() {
        return new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(1e-3)).l2(1e-4)
                .gradientNormalization(GradientNormalization.RenormalizeL2PerLayer);
    }

    private static DenseLayer dense(int nOut, Activation activation) {
        return new DenseLayer.Builder().nOut(nOut).activation(activation).build();
    }

    private static DenseLayer dropped(int nOut) {
        return new DenseLayer.Builder().nOut(nOut).activation(Activation.RELU).dropOut(0.5).build();
    }

    private static OutputLayer classes(int nOut) {
        return new OutputLayer.Builder(LossFunction.NEGATIVELOGLIKELIHOOD).activation(Activation.SOFTMAX).nOut(nOut).build();
    }

    private static OutputLayer numbers(int nOut) {
        return new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nOut(nOut).build();
    }

    private static AutoEncoder encoder(int nOut) {
        return new AutoEncoder.Builder().nOut(nOut).activation(Activation.SIGMOID).corruptionLevel(0.3).build();
    }

    private static VariationalAutoencoder variational(int nOut, ReconstructionDistribution distribution) {
        return new VariationalAutoencoder.Builder().encoderLayerSizes(32, 24).decoderLayerSizes(24, 32).nOut(nOut)
                .activation(Activation.LEAKYRELU).pzxActivationFunction(Activation.IDENTITY)
                .reconstructionDistribution(distribution).build();
    }

    private static ConvolutionLayer convolution(int nOut, int kernel, Activation activation) {
        return new ConvolutionLayer.Builder(kernel, kernel).nOut(nOut).activation(activation).build();
    }

    private static ConvolutionLayer convolution(int nOut, int kernel, int stride, int padding) {
        return new ConvolutionLayer.Builder(kernel, kernel).stride(stride, stride).padding(padding, padding).nOut(nOut)
                .activation(Activation.LEAKYRELU).build();
    }

    private static SubsamplingLayer max(int kernel, int stride) {
        return new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(kernel, kernel).stride(stride, stride).build();
    }

    private static void agrees(Model network, INDArray... inputs) throws IOException {
        InRuntime.agrees(network, OnnxExport.of(network), inputs);
    }
}
