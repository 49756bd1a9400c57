package io.github.dl4jlora;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.FrozenWeightsRegistry;
import io.github.dl4jlora.report.LoRAPlan;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

/** What is planned is what is made; {@code RandomNetworksTest} compares the two for all kinds of networks. */
class LoRAPlanTest {

    private static final int BATCH = 8;

    @Test
    void nothingOfTheNetworkOrOfNd4jChanges() {
        MultiLayerNetwork base = Networks.trainedLayers(DataType.FLOAT, new Adam(1e-2));
        String before = base.getLayerWiseConfigurations().toJson();
        double[] params = Models.params(base);
        Nd4j.getRandom().setSeed(5);
        double drawn = Nd4j.getRandom().nextDouble();
        Nd4j.getRandom().setSeed(5);

        LoRA.plan(base, LoRAConfig.builder().variant(new DoRA()).loraInit(LoRAInit.PISSA).rank(2).build(), BATCH);

        assertThat(Nd4j.getRandom().nextDouble()).isEqualTo(drawn);
        assertThat(base.getLayerWiseConfigurations().toJson()).isEqualTo(before);
        assertThat(Models.params(base)).isEqualTo(params);
    }

    /** Values that nobody can read are not read: those of a network whose numbers are not finite cannot be quantised. */
    @Test
    void noValueIsLookedAt() {
        MultiLayerNetwork base = Networks.trainedLayers();
        base.params().assign(Double.NaN);
        LoRAConfig config = LoRAConfig.builder().quantize(Quantization.NF4).build();

        assertThatThrownBy(() -> LoRA.apply(base, config)).hasMessageContaining("cannot be quantised");
        assertThat(LoRA.plan(base, config, BATCH).layers().rows()).extracting(LoRASummary.Row::storedAs).contains("NF4");
    }

    static Stream<LoRAConfig.Builder> refused() {
        return Stream.of(LoRAConfig.builder().targets("nobody"), LoRAConfig.builder().targets(LayerType.RECURRENT),
                LoRAConfig.builder().exclude(".*"), LoRAConfig.builder().trainable("nobody"),
                LoRAConfig.builder().override("nobody", layer -> layer.rank(2)),
                LoRAConfig.builder().engine(Engine.EFFECTIVE_WEIGHTS), LoRAConfig.builder().rank(Integer.MAX_VALUE / 4),
                LoRAConfig.builder().loraInit(LoRAInit.PISSA).rank(64), LoRAConfig.builder().loraInit(LoRAInit.LOFTQ),
                LoRAConfig.builder().loraInit(LoRAInit.LOFTQ).quantize(Quantization.INT8).rank(64),
                LoRAConfig.builder().loraPlusRatio(4).updater(new org.nd4j.linalg.learning.config.NoOp()));
    }

    @ParameterizedTest
    @MethodSource("refused")
    void whatApplyRefusesIsRefusedWithTheSameMessage(LoRAConfig.Builder builder) {
        MultiLayerNetwork base = Networks.trainedLayers();
        Throwable expected = catchThrowable(() -> LoRA.apply(base, builder.build()));

        assertThat(expected).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> LoRA.plan(base, builder.build(), BATCH)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage(expected.getMessage());
    }

    @Test
    void adaptedNetworksAndNoConfigurationAreRefusedAsByApply() {
        MultiLayerNetwork adapted = LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().build());

        assertThatThrownBy(() -> LoRA.plan(adapted, LoRAConfig.builder().build(), BATCH)).hasMessageContaining("already adapted");
        assertThatThrownBy(() -> LoRA.plan(Networks.trainedLayers(), null, BATCH)).hasMessageContaining("LoRAConfig is null");
        assertThatThrownBy(() -> LoRA.plan(null, LoRAConfig.builder().build(), BATCH)).hasMessageContaining("network is null");
    }

    @Test
    void anUpdaterHasTheStateThatDl4jSays() {
        assertThat(updaterBytes(new Sgd(0.1))).isZero();
        assertThat(updaterBytes(new Nesterovs(0.1))).isEqualTo(trained(1));
        assertThat(updaterBytes(new Adam())).isEqualTo(trained(2));
        assertThat(updaterBytes(new AMSGrad())).isEqualTo(trained(3));
    }

    private static long updaterBytes(IUpdater updater) {
        return plan(LoRAConfig.builder().rank(2).updater(updater).build()).adapted().updater();
    }

    private static long trained(int times) {
        return times * plan(LoRAConfig.builder().rank(2).build()).adapted().trained();
    }

    private static LoRAPlan plan(LoRAConfig config) {
        return LoRA.plan(Networks.trainedLayers(), config, BATCH);
    }

    @Test
    void aBaseInFewerBitsCountsAsItIsKept() {
        LoRAConfig config = LoRAConfig.builder().rank(2).quantize(Quantization.INT8).build();
        Model base = Networks.trainedLayers(DataType.FLOAT, new Adam());

        LoRAPlan plan = LoRA.plan(base, config, BATCH);

        assertThat(plan.adapted().frozen()).isEqualTo(LoRA.summary(Models.apply(base, config)).frozenBytes())
                .isLessThan(LoRA.plan(base, LoRAConfig.builder().rank(2).build(), BATCH).adapted().frozen());
        assertThat(plan.adapted().scratch()).isPositive();
    }

    static Stream<UnaryOperator<Layer>> freezing() {
        return Stream.of(layer -> new MaskZeroLayer(new FrozenLayer(layer), 0),
                layer -> new MaskZeroLayer(new FrozenLayerWithBackprop(layer), 0),
                layer -> new FrozenLayerWithBackprop(new MaskZeroLayer(layer, 0)));
    }

    /** DL4J keeps state for a layer in FrozenLayerWithBackprop, too, as the layer's own updater asks for it. */
    @ParameterizedTest
    @MethodSource("freezing")
    void aLayerThatDl4jFreezesInsideAWrapperDoesNotTrain(UnaryOperator<Layer> freezing) {
        Layer frozen = freezing.apply(new LSTM.Builder().nIn(3).nOut(4).build());
        MultiLayerNetwork base = network(InputType.recurrent(3, 5), frozen, new RnnOutputLayer.Builder(LossFunction.MSE)
                .nOut(3).activation(Activation.IDENTITY).build());
        long head = 4 * 3 + 3;

        LoRAPlan.Memory full = LoRA.plan(base, LoRAConfig.builder().targets("layer1").updater(new Adam()).build(), BATCH,
                InputType.recurrent(3, 5)).full();

        assertThat(full.trained()).isEqualTo(Float.BYTES * head);
        assertThat(full.frozen()).isEqualTo(Float.BYTES * (base.numParams() - head));
        assertThat(full.updater()).isEqualTo(Float.BYTES * 2 * head);
        assertThat(LoRA.summary(base).trainableParams()).isEqualTo(head);
    }

    @Test
    void aFrozenNetworkIsPlannedAsWhatItWasMadeOf() {
        LoRAConfig config = LoRAConfig.builder().rank(2).build();
        Model base = Networks.trainedLayers();

        assertThat(LoRA.plan(Models.freeze(base), config, BATCH)).isEqualTo(LoRA.plan(base, config, BATCH));
    }

    @Test
    void nobodyFindsWeightsThatWereOnlyPlanned() {
        plan(LoRAConfig.builder().quantize(Quantization.INT8).build());

        assertThat(FrozenWeightsRegistry.find("(not hashed)")).isEmpty();
    }

    @Test
    void theTableHasBothWaysToTrainSideBySide() {
        LoRAPlan plan = plan(LoRAConfig.builder().rank(2).build());

        assertThat(plan.toString()).startsWith(plan.layers().toString())
                .containsPattern("bytes of training, batch 8 +LoRA +all parameters")
                .containsPattern("gradients +" + plan.adapted().gradients() + " +" + plan.full().gradients())
                .containsPattern("adapter in a file +" + plan.adapterBytes() + "$");
        assertThat(plan.adapted().total()).isEqualTo(plan.adapted().frozen() + plan.adapted().trained()
                + plan.adapted().gradients() + plan.adapted().updater() + plan.adapted().activations()
                + plan.adapted().workspaces() + plan.adapted().scratch());
    }

    @Test
    void anEmptyBatchIsRefused() {
        assertThatThrownBy(() -> LoRA.plan(Networks.trainedLayers(), LoRAConfig.builder().build(), 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("The batch has 0 examples, but must have at least 1");
    }

    @Test
    void aSizeThatTheConfigurationDoesNotTellIsAskedFor() {
        MultiLayerNetwork images = network(InputType.convolutional(9, 9, 2), new ConvolutionLayer.Builder(3, 3).nOut(4).build(),
                new OutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());
        LoRAConfig config = LoRAConfig.builder().allTargets().rank(2).build();

        assertThatThrownBy(() -> LoRA.plan(images, config, BATCH)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("that feeds \"layer0\" (ConvolutionLayer)")
                .hasMessageContaining("InputType.convolutional(height, width, channels) for images");
        assertThatThrownBy(() -> LoRA.plan(images, config, BATCH, InputType.feedForward(9))).hasMessageContaining("\"layer0\"")
                .hasMessageContaining("Give the network's InputType");
        assertThatThrownBy(() -> LoRA.plan(images, config, BATCH, InputType.feedForward(9), InputType.feedForward(9)))
                .hasMessageContaining("Give one InputType for each");
        assertThat(LoRA.plan(images, config, BATCH, InputType.convolutional(9, 9, 2)).adapted().activations())
                .isGreaterThan(4L * BATCH * 4 * 7 * 7);
    }

    @Test
    void imagesThatComeAsRowsNeedNoInputType() {
        MultiLayerNetwork images = network(InputType.convolutionalFlat(9, 9, 2),
                new ConvolutionLayer.Builder(3, 3).nOut(4).build(), output());

        assertThat(LoRA.plan(images, LoRAConfig.builder().allTargets().rank(2).build(), BATCH).full().activations()).isPositive();
    }

    @Test
    void theLengthOfSequencesIsAskedFor() {
        MultiLayerNetwork sequences = network(InputType.recurrent(3), new LSTM.Builder().nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());
        LoRAConfig config = LoRAConfig.builder().allTargets().rank(2).build();

        assertThatThrownBy(() -> LoRA.plan(sequences, config, BATCH, InputType.recurrent(3)))
                .hasMessageContaining("The length of the sequences of \"layer0\" (LSTM) is not known")
                .hasMessageContaining("InputType.recurrent(size, steps)");
        long twenty = activations(sequences, config, 20);
        assertThat(activations(sequences, config, 30) - twenty).as("what ten more steps take")
                .isCloseTo(twenty - activations(sequences, config, 10), org.assertj.core.api.Assertions.within(16L)).isPositive();
    }

    private static long activations(Model network, LoRAConfig config, int steps) {
        return LoRA.plan(network, config, BATCH, InputType.recurrent(3, steps)).adapted().activations();
    }

    /** DL4J takes every sequence of words for one word. */
    @Test
    void wordsAreCountedByTheLengthThatIsGiven() {
        MultiLayerNetwork words = network(InputType.recurrent(50, 6),
                new EmbeddingSequenceLayer.Builder().nIn(50).nOut(8).build(), new LSTM.Builder().nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());
        LoRAConfig config = LoRAConfig.builder().targets(LayerType.EMBEDDING).rank(2).build();

        assertThat(LoRA.plan(words, config, BATCH, InputType.feedForward(6)))
                .isEqualTo(LoRA.plan(words, config, BATCH, InputType.recurrent(1, 6)))
                .isNotEqualTo(LoRA.plan(words, config, BATCH, InputType.feedForward(7)));
    }

    /** Rows are sequences again at the end, of which DL4J does not know the length. */
    @Test
    void sequencesThatWereRowsKeepTheirLength() {
        MultiLayerNetwork steps = network(InputType.recurrent(3, 10), new DenseLayer.Builder().nOut(5).build(),
                new LSTM.Builder().nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());

        assertThat(activations(steps, LoRAConfig.builder().rank(2).build(), 20)).isGreaterThan(4L * BATCH * 20 * (2 * 5 + 4));
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build();
    }

    private static MultiLayerNetwork network(InputType input, Layer... layers) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .list(layers).setInputType(input).build());
    }

    /** Whatever the data, which a plan does not have. */
    @Test
    void startsFromDataThatNoDataMakesPossibleAreRefused() {
        DataSetIterator data = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 30, 1)));
        for (LoRAConfig.Builder builder : List.of(LoRAConfig.builder().rank(2).loraInit(LoRAInit.EVA).rankBudget(400),
                LoRAConfig.builder().rank(2).rankBudget(3), LoRAConfig.builder().rank(2).loraInit(LoRAInit.EVA).rankBudget(3)
                        .override("fc2", o -> o.loraInit(LoRAInit.PISSA)))) {
            Throwable expected = catchThrowable(() -> LoRA.apply(Networks.trainedLayers(), builder.build(), data));

            assertThatThrownBy(() -> LoRA.plan(Networks.trainedLayers(), builder.build(), BATCH))
                    .isInstanceOf(IllegalArgumentException.class).hasMessage(expected.getMessage());
        }
        MultiLayerNetwork sequences = network(InputType.recurrent(3), new LSTM.Builder().name("lstm").nOut(4).build(),
                new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build());
        assertThatThrownBy(() -> LoRA.plan(sequences, LoRAConfig.builder().targets("lstm").loraInit(LoRAInit.EVA).build(), BATCH,
                InputType.recurrent(3, 5))).hasMessageContaining("LoRAInit.EVA").hasMessageContaining("\"lstm\" (LSTM)");
    }

    @Test
    void anInputOfAnotherWidthIsRefused() {
        LoRAConfig config = LoRAConfig.builder().rank(2).build();
        MultiLayerNetwork sequences = network(InputType.recurrent(3), new LSTM.Builder().nOut(4).build(),
                new DenseLayer.Builder().nOut(4).build(), output());

        assertThatThrownBy(() -> LoRA.plan(Networks.trainedLayers(), config, BATCH, InputType.feedForward(99)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("\"fc1\" (DenseLayer) takes 6 values")
                .hasMessageContaining("99");
        assertThatThrownBy(() -> LoRA.plan(sequences, config, BATCH, InputType.recurrent(9, 5)))
                .hasMessageContaining("\"layer0\" (LSTM) takes 3 values").hasMessageContaining("9");
    }
}
