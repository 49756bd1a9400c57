package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.engine.DenseRuntime;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
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
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.deeplearning4j.nn.conf.layers.PrimaryCapsules;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.layers.variational.GaussianReconstructionDistribution;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.conf.preprocessor.Cnn3DToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnn3DPreProcessor;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
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

/** Every kind of DL4J layer with a weight matrix, adapted by running it on W + s·A·B above an adapted dense layer. */
@SuppressWarnings("deprecation")
@ExtendWith(DoublePrecision.class)
@Tag("heavy")
public class DeltaLayersTest {

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(1))
            .targets("fc1|lora.*").build();

    @TempDir
    private Path folder;

    public static Stream<Arguments> layers() {
        return Stream.of(
                flat("auto-encoder", new AutoEncoder.Builder().nIn(9).nOut(4).build(), 4),
                flat("variational auto-encoder", new VariationalAutoencoder.Builder().encoderLayerSizes(5, 4).decoderLayerSizes(4)
                        .reconstructionDistribution(new GaussianReconstructionDistribution(Activation.TANH)).nIn(9).nOut(3)
                        .build(), 3),
                image("convolution 2D", 2, 2, 2, new ConvolutionLayer.Builder(2, 2).nIn(1).nOut(2).build()),
                image("convolution 2D, same padding, strides, no bias", 2, 2, 3, new ConvolutionLayer.Builder(2, 2).nIn(1).nOut(3)
                        .stride(2, 2).hasBias(false).convolutionMode(ConvolutionMode.Same).build()),
                image("deconvolution 2D", 4, 4, 2, new Deconvolution2D.Builder(2, 2).nIn(1).nOut(2).build()),
                image("depthwise convolution", 2, 2, 2, new DepthwiseConvolution2D.Builder(2, 2).nIn(1).depthMultiplier(2)
                        .nOut(2).build()),
                image("separable convolution", 2, 2, 2, new SeparableConvolution2D.Builder(2, 2).depthMultiplier(2).nIn(1)
                        .nOut(2).build()),
                image("locally connected 2D", 2, 2, 2, new LocallyConnected2D.Builder().kernelSize(2, 2).stride(1, 1)
                        .nIn(1).nOut(2)
                        .setInputSize(3, 3).convolutionMode(ConvolutionMode.Truncate).build()),
                volume("convolution 3D", 1, 2, new Convolution3D.Builder(2, 2, 2).nIn(1).nOut(2).build()),
                volume("deconvolution 3D", 3, 2, new Deconvolution3D.Builder().kernelSize(2, 2, 2).stride(1, 1, 1).nIn(1)
                        .nOut(2).build()),
                series("convolution 1D", 4, new Convolution1DLayer.Builder(2).nIn(9).nOut(4)
                        .convolutionMode(ConvolutionMode.Same).build()),
                series("locally connected 1D", 4, new LocallyConnected1D.Builder().nIn(9).nOut(4).setInputSize(4)
                        .kernelSize(2).stride(1)
                        .convolutionMode(ConvolutionMode.Same).build()),
                series("LSTM", 4, new LSTM.Builder().nIn(9).nOut(4).build()),
                series("Graves LSTM", 4, new GravesLSTM.Builder().nIn(9).nOut(4).build()),
                series("Graves bidirectional LSTM", 4, new GravesBidirectionalLSTM.Builder().nIn(9).nOut(4).build()),
                series("simple RNN", 4, new SimpleRnn.Builder().nIn(9).nOut(4).build()),
                series("bidirectional LSTM, concatenated", 8, new Bidirectional(Bidirectional.Mode.CONCAT, lstm())),
                series("bidirectional LSTM, added", 4, new Bidirectional(Bidirectional.Mode.ADD, lstm())),
                series("bidirectional LSTM, averaged", 4, new Bidirectional(Bidirectional.Mode.AVERAGE, lstm())),
                series("bidirectional LSTM, multiplied", 4, new Bidirectional(Bidirectional.Mode.MUL, lstm())),
                series("LSTM that skips zeros", 4, new MaskZeroLayer(lstm(), 0)),
                series("time distributed dense", 4, new TimeDistributed(new DenseLayer.Builder().nIn(9).nOut(4).build())),
                series("self-attention", 4, new SelfAttentionLayer.Builder().nIn(9).nOut(4).nHeads(2).projectInput(true).build()),
                series("recurrent attention", 4, new RecurrentAttentionLayer.Builder().nIn(9).nOut(4).nHeads(1).projectInput(true)
                        .hasBias(true).build()),
                Arguments.of("last step of an LSTM", features(1, 3, 5, 4), labels(), chain(InputType.recurrent(5),
                        named(new LastTimeStep(new LSTM.Builder().nOut(4).build()), "lora"), output("out"))),
                Arguments.of("center loss", features(1, 3, 5), labels(), chain(InputType.feedForward(5),
                        new CenterLossOutputLayer.Builder(LossFunction.MCXENT).nOut(3).alpha(0.1).lambda(0.3).gradientCheck(true)
                                .activation(Activation.SOFTMAX).name("lora").build())),
                Arguments.of("embedding", Nd4j.createFromArray(new double[][]{{1}, {3}, {0}}), labels(), builder().list()
                        .layer(new EmbeddingLayer.Builder().nIn(5).nOut(4).name("lora").build())
                        .layer(new DenseLayer.Builder().nIn(4).nOut(4).name("fc1").build()).layer(outputOf(4)).build()),
                Arguments.of("embedding sequence", Nd4j.createFromArray(new double[][]{{1, 3, 0}, {2, 2, 1}, {0, 3, 1}}),
                        labels(),
                        builder().list().layer(new EmbeddingSequenceLayer.Builder().nIn(5).nOut(4).inputLength(3)
                                .name("lora").build())
                                .layer(new GlobalPoolingLayer.Builder().build()).layer(named(dense(4), "fc1"))
                                .layer(output("out"))
                                .setInputType(InputType.recurrent(5, 3)).build()),
                Arguments.of("capsules", features(1, 3, 1, 6, 6), labels(), builder().list(
                        new PrimaryCapsules.Builder(3, 2).kernelSize(3, 3).stride(2, 2).hasBias(true).name("lora1").build(),
                        new CapsuleLayer.Builder(3, 2, 2).hasBias(true).name("lora2")
                        .build(), new CapsuleStrengthLayer.Builder().build(),
                        named(dense(4), "fc1"), output("out")).setInputType(InputType.convolutional(6, 6, 1)).build()),
                Arguments.of("channels-last convolution", features(1, 3, 3, 3, 2), labels(), builder().list()
                        .layer(new ConvolutionLayer.Builder(2, 2).nOut(2).dataFormat(CNN2DFormat.NHWC).name("lora").build())
                        .layer(named(dense(4), "fc1")).layer(output("out"))
                        .setInputType(InputType.convolutional(3, 3, 2, CNN2DFormat.NHWC)).build()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void computesWhatTheBaseComputesUntilItIsTrained(String name, INDArray features, INDArray labels,
            MultiLayerConfiguration conf) {
        MultiLayerNetwork base = Networks.trained(conf, features, labels);
        INDArray expected = base.output(features).dup();

        MultiLayerNetwork adapted = LoRA.apply(base, CONFIG);

        assertFreshRewrite(adapted, features, expected);
        assertThat(Models.topology(LoRA.unload(adapted))).isEqualTo(Models.topology(base));
        assertThat(adapted.params().length()).isEqualTo(LoRA.summary(adapted).trainableParams());
        assertThat(LoRA.summary(adapted).totalParams()).isEqualTo(base.numParams() + adapted.params().length());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void hasTheGradientsOfFiniteDifferencesAndOfTheStockLayer(String name, INDArray features, INDArray labels,
                                                              MultiLayerConfiguration conf) {
        MultiLayerNetwork adapted = LoRA.apply(Networks.trained(conf, features, labels), CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        MultiDataSet data = new MultiDataSet(features, labels);

        Map<String, INDArray> gradients = Gradients.of(adapted, data);
        assertThat(gradients).hasSize(adapted.paramTable().size());
        if (!name.equals("separable convolution")) {
            // DL4J's own backward pass for it disagrees with finite differences; ours is its projection.
            Gradients.assertEqualFiniteDifferences(adapted, data);
        }
        if (!name.equals("capsules")) {
            Gradients.assertProjections(adapted, atTheLayer(adapted, gradients), Gradients.of(LoRA.merge(adapted), data));
        } else {
            // Two SameDiff layers above one another: the stock network's gradients are doubled twice.
            assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.MLNConfig().net(adapted).input(features)
                    .labels(labels)
                    .subset(true).maxPerParam(4).epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-8)
                    .print(GradientCheckUtil.PrintMode.FAILURES_ONLY)))
                    .isTrue();
        }
    }

    /** Below a SameDiff layer the stock network's gradients are wrong. */
    private static Map<String, INDArray> atTheLayer(MultiLayerNetwork network, Map<String, INDArray> gradients) {
        Map<String, INDArray> some = new java.util.LinkedHashMap<>(gradients);
        some.keySet().removeIf(key -> network.getLayer(Integer.parseInt(key.substring(0,
                key.indexOf('_')))) instanceof DenseRuntime);
        return some;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void trainsWithoutMovingTheBaseAndTravels(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf)
            throws IOException {
        MultiLayerNetwork base = Networks.trained(conf, features, labels);
        double[] frozen = base.params().toDoubleVector();
        INDArray before = base.output(features).dup();
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(1.5).updater(new Adam(0.02)).targets("fc1|lora.*").build();
        MultiLayerNetwork adapted = LoRA.apply(base, config);

        for (int i = 0; i < 5; i++) {
            adapted.fit(features, labels);
        }

        assertThat(base.params().toDoubleVector()).as("base after training").containsExactly(frozen);
        INDArray output = adapted.output(features).dup();
        assertThat(Networks.difference(output, before)).as("what was learned").isGreaterThan(1e-4);
        adapted.paramTable().forEach((key, value) -> assertThat(value.amaxNumber().doubleValue()).as(key).isPositive());
        assertThat(Networks.difference(LoRA.merge(adapted).output(features), output)).as("merged").isLessThan(1e-10);
        try (LoRA.Scope off = LoRA.disabled(adapted)) {
            Networks.assertSame("disabled", adapted.output(features), before);
        }
        Networks.assertSame("enabled again", adapted.output(features), output);
        Networks.assertSame("clone", adapted.clone().output(features), output);
        Networks.assertSame("from JSON", copy(adapted, MultiLayerConfiguration.fromJson(
                adapted.getLayerWiseConfigurations().toJson())).output(features), output);
        Networks.assertSame("from YAML", copy(adapted, MultiLayerConfiguration.fromYaml(
                adapted.getLayerWiseConfigurations().toYaml())).output(features), output);
        assertThat(MultiLayerConfiguration.fromJson(adapted.getLayerWiseConfigurations().toJson()))
                .isEqualTo(adapted.getLayerWiseConfigurations());
        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(adapted, file, true);
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(file, true);
        LoRA.attach(restored, base);
        Networks.assertSame("restored", restored.output(features), output);
        LoRAAdapter.of(adapted).save(folder.resolve("adapter"));
        MultiLayerNetwork again = LoRA.apply(base, LoRAAdapter.load(folder.resolve("adapter")));
        Networks.assertSame("from the adapter's files", again.output(features), output);
        LoRA.save(adapted, folder.resolve("whole.zip"), true);
        Networks.assertSame("whole", LoRA.loadMultiLayerNetwork(folder.resolve("whole.zip")).output(features), output);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void staysPutInsideTheVectorToo(String name, INDArray features, INDArray labels, MultiLayerConfiguration conf) {
        MultiLayerNetwork base = Networks.trained(conf, features, labels);
        double[] before = base.params().toDoubleVector();
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc1|lora.*").updater(new Adam(0.02))
                .storage(FrozenStorage.EMBEDDED).build());
        assertFreshRewrite(adapted, features, base.output(features));

        for (int i = 0; i < 3; i++) {
            adapted.fit(features, labels);
        }

        assertThat(Networks.difference(adapted.output(features), base.output(features))).as("what the adapters learned")
                .isPositive();
        assertThat(LoRA.unload(adapted).params().toDoubleVector()).containsExactly(before);
        Networks.assertSame("clone", adapted.clone().output(features), adapted.output(features));
    }

    /** Kernels may round otherwise than the stock layer; the stock layer on effective weights may not. */
    private static void assertFreshRewrite(MultiLayerNetwork adapted, INDArray features, INDArray expected) {
        if (Arrays.stream(adapted.getLayers()).anyMatch(KernelRuntime.class::isInstance)) {
            assertThat(Networks.difference(adapted.output(features), expected)).isLessThan(1e-14);
        } else {
            Networks.assertSame("a fresh rewrite", adapted.output(features), expected);
        }
    }

    private static MultiLayerNetwork copy(MultiLayerNetwork network, MultiLayerConfiguration conf) {
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(network.params().dup(), false);
        return copy;
    }

    private static Layer lstm() {
        return new LSTM.Builder().nIn(9).nOut(4).build();
    }

    private static Arguments flat(String name, Layer layer, int size) {
        return Arguments.of(name, features(1, 3, 5), labels(), builder().list().layer(fc1(9)).layer(named(layer, "lora"))
                .layer(outputOf(size)).build());
    }

    /** fc1's eight outputs are a cube of 2 × 2 × 2. */
    private static Arguments volume(String name, int side, int channels, Layer layer) {
        MultiLayerConfiguration conf = builder().list().layer(fc1(8)).layer(named(layer, "lora"))
                .layer(outputOf(side * side * side * channels))
                .inputPreProcessor(1, new FeedForwardToCnn3DPreProcessor(2, 2, 2, 1, true))
                .inputPreProcessor(2, new Cnn3DToFeedForwardPreProcessor(side, side, side, channels, true)).build();
        return Arguments.of(name, features(1, 3, 5), labels(), conf);
    }
}
