package io.github.dl4jlora.variant;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LowRankLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.AutoEncoder;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.EnumSet;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What a layer or setting cannot do is refused when the network is made, with the layer, the value and the way out. */
class VariantRefusalsTest {

    private final MultiLayerNetwork recurrent = recurrent();

    private static MultiLayerNetwork recurrent() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).activation(Activation.TANH).list()
                .layer(new LSTM.Builder().name("lstm").nIn(4).nOut(3).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name("out").nIn(3).nOut(2)
                        .activation(Activation.SOFTMAX).build())
                .build());
    }

    private void assertRefused(LoRAConfig.Builder config, String... parts) {
        assertThatThrownBy(() -> LoRA.apply(recurrent, config.targets(".*").build()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("\"lstm\" (LSTM)", "DenseLayer", "exclude")
                .hasMessageContainingAll(parts);
    }

    @Test
    void otherLayersTakeLoRAPlusAndRandomStartsAndRefuseTheRest() {
        assertRefused(LoRAConfig.builder().variant(new DoRA()), "DoRA");
        assertRefused(LoRAConfig.builder().variant(new FrozenALoRA()), "LoRA-FA");
        assertRefused(LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA), "LoRAInit.PISSA");
        assertRefused(LoRAConfig.builder().rank(2).loraInit(LoRAInit.OLORA), "LoRAInit.OLORA");

        MultiLayerNetwork tuned = LoRA.apply(recurrent, LoRAConfig.builder().rank(2).loraPlusRatio(16)
                .loraInit(LoRAInit.ORTHOGONAL)
                .targets(".*").build());
        assertThat(tuned.getLayer(0).conf().getLayer().getUpdaterByParam("RW.B").getLearningRate(0, 0)).isEqualTo(1.6);
        assertThat(tuned.getLayer(0).conf().getLayer().getUpdaterByParam("RW.A").getLearningRate(0, 0)).isEqualTo(0.1);
        assertThat(tuned.getParam("0_RW.B").amaxNumber().doubleValue()).isPositive();
        assertThat(Networks.difference(LoRA.merge(tuned).params(), recurrent.params())).isLessThan(1e-6);
    }

    static Stream<Arguments> layersWithoutAKernel() {
        InputType images = InputType.convolutional(5, 5, 2);
        InputType sequences = InputType.recurrent(4, 5);
        return Stream.of(Arguments.of(new Deconvolution2D.Builder(2, 2).nOut(3).build(), images),
                Arguments.of(new SeparableConvolution2D.Builder(2, 2).nOut(3).build(), images),
                Arguments.of(new DepthwiseConvolution2D.Builder(2, 2).build(), images),
                Arguments.of(new AutoEncoder.Builder().nOut(3).build(), InputType.feedForward(4)),
                Arguments.of(new SelfAttentionLayer.Builder().nOut(4).nHeads(1).projectInput(true).build(), sequences),
                Arguments.of(new LocallyConnected1D.Builder().kernelSize(2).nOut(3).build(), sequences),
                Arguments.of(new Bidirectional(new LSTM.Builder().nOut(3).build()), sequences));
    }

    @ParameterizedTest
    @MethodSource("layersWithoutAKernel")
    void doraIsRefusedWithTheTypesThatHaveIt(Layer layer, InputType input) {
        layer.setLayerName("x");
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(layer).setInputType(input).build());
        String type = layer.getClass().getSimpleName();
        for (Engine engine : new Engine[] {Engine.FUSED, Engine.EFFECTIVE_WEIGHTS}) {
            assertThatThrownBy(() -> LoRA.apply(base, LoRAConfig.builder().rank(2).targets("x").variant(new DoRA()).engine(engine)
                    .build()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("Layer \"x\" (" + type, "variant DoRA is for DenseLayer, OutputLayer, "
                            + "RnnOutputLayer, ConvolutionLayer, Convolution2D, Convolution1DLayer, Convolution1D, "
                            + "Convolution3D, EmbeddingLayer, EmbeddingSequenceLayer.", "exclude(\"x\")");
        }
    }

    @Test
    void allBiasesTrainWhateverBecomesOfTheirLayers() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph alone = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc2").bias(BiasTraining.ALL).build());
        assertThat(alone.paramTable()).containsOnlyKeys("fc1_b", "fc2_A", "fc2_B", "fc2_b", "out_b");

        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).bias("all").targets(".*").build());
        assertThat(adapted.paramTable()).containsKeys("fc1_b", "fc2_b", "out_b");
        ComputationGraph trained = LoRA.apply(base, LoRAConfig.builder().rank(2).bias("all").trainable("out").build());
        assertThat(trained.paramTable()).containsKeys("fc1_b", "fc2_b", "out_b", "out_W");
        assertThatThrownBy(() -> LoRAConfig.builder().bias("some")).hasMessageContainingAll("\"some\"", "lora_only");
    }

    @Test
    void biasesHaveTheirOwnUpdaterUnlessOneIsConfigured() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .biasUpdater(new Adam(0.7))
                .list().layer(new DenseLayer.Builder().name("fc1").nIn(4).nOut(3).build()).build());
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).bias("lora_only");

        assertThat(LoRA.apply(base, config.build()).getLayer(0).conf().getLayer().getUpdaterByParam("b"))
                .isEqualTo(new Adam(0.7));
        assertThat(LoRA.apply(base, config.updater(new Sgd(0.2)).build()).getLayer(0).conf().getLayer().getUpdaterByParam("b"))
                .isEqualTo(new Sgd(0.2));
    }

    @Test
    void startsThatRankOrFactorDoNotAllowNameTheLayer() {
        ComputationGraph base = Networks.trainedGraph();
        assertThatThrownBy(() -> LoRA.apply(base, LoRAConfig.builder().rank(6).loraInit(LoRAInit.PISSA).build()))
                .hasMessageContainingAll("\"fc1\"", "PISSA", "[6, 5]", "at most 5", "is 6");
        assertThatThrownBy(() -> LoRAConfig.builder().alpha(-1).loraInit(LoRAInit.PISSA).build())
                .hasMessageContainingAll("PISSA", "-1.0", "alpha");
        assertThatThrownBy(() -> LoRAConfig.builder().rank(3).loraInit(LoRAInit.ORTHOGONAL).build())
                .hasMessageContainingAll("ORTHOGONAL", "3", "even");
        assertThatThrownBy(() -> LoRAConfig.builder().rank(4).loraInit(LoRAInit.ORTHOGONAL)
                .override("fc1", o -> o.rank(3)).build())
                .hasMessageContainingAll("\"fc1\"", "even");
        assertThatThrownBy(() -> LoRAConfig.builder().pissaIterations(-1).build()).hasMessageContaining("pissaIterations is -1");
        assertThatThrownBy(() -> new LowRankLayer.Builder().nIn(4).nOut(3).rank(2).loraInit(LoRAInit.OLORA).build())
                .hasMessageContainingAll("OLORA", "LoRADenseLayer");
        assertThatThrownBy(() -> new LowRankLayer.Builder().nIn(4).nOut(3).rank(2).loraInit(LoRAInit.LOFTQ).build())
                .hasMessageContainingAll("LOFTQ", "LoRADenseLayer");
        assertThatThrownBy(() -> new LoRADenseLayer.Builder().nIn(4).nOut(3).rank(2).loraInit(LoRAInit.LOFTQ).build())
                .hasMessageContainingAll("LOFTQ", "LoRA.apply");
        assertThatThrownBy(() -> new LoRADenseLayer.Builder().nIn(4).nOut(3).rank(2).hasBias(false).trainBias(true).build())
                .hasMessageContaining("no bias to train");
    }

    @Test
    void declaredLayersHaveEveryVariant() {
        for (Variant variant : new Variant[] {new PlainLoRA(), new FrozenALoRA(), new DoRA()}) {
            // Of all starts, that of what quantising a base loses needs one, as do those from data.
            for (LoRAInit init : EnumSet.complementOf(EnumSet.of(LoRAInit.LOFTQ, LoRAInit.EVA, LoRAInit.LORA_GA))) {
                MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                        .layer(new LoRADenseLayer.Builder().nIn(4).nOut(3).rank(2).variant(variant).loraInit(init).trainBias(true)
                                .activation(Activation.TANH).build()).build());
                var input = Networks.random(network.params().dataType(), 1, 5, 4);
                var withoutPath = LoRA.unload(network).output(input);
                assertThat(Networks.difference(network.output(input), withoutPath)).as(variant + " " + init).isLessThan(1e-5);
                assertThat(Networks.difference(LoRA.merge(network).output(input), network.output(input))).isLessThan(1e-5);
            }
        }
    }

    /** What the guide's page on declared layers warns of. */
    @Test
    void whatADeclaredLayerStartsFromWStaysThatOfTheRandomW() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(3).list()
                .layer(new LoRADenseLayer.Builder().nIn(4).nOut(3).rank(2).variant(new DoRA()).loraInit(LoRAInit.PISSA)
                        .trainBias(true).build()).build());
        INDArray norms = network.getParam("0_W").norm2(true, 0);
        INDArray a = network.getParam("0_A").dup();
        double[] b = network.getParam("0_b").toDoubleVector();

        network.getParam("0_W").muli(-5);
        network.getParam("0_b").assign(7);

        assertThat(Networks.difference(network.getParam("0_m"), norms)).isLessThan(1e-5);
        assertThat(network.getParam("0_A")).isEqualTo(a);
        assertThat(network.getParam("0_b0").toDoubleVector()).isEqualTo(b);
        assertThat(LoRA.unload(network).getParam("0_b").toDoubleVector()).isEqualTo(b);
    }
}
