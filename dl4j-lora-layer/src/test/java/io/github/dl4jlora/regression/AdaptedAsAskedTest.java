package io.github.dl4jlora.regression;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.content.Kind;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.executioner.OpExecutioner;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.profiler.OpProfiler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

/** What was asked for is done for every kind of layer alike, or refused. */
@ExtendWith(DoublePrecision.class)
class AdaptedAsAskedTest {

    /** An adapted layer of each kind, with an input that it takes. */
    enum Kind {
        DENSE(InputType.feedForward(3)), CONVOLUTION(InputType.convolutional(5, 5, 3)),
        DECONVOLUTION(InputType.convolutional(5, 5, 3)),
        SEQUENCE_CONVOLUTION(InputType.recurrent(3, 5)), EMBEDDING(InputType.feedForward(3)), LSTM(InputType.recurrent(3, 5)),
        SIMPLE_RNN(InputType.recurrent(3, 5)), BIDIRECTIONAL(InputType.recurrent(3, 5)), LAST_STEP(InputType.recurrent(3, 5)),
        MASKED(InputType.recurrent(3, 5)), ATTENTION(InputType.recurrent(3, 5));

        private final InputType input;

        Kind(InputType input) {
            this.input = input;
        }

        Model base() {
            Layer layer = switch (this) {
                case DENSE -> new DenseLayer.Builder().nOut(4).build();
                case CONVOLUTION -> new ConvolutionLayer.Builder(2, 2).nOut(4).build();
                case DECONVOLUTION -> new Deconvolution2D.Builder(2, 2).nOut(4).build();
                case SEQUENCE_CONVOLUTION -> new Convolution1DLayer.Builder().kernelSize(2).nOut(4).build();
                case EMBEDDING -> new EmbeddingLayer.Builder().nIn(3).nOut(4).build();
                case LSTM -> new LSTM.Builder().nOut(4).build();
                case SIMPLE_RNN -> new SimpleRnn.Builder().nOut(4).build();
                case BIDIRECTIONAL -> new Bidirectional(new LSTM.Builder().nOut(4).build());
                case LAST_STEP -> new LastTimeStep(new LSTM.Builder().nOut(4).build());
                case MASKED -> new MaskZeroLayer(new LSTM.Builder().nIn(3).nOut(4).build(), 0);
                case ATTENTION -> new SelfAttentionLayer.Builder().nOut(4).nHeads(2).projectInput(true).build();
            };
            layer.setLayerName("x");
            boolean sequence = input.getType() == InputType.Type.RNN && this != LAST_STEP;
            return Stacks.of(true, DataType.DOUBLE, input, layer, sequence ? Stacks.sequenceHead() : Stacks.head());
        }

        /** Whether its low-rank path is that of a dense layer, which SameDiff can compute. */
        boolean hasEngines() {
            return this == DENSE;
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void rankAboveWhatTheWeightsHaveIsWarnedOf(Kind kind) {
        Model base = kind.base();
        try (LogCapture log = LogCapture.ofLibrary()) {
            Models.apply(base, LoRAConfig.builder().rank(64).targets("x").build());

            assertThat(log.messages()).anySatisfy(message -> assertThat(message).contains("\"x", "rank 64"));
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void rankThatTheWeightsHaveIsNotWarnedOf(Kind kind) {
        Model base = kind.base();
        try (LogCapture log = LogCapture.ofLibrary()) {
            Models.apply(base, LoRAConfig.builder().rank(2).targets("x").build());

            assertThat(log.messages()).isEmpty();
        }
    }

    @Test
    void rankAboveWhatAVertexHasIsWarnedOf() {
        Model base = Networks.of(Stacks.common(DataType.DOUBLE).graphBuilder().addInputs("in")
                .addVertex("x", new AttentionVertex.Builder().nInKeys(3).nInQueries(3).nInValues(3).nOut(4).nHeads(2)
                        .projectInput(true).build(), "in", "in", "in")
                .addLayer("out", Stacks.sequenceHead(), "x").setOutputs("out").setInputTypes(InputType.recurrent(3, 5)).build());
        try (LogCapture log = LogCapture.ofLibrary()) {
            Models.apply(base, LoRAConfig.builder().rank(64).targets("x", "out").override("out", o -> o.rank(1)).build());

            assertThat(log.messages()).anySatisfy(message -> assertThat(message).contains("\"x", "rank 64"));
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void engineThatALayerHasNotIsRefusedNamingTheLayer(Kind kind) {
        Model base = kind.base();
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("x").engine(Engine.SAMEDIFF).build();
        if (kind.hasEngines()) {
            Models.apply(base, config);
        } else {
            assertThatIllegalArgumentException().isThrownBy(() -> Models.apply(base, config))
                    .withMessageContainingAll("\"x", "SAMEDIFF");
        }
    }

    @Test
    void layersOfOneNameAreAllAdapted() {
        MultiLayerNetwork base = dense("fc", "fc", "other");

        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").updater(new Sgd(0.1)).build());

        assertThat(tuned.paramTable()).containsOnlyKeys("0_A", "0_B", "1_A", "1_B");
        assertWorks(base, tuned);
    }

    @Test
    void nameThatIsAnotherLayersIndexIsNotConfusedWithIt() {
        MultiLayerNetwork base = dense("2", "x", "x");

        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).updater(new Sgd(0.1)).build());

        assertThat(tuned.paramTable()).containsOnlyKeys("0_A", "0_B", "1_A", "1_B", "2_A", "2_B");
        assertWorks(base, tuned);
    }

    @Test
    void layersOfOneNameAreAllTrainedInFull() {
        MultiLayerNetwork base = dense("other", "fc", "fc");

        MultiLayerNetwork tuned = LoRA.apply(base,
                LoRAConfig.builder().rank(2).targets("other").trainable("fc").updater(new Sgd(0.1)).build());

        assertThat(tuned.paramTable()).containsOnlyKeys("0_A", "0_B", "1_W", "1_b", "2_W", "2_b");
        assertWorks(base, tuned);
    }

    private static MultiLayerNetwork dense(String... names) {
        Layer[] layers = new Layer[names.length + 1];
        for (int i = 0; i < names.length; i++) {
            layers[i] = new DenseLayer.Builder().nOut(6).name(names[i]).build();
        }
        layers[names.length] = Stacks.head();
        return (MultiLayerNetwork) Stacks.of(false, DataType.DOUBLE, InputType.feedForward(6), layers);
    }

    private static void assertWorks(MultiLayerNetwork base, MultiLayerNetwork tuned) {
        INDArray input = Networks.random(DataType.DOUBLE, 1, 4, 6);
        assertThat(Networks.difference(tuned.output(input), base.output(input))).isLessThan(1e-12);
        for (int i = 0; i < 3; i++) {
            tuned.fit(input, Networks.random(DataType.DOUBLE, 2, 4, 2));
        }
        assertThat(Networks.difference(tuned.output(input), base.output(input))).isGreaterThan(1e-4);
        assertThat(Networks.difference(tuned.output(input), LoRA.merge(tuned).output(input))).isLessThan(1e-12);
        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.of(tuned)).output(input),
                tuned.output(input))).isLessThan(1e-12);
    }

    @ParameterizedTest(name = "sequence {0}, graph {1}")
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void scoreAndGradientOfAnAdaptedOutputLayerBelongToOneDropoutMask(boolean sequence, boolean graph) {
        InputType input = sequence ? InputType.recurrent(6, 3) : InputType.feedForward(6);
        Layer below = sequence ? new LSTM.Builder().nOut(8).name("below").build()
                : new DenseLayer.Builder().nOut(8).name("below").build();
        Layer head = sequence ? Stacks.sequenceHead() : Stacks.head();
        Model tuned = Models.apply(Stacks.of(graph, DataType.DOUBLE, input, below, head),
                LoRAConfig.builder().rank(2).loraDropout(0.5).targets("out").updater(new Sgd(0.1)).build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        MultiDataSet data = sequence ? Stacks.data(DataType.DOUBLE, new long[]{4, 6, 3}, new long[]{4, 2, 3})
                : Stacks.data(DataType.DOUBLE, new long[]{4, 6}, new long[]{4, 2});

        Stacks.assertGradientsAreSlopes(tuned, data);
    }

    /** DL4J's graphs take the features' mask away between the gradient and the score. */
    @Test
    void scoreOfAGraphUnderAMaskOfFeaturesAloneIsTheBases() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("out").updater(new Sgd(0.1)).build());
        DataSet data = Networks.data(DataType.DOUBLE, 3, 5);
        data.setFeaturesMaskArray(Nd4j.createFromArray(new double[][] {{1}, {0}, {1}}));

        tuned.fit(data);
        base.fit(data);

        assertThat(tuned.score()).isCloseTo(base.score(), within(1e-12));
    }

    /** As many products as an adapted dense layer and a loss take: none is computed again for the score. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void adaptedOutputLayerComputesEachProductOnce(boolean graph) {
        Layer dense = new DenseLayer.Builder().nOut(2).activation(Activation.IDENTITY).name("out").build();
        Layer loss = new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).name("loss").build();
        Layer output = new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).name("out").build();

        assertThat(products(graph, output)).isPositive().isEqualTo(products(graph, dense, loss));
    }

    private static long products(boolean graph, Layer... layers) {
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("out").updater(new Sgd(0.1)).build();
        Model tuned = Models.apply(Stacks.of(graph, DataType.DOUBLE, InputType.feedForward(6), layers), config);
        MultiDataSet data = Stacks.data(DataType.DOUBLE, new long[]{4, 6}, new long[]{4, 2});
        OpExecutioner.ProfilingMode mode = Nd4j.getExecutioner().getProfilingMode();
        Nd4j.getExecutioner().setProfilingMode(OpExecutioner.ProfilingMode.ALL);
        try {
            OpProfiler.getInstance().reset();
            Gradients.pass(tuned, data);
            return OpProfiler.getInstance().getOpCounter().getCount("matmul");
        } finally {
            Nd4j.getExecutioner().setProfilingMode(mode);
        }
    }
}
