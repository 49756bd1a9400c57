package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.stream.Stream;

import static io.github.dl4jlora.LayerChains.builder;
import static io.github.dl4jlora.LayerChains.chain;
import static io.github.dl4jlora.LayerChains.dense;
import static io.github.dl4jlora.LayerChains.fc1;
import static io.github.dl4jlora.LayerChains.features;
import static io.github.dl4jlora.LayerChains.image;
import static io.github.dl4jlora.LayerChains.labels;
import static io.github.dl4jlora.LayerChains.named;
import static io.github.dl4jlora.LayerChains.output;
import static io.github.dl4jlora.LayerChains.outputOf;
import static io.github.dl4jlora.LayerChains.series;
import static org.assertj.core.api.Assertions.assertThat;

/** Any layer between two adapted ones computes as in the base's test mode, passes right gradients and does not move. */
@ExtendWith(DoublePrecision.class) // DL4J's layer normalisation and simple RNN take the default type for the network's
class AnyLayerFrozenTest {

    private static final LoRAConfig FC = LoRAConfig.builder().rank(2).alpha(1.5).targets("fc.*").build();

    static Stream<Arguments> layers() {
        return Stream.of(
                flat("dense with layer norm", new DenseLayer.Builder().nOut(4).hasLayerNorm(true).build()),
                flat("dense with dropout, noise and a constraint", new DenseLayer.Builder().nOut(4).dropOut(0.5)
                        .weightNoise(new DropConnect(0.5)).constrainWeights(new MaxNormConstraint(0.5, 1)).build()),
                flat("dense with RReLU", new DenseLayer.Builder().nOut(4).activation(Activation.RRELU).build()),
                flat("PReLU", new PReLULayer.Builder().inputShape(9).nIn(9).nOut(9).build()),
                flat("element-wise multiplication", new ElementWiseMultiplicationLayer.Builder().nOut(9).nIn(9).build()),
                flat("batch norm", new BatchNormalization.Builder().build()),
                flat("batch norm with locked gamma and beta", new BatchNormalization.Builder().lockGammaBeta(true).gamma(1.7)
                        .beta(0.3).build()),
                flat("batch norm with a locked gamma, which DL4J ignores without a locked beta",
                        new BatchNormalization.Builder().lockGammaBeta(true).gamma(1.7).build()),
                flat("batch norm with log standard deviation", new BatchNormalization.Builder().useLogStd(true).build()),
                image("convolution 2D", 2, 2, 2, new ConvolutionLayer.Builder(2, 2).nIn(1).nOut(2).dropOut(0.5).build()),
                image("separable convolution", 2, 2, 2, new SeparableConvolution2D.Builder(2, 2).depthMultiplier(2).nIn(1)
                        .nOut(2).build()),
                image("depthwise convolution", 2, 2, 2, new DepthwiseConvolution2D.Builder(2, 2).nIn(1).depthMultiplier(2)
                        .nOut(2).build()),
                image("deconvolution", 4, 4, 2, new Deconvolution2D.Builder(2, 2).nIn(1).nOut(2).build()),
                image("locally connected 2D", 2, 2, 2, new LocallyConnected2D.Builder().kernelSize(2, 2).stride(1, 1).nIn(1)
                        .nOut(2).setInputSize(3, 3)
                        .convolutionMode(ConvolutionMode.Truncate).build()),
                image("batch norm of images", 3, 3, 1, new BatchNormalization.Builder().nIn(1).nOut(1).build()),
                image("batch norm of images with locked gamma and beta", 3, 3, 1, new BatchNormalization.Builder().nIn(1)
                        .nOut(1).lockGammaBeta(true).build()),
                series("convolution 1D", 4, new Convolution1DLayer.Builder(2).nIn(9).nOut(4)
                        .convolutionMode(ConvolutionMode.Same).build()),
                series("locally connected 1D", 4, new LocallyConnected1D.Builder().nIn(9).nOut(4).setInputSize(4)
                        .kernelSize(2).stride(1)
                        .convolutionMode(ConvolutionMode.Same).build()),
                series("LSTM", 4, new LSTM.Builder().nIn(9).nOut(4).dropOut(0.5).build()),
                series("Graves LSTM", 4, graves()),
                series("simple RNN", 4, new SimpleRnn.Builder().nIn(9).nOut(4).build()),
                series("bidirectional LSTM, concatenated", 8, new Bidirectional(Bidirectional.Mode.CONCAT, new LSTM.Builder()
                        .nIn(9).nOut(4).dropOut(0.5).build())),
                series("bidirectional simple RNN", 4, new Bidirectional(Bidirectional.Mode.MUL, new SimpleRnn.Builder().nIn(9)
                        .nOut(4).build())),
                series("mask zero", 4, new MaskZeroLayer(new SimpleRnn.Builder().nIn(9).nOut(4).build(), 0)),
                series("time distributed", 4, new TimeDistributed(new DenseLayer.Builder().nIn(9).nOut(4).build())),
                series("time distributed batch norm", 9, new TimeDistributed(new BatchNormalization.Builder().nIn(9)
                        .nOut(9).build())),
                series("batch norm in two wrappers", 9, new MaskZeroLayer(
                        new TimeDistributed(new BatchNormalization.Builder().nIn(9).nOut(9).useLogStd(true).build()), 0)),
                series("dense with dropout in two wrappers, one of them DL4J's own freezing", 4, new TimeDistributed(
                        new FrozenLayerWithBackprop(new DenseLayer.Builder().nIn(9).nOut(4).dropOut(0.5).build()))),
                series("self-attention", 4, new SelfAttentionLayer.Builder().nIn(9).nOut(4).nHeads(2).projectInput(true).build()),
                series("recurrent attention", 4, new RecurrentAttentionLayer.Builder().nIn(9).nOut(4).nHeads(1).projectInput(true)
                        .hasBias(true).build()),
                Arguments.of("last time step", features(1, 3, 5, 4), labels(), chain(InputType.recurrent(5),
                        new LastTimeStep(new LSTM.Builder().nOut(4).build()), output("fc_out"))),
                Arguments.of("frozen output layer", features(1, 3, 5), labels(),
                        chain(InputType.feedForward(5), named(dense(4), "fc2"), output("out"))),
                Arguments.of("frozen RNN output layer", features(1, 3, 5, 4), features(2, 3, 3, 4), chain(InputType.recurrent(5),
                        new LSTM.Builder().nOut(4).build(), rnnOutput("out"))),
                Arguments.of("frozen center loss", features(1, 3, 5), labels(),
                        chain(InputType.feedForward(5), named(dense(4), "fc2"),
                        new CenterLossOutputLayer.Builder(LossFunction.MCXENT).nOut(3).alpha(0.1).lambda(0.3)
                        .activation(Activation.SOFTMAX)
                                .name("out").build())));
    }

    @SuppressWarnings("deprecation")
    private static Layer graves() {
        return new GravesLSTM.Builder().nIn(9).nOut(4).build();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void computesTrainsAndTravelsLikeTheBase(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) {
        MultiLayerNetwork base = Networks.trained(conf, features, labels);
        INDArray expected = base.output(features).dup();
        double[] frozen = base.params().toDoubleVector();

        MultiLayerNetwork adapted = LoRA.apply(base, FC);
        assertThat(Networks.difference(adapted.output(features), expected)).as("a fresh rewrite").isLessThan(1e-14);
        adapted.setInput(features);
        assertThat(Networks.difference(adapted.feedForward(true).get(conf.getConfs().size()), expected)).as("training mode")
                .isLessThan(1e-12);

        Networks.randomizeAdapters(adapted.paramTable(), 3);
        MultiDataSet data = new MultiDataSet(features, labels);
        if (name.equals("separable convolution")) {
            // DL4J's own backward pass for it disagrees with finite differences here; ours passes on what DL4J computes.
            Gradients.assertProjections(adapted, Gradients.of(adapted, data), Gradients.of(LoRA.merge(adapted), data));
        } else {
            Gradients.assertEqualFiniteDifferences(adapted, data);
        }
        for (int i = 0; i < 2; i++) {
            adapted.fit(features, labels);
        }
        assertThat(base.params().toDoubleVector()).as("base after training").containsExactly(frozen);

        INDArray output = adapted.output(features);
        Networks.assertSame("clone", adapted.clone().output(features), output);
        MultiLayerNetwork restored = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(adapted.getLayerWiseConfigurations()
                .toJson()));
        restored.init(adapted.params().dup(), false);
        Networks.assertSame("from JSON", restored.output(features), output);
        assertThat(Networks.difference(LoRA.merge(adapted).output(features), output)).as("merged").isLessThan(1e-10);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void staysPutInsideTheVectorToo(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) {
        MultiLayerNetwork base = Networks.trained(conf, features, labels);
        double[] before = base.params().toDoubleVector();
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc.*")
                .storage(FrozenStorage.EMBEDDED).build());
        assertThat(Networks.difference(adapted.output(features), base.output(features))).as("a fresh rewrite").isLessThan(1e-14);
        assertThat(Models.topology(LoRA.unload(adapted))).isEqualTo(Models.topology(base));

        for (int i = 0; i < 2; i++) {
            adapted.fit(features, labels);
        }

        assertThat(Networks.difference(adapted.output(features), base.output(features))).as("what the adapters learned")
                .isPositive();
        assertThat(LoRA.unload(adapted).params().toDoubleVector()).containsExactly(before);
    }

    static Stream<Arguments> first() {
        INDArray indices = Nd4j.createFromArray(new double[][]{{1}, {3}, {0}});
        INDArray sequences = Nd4j.createFromArray(new double[][]{{1, 3, 0}, {2, 2, 1}, {0, 3, 1}});
        return Stream.of(
                Arguments.of("embedding", indices, builder().list()
                        .layer(new EmbeddingLayer.Builder().nIn(5).nOut(4).build()).layer(named(dense(4), "fc1"))
                        .layer(output("out"))
                        .build()),
                Arguments.of("RReLU layer", features(1, 3, 4), builder().list().layer(new ActivationLayer(new ActivationRReLU()))
                        .layer(named(new DenseLayer.Builder().nIn(4).nOut(4).build(), "fc1")).layer(output("out"))
                        .setInputType(InputType.feedForward(4)).build()),
                Arguments.of("embedding sequence", sequences, builder().list()
                        .layer(new EmbeddingSequenceLayer.Builder().nIn(5).nOut(4).inputLength(3).build())
                        .layer(new GlobalPoolingLayer.Builder().build()).layer(named(dense(4), "fc1")).layer(output("out"))
                        .setInputType(InputType.recurrent(5, 3)).build()),
                Arguments.of("batch norm of channels-last images", features(1, 3, 4, 4, 2),
                        builder().list()
                                .layer(new BatchNormalization.Builder().dataFormat(CNN2DFormat.NHWC).build())
                                .layer(named(dense(4), "fc1")).layer(output("out"))
                                .setInputType(InputType.convolutional(4, 4, 2, CNN2DFormat.NHWC)).build()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("first")
    void stopsBackpropagationBelowEverythingThatTrains(String name, INDArray features, MultiLayerConfiguration conf) {
        MultiLayerNetwork base = Networks.of(conf);
        base.fit(features, labels());
        double[] frozen = base.params().toDoubleVector();

        MultiLayerNetwork adapted = LoRA.apply(base, FC);

        assertThat(Networks.difference(adapted.output(features), base.output(features))).as("a fresh rewrite").isLessThan(1e-14);
        assertThat(adapted.getLayer(0)).isInstanceOf(org.deeplearning4j.nn.layers.FrozenLayer.class);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        Gradients.assertEqualFiniteDifferences(adapted, new MultiDataSet(features, labels()));
        adapted.fit(features, labels());
        assertThat(base.params().toDoubleVector()).containsExactly(frozen);
    }

    @Test
    void channelsLastConvolutionAndBatchNormPassGradients() {
        ComputationGraphConfiguration conf = builder().graphBuilder().addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nIn(5).nOut(9).build(), "in")
                .addLayer("norm", new BatchNormalization.Builder().nIn(1).nOut(1).dataFormat(CNN2DFormat.NHWC).build(), "fc1")
                .addLayer("conv", new ConvolutionLayer.Builder(2, 2).nIn(1).nOut(2).dataFormat(CNN2DFormat.NHWC).build(), "norm")
                .addLayer("norm2", new BatchNormalization.Builder().nIn(2).nOut(2).dataFormat(CNN2DFormat.NHWC).build(), "conv")
                .addLayer("fc_out", outputOf(8), "norm2").setOutputs("fc_out")
                // Makes [minibatch, channels, height, width]: read as channels-last, an image of 3 × 3 with one channel.
                .inputPreProcessor("norm", new FeedForwardToCnnPreProcessor(3, 1, 3))
                .inputPreProcessor("fc_out", new CnnToFeedForwardPreProcessor(2, 2, 2, CNN2DFormat.NHWC)).build();
        assertFrozenGraph(conf, new MultiDataSet(features(1, 3, 5), labels()));
    }

    @Test
    void attentionVertexPassesGradients() {
        ComputationGraphConfiguration conf = builder().graphBuilder().addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nOut(4).build(), "in")
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "fc1")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "lstm", "lstm", "lstm")
                .addLayer("fc_out", rnnOutput(null), "attention").setOutputs("fc_out")
                .setInputTypes(InputType.recurrent(5)).build();
        assertFrozenGraph(conf, new MultiDataSet(features(1, 3, 5, 4), features(2, 3, 3, 4)));
    }

    private static void assertFrozenGraph(ComputationGraphConfiguration conf, MultiDataSet data) {
        ComputationGraph base = Networks.of(conf);
        base.fit(data);
        double[] frozen = base.params().toDoubleVector();
        ComputationGraph adapted = LoRA.apply(base, FC);
        INDArray features = data.getFeatures(0);
        assertThat(Networks.difference(adapted.outputSingle(features), base.outputSingle(features))).as("a fresh rewrite")
                .isLessThan(1e-14);
        assertThat(Models.topology(LoRA.unload(adapted))).isEqualTo(Models.topology(base));
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        Gradients.assertEqualFiniteDifferences(adapted, data);

        adapted.fit(data);
        assertThat(base.params().toDoubleVector()).containsExactly(frozen);
        INDArray output = adapted.outputSingle(features);
        Networks.assertSame("clone", adapted.clone().outputSingle(features), output);
        ComputationGraph restored = new ComputationGraph(ComputationGraphConfiguration.fromJson(adapted.getConfiguration()
                .toJson()));
        restored.init(adapted.params().dup(), false);
        Networks.assertSame("from JSON", restored.outputSingle(features), output);
        assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(features), output)).isLessThan(1e-10);
    }

    private static Arguments flat(String name, Layer layer) {
        return Arguments.of(name, features(1, 3, 5), labels(), chain(InputType.feedForward(5), layer, output("fc_out")));
    }

    private static RnnOutputLayer rnnOutput(String name) {
        return new RnnOutputLayer.Builder(LossFunction.MSE).dataFormat(RNNFormat.NCW).nOut(3).name(name).build();
    }

    /** Nothing here computes what is inside both directions of another layer. */
    @Test
    void aDenseLayerIsQuantisedInsideTimeDistributedButNotInBothDirections() {
        TimeDistributed dense = new TimeDistributed(new DenseLayer.Builder().nIn(4).nOut(3).build());

        assertThat(FrozenLayers.takesQuantized(dense, DataType.FLOAT)).isTrue();
        assertThat(FrozenLayers.takesQuantized(new MaskZeroLayer(dense, 0), DataType.FLOAT)).isTrue();
        assertThat(FrozenLayers.takesQuantized(new Bidirectional(dense), DataType.FLOAT)).isFalse();
    }
}
