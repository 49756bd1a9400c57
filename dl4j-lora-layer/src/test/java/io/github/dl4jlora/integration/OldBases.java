package io.github.dl4jlora.integration;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CapsuleLayer;
import org.deeplearning4j.nn.conf.layers.CapsuleStrengthLayer;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.PrimaryCapsules;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.layers.variational.GaussianReconstructionDistribution;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.RmsProp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Small networks to adapt, of other values for every seed, so that no two find each other's weights by content. */
@SuppressWarnings("deprecation")
final class OldBases {

    private OldBases() {
    }

    private static NeuralNetConfiguration.Builder builder(long seed) {
        return new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam(0.02)).activation(Activation.TANH)
                .weightInit(WeightInit.XAVIER);
    }

    static MultiLayerNetwork layers(long seed, InputType input, Layer... layers) {
        return moved(Networks.of(builder(seed).list(layers).setInputType(input).build()), seed);
    }

    private static ComputationGraph graph(long seed, ComputationGraphConfiguration configuration) {
        return moved(Networks.of(configuration), seed);
    }

    /** Away from where it started: no bias is zero, no gain is one. */
    private static <M extends Model> M moved(M network, long seed) {
        network.params().addi(Networks.random(network.params().dataType(), seed, network.params().shape()).muli(0.1));
        return network;
    }

    static Layer named(String name, Layer layer) {
        layer.setLayerName(name);
        return layer;
    }

    private static Layer dense(String name, int nOut) {
        return named(name, new DenseLayer.Builder().nOut(nOut).build());
    }

    static Layer out() {
        return named("out", new OutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());
    }

    private static Layer steps() {
        return named("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());
    }

    /** Of four inputs: fc1, fc2 with layer normalisation, out. */
    static Model dense(long seed) {
        return layers(seed, InputType.feedForward(4), dense("fc1", 5),
                named("fc2", new DenseLayer.Builder().nOut(5).hasLayerNorm(true).build()), out());
    }

    /** In another type than FLOAT; without the activations of which ND4J has no gradient in BFLOAT16. */
    static Model of(DataType type, long seed) {
        MultiLayerNetwork network = layers(seed, InputType.feedForward(4),
                named("fc1", new DenseLayer.Builder().nOut(5).activation(Activation.IDENTITY).build()), out());
        return network.convertDataType(type);
    }

    /** {@link #dense} with layers that nobody named, one without bias. */
    static Model unnamed(long seed) {
        return layers(seed, InputType.feedForward(4), new DenseLayer.Builder().nOut(5).build(),
                new DenseLayer.Builder().nOut(5).hasBias(false).build(), new OutputLayer.Builder(LossFunction.MCXENT).nOut(3)
                        .activation(Activation.SOFTMAX).build());
    }

    /** Dropout, weight noise and constraints in adapted layers, DL4J's two ways to freeze below them. */
    static Model dressed(long seed) {
        return layers(seed, InputType.feedForward(4), new FrozenLayer(dense("low", 5)),
                new FrozenLayerWithBackprop(dense("middle", 5)), named("fc1", new DenseLayer.Builder().nOut(5).dropOut(0.8)
                        .weightNoise(new DropConnect(0.9)).constrainWeights(new MaxNormConstraint(2, 1)).build()), out());
    }

    /** Each layer with an updater of its own. */
    static Model ofManyUpdaters(long seed) {
        return layers(seed, InputType.feedForward(4),
                named("fc1", new DenseLayer.Builder().nOut(5).updater(new Nesterovs(0.05, 0.9)).build()),
                named("fc2", new DenseLayer.Builder().nOut(5).updater(new AdaGrad(0.05)).build()),
                named("out", new OutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY)
                        .updater(new RmsProp(0.01)).build()));
    }

    /** Layers whose parameters are vectors. */
    static Model vectors(long seed) {
        return layers(seed, InputType.feedForward(4), dense("fc1", 5), named("norm", new BatchNormalization()),
                named("slopes", new PReLULayer.Builder().inputShape(5).build()),
                named("factors", new ElementWiseMultiplicationLayer.Builder().nOut(5).build()), dense("fc2", 5), out());
    }

    static Model centers(long seed) {
        return layers(seed, InputType.feedForward(4), dense("fc1", 5), named("out", new CenterLossOutputLayer.Builder(
                LossFunction.MCXENT).nOut(3).alpha(0.1).lambda(0.3).activation(Activation.SOFTMAX).build()));
    }

    static Model oneClass(long seed) {
        return layers(seed, InputType.feedForward(4), dense("fc1", 5),
                named("out", new OCNNOutputLayer.Builder().nIn(5).hiddenLayerSize(3).nu(0.1).windowSize(5).build()));
    }

    static Model autoEncoders(long seed) {
        return layers(seed, InputType.feedForward(4), named("encoder", new AutoEncoder.Builder().nOut(5).build()),
                named("variational", new VariationalAutoencoder.Builder().encoderLayerSizes(4, 3).decoderLayerSizes(4)
                        .reconstructionDistribution(new GaussianReconstructionDistribution(Activation.TANH)).nOut(3).build()),
                out());
    }

    /** Of two channels of 6 · 6. */
    static Model images(long seed) {
        return images(seed, CNN2DFormat.NCHW);
    }

    static Model imagesChannelsLast(long seed) {
        return images(seed, CNN2DFormat.NHWC);
    }

    private static Model images(long seed, CNN2DFormat format) {
        return layers(seed, InputType.convolutional(6, 6, 2, format),
                named("conv1", new ConvolutionLayer.Builder(3, 3).nOut(2).dataFormat(format).build()),
                named("norm", new BatchNormalization.Builder().dataFormat(format).build()),
                named("conv2", new ConvolutionLayer.Builder(2, 2).nOut(2).stride(2, 2).convolutionMode(ConvolutionMode.Same)
                        .dataFormat(format).build()), out());
    }

    /** Of two channels of 6 · 6, through whatever works on images. */
    static Model manyImages(long seed) {
        return layers(seed, InputType.convolutional(6, 6, 2),
                named("separable", new SeparableConvolution2D.Builder(3, 3).nOut(2).build()),
                named("depthwise", new DepthwiseConvolution2D.Builder(2, 2).depthMultiplier(2).build()),
                named("deconvolution", new Deconvolution2D.Builder(2, 2).nOut(2).build()),
                named("local", new LocallyConnected2D.Builder().kernelSize(2, 2).nOut(2).build()), out());
    }

    /** Of one channel of 3 · 3 · 3. */
    static Model volumes(long seed) {
        return layers(seed, InputType.convolutional3D(3, 3, 3, 1),
                named("conv", new Convolution3D.Builder(2, 2, 2).nOut(2).build()),
                named("deconvolution", new Deconvolution3D.Builder().kernelSize(2, 2, 2).stride(1, 1, 1).nOut(2).build()), out());
    }

    /** Of one channel of 6 · 6. */
    static Model capsules(long seed) {
        return layers(seed, InputType.convolutional(6, 6, 1),
                named("primary", new PrimaryCapsules.Builder(3, 2).kernelSize(3, 3).stride(2, 2).hasBias(true).build()),
                named("capsules", new CapsuleLayer.Builder(3, 2, 2).hasBias(true).build()),
                named("strength", new CapsuleStrengthLayer.Builder().build()), out());
    }

    /** Of three inputs in each of four steps. */
    static Model sequences(long seed) {
        return layers(seed, InputType.recurrent(3, 4),
                named("conv", new Convolution1DLayer.Builder(2).nOut(4).convolutionMode(ConvolutionMode.Same).build()),
                named("lstm", new LSTM.Builder().nOut(3).build()),
                named("both", new Bidirectional(Bidirectional.Mode.CONCAT, new SimpleRnn.Builder().nOut(2).build())), steps());
    }

    /** Of three inputs in each of four steps, through whatever else is recurrent. */
    static Model recurrent(long seed) {
        return layers(seed, InputType.recurrent(3, 4), named("graves", new GravesLSTM.Builder().nOut(3).build()),
                named("bidirectional", new GravesBidirectionalLSTM.Builder().nOut(3).build()),
                named("masked", new MaskZeroLayer(new LSTM.Builder().nOut(3).build(), 0)),
                named("rnn", new SimpleRnn.Builder().nOut(3).build()),
                named("time", new TimeDistributed(new DenseLayer.Builder().nOut(3).build())),
                named("last", new LastTimeStep(new LSTM.Builder().nOut(3).build())), out());
    }

    /** Of three inputs in each of four steps. */
    static Model attention(long seed) {
        return layers(seed, InputType.recurrent(3, 4),
                named("attention", new SelfAttentionLayer.Builder().nOut(4).nHeads(2).projectInput(true).build()),
                named("local", new LocallyConnected1D.Builder().kernelSize(2).nOut(3).build()),
                named("recurrent", new RecurrentAttentionLayer.Builder().nOut(3).nHeads(1).projectInput(true).build()), steps());
    }

    /** Of one word of seven. */
    static Model word(long seed) {
        return layers(seed, InputType.feedForward(7), named("words", new EmbeddingLayer.Builder().nIn(7).nOut(4).hasBias(true)
                .build()), dense("fc1", 5), out());
    }

    /** Of four words of seven. */
    static Model words(long seed) {
        return layers(seed, InputType.recurrent(7, 4), named("words", new EmbeddingSequenceLayer.Builder().nIn(7).nOut(4)
                .inputLength(4).build()), named("attention", new SelfAttentionLayer.Builder().nOut(4).nHeads(2).projectInput(true)
                        .build()), steps());
    }

    /** Of three inputs in each of four steps: an AttentionVertex beside layers. */
    static Model vertices(long seed) {
        return graph(seed, builder(seed).graphBuilder().addInputs("in").setInputTypes(InputType.recurrent(3, 4))
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "in")
                .addVertex("attention", attentionVertex(), "lstm", "lstm", "lstm")
                .addLayer("out", steps(), "attention").setOutputs("out").build());
    }

    private static AttentionVertex attentionVertex() {
        return new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2).projectInput(true)
                .weightInit(WeightInit.XAVIER).build();
    }

    /** An image of one channel, 5 · 5, and three inputs in each of four steps, to a row and to steps. */
    static Model twoByTwo(long seed) {
        return graph(seed, builder(seed).graphBuilder().addInputs("image", "sequence")
                .setInputTypes(InputType.convolutional(5, 5, 1), InputType.recurrent(3, 4))
                .addLayer("conv", new ConvolutionLayer.Builder(3, 3).nOut(2).build(), "image")
                .addLayer("norm", new BatchNormalization(), "conv")
                .addLayer("fc1", new DenseLayer.Builder().nOut(4).build(), "norm")
                .addLayer("lstm", new Bidirectional(Bidirectional.Mode.ADD, new LSTM.Builder().nOut(4).build()), "sequence")
                .addVertex("attention", attentionVertex(), "lstm", "lstm", "lstm")
                .addVertex("last", new LastTimeStepVertex("sequence"), "attention")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "fc1", "last")
                .addVertex("both", new MergeVertex(), "sum", "fc1")
                .addLayer("fc2", new DenseLayer.Builder().nOut(4).build(), "both")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX).build(),
                        "fc2")
                .addLayer("steps", new RnnOutputLayer.Builder(LossFunction.XENT).nOut(2).activation(Activation.SIGMOID).build(),
                        "attention")
                .setOutputs("out", "steps").build());
    }
}
