package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.impl.ActivationRReLU;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** What readers of the code found: something of one network that reached another, or was lost on the way to it. */
class KeptApartTest {

    private static final Sgd RATE = new Sgd(0.125);

    @Test
    void aRateThatIsSetReachesNeitherTheBaseNorItsOtherNetworks() {
        MultiLayerNetwork base = Networks.trainedLayers(DataType.FLOAT, RATE.clone());
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("fc1").trainable("out").copyBase(true).build();
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        MultiLayerNetwork other = LoRA.apply(base, config);
        MultiLayerNetwork merged = LoRA.merge(tuned);

        tuned.setLearningRate(1);

        for (int layer = 0; layer < 3; layer++) {
            assertThat(base.getLearningRate(layer)).as("layer %d", layer).isEqualTo(RATE.getLearningRate());
            assertThat(merged.getLearningRate(layer)).as("layer %d, merged", layer).isEqualTo(RATE.getLearningRate());
        }
        assertThat(other.getLearningRate(2)).isEqualTo(RATE.getLearningRate());
        assertThat(tuned.getLearningRate(2)).isEqualTo(1);
    }

    @Test
    void aRateThatIsSetOnACloneReachesNotTheOriginal() {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(DataType.FLOAT, new Adam(0.01)),
                LoRAConfig.builder().rank(2).targets("fc1").updater(RATE.clone()).build());
        MultiLayerNetwork clone = tuned.clone();

        clone.setLearningRate(1);

        assertThat(clone.getLearningRate(0)).isEqualTo(1);
        assertThat(tuned.getLearningRate(0)).isEqualTo(RATE.getLearningRate());
    }

    /** What dropout and RReLU drew in a forward pass is theirs until the backward pass. */
    private static Stream<Layer> thatKeepWhatTheyDrew() {
        return Stream.of(new Upsampling2D.Builder(2).build(), new ActivationLayer(new ActivationRReLU()),
                new ConvolutionLayer.Builder(1, 1).activation(new ActivationRReLU()).nOut(2).build(),
                new DenseLayer.Builder().activation(new ActivationRReLU()).nOut(4).build());
    }

    @ParameterizedTest
    @MethodSource("thatKeepWhatTheyDrew")
    void whatOneNetworkDrewReachesNoOther(Layer drawing) {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dropOut(0.5).list()
                .layer(new ConvolutionLayer.Builder(1, 1).name("first").nOut(2).build()).layer(drawing)
                .layer(new OutputLayer.Builder().name("out").nOut(2).build())
                .setInputType(InputType.convolutional(3, 3, 1)).build());
        LoRAConfig config = LoRAConfig.builder().rank(2).targets(".*").updater(RATE.clone()).build();
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 5, 4, 1, 3, 3), Networks.random(DataType.FLOAT, 6, 4, 2));
        List<MultiLayerNetwork> others = List.of(base, LoRA.apply(base, config), LoRA.freeze(base));
        MultiLayerNetwork alone = LoRA.apply(base, config);
        MultiLayerNetwork beside = LoRA.apply(base, config);
        beside.setListeners(new BaseTrainingListener() {
            @Override
            public void onForwardPass(Model model, List<INDArray> activations) {
                // In a thread of its own, since workspaces belong to threads.
                CompletableFuture.runAsync(() -> others.forEach(other -> other.output(data.getFeatures()))).join();
            }
        });

        Nd4j.getRandom().setSeed(1);
        alone.fit(data);
        Nd4j.getRandom().setSeed(1);
        beside.fit(data);

        assertThat(beside.params()).isEqualTo(alone.params());
    }

    @Test
    void aRateThatIsSetReachesNoBaseThroughAWrapper() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(RATE.clone()).list()
                .layer(new LastTimeStep(new LSTM.Builder().nIn(3).nOut(4).build()))
                .layer(new DenseLayer.Builder().nIn(4).nOut(4).build()).layer(new OutputLayer.Builder().nIn(4).nOut(2).build())
                .build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).build());

        tuned.setLearningRate(1);

        LastTimeStep wrapper = (LastTimeStep) base.getLayerWiseConfigurations().getConf(0).getLayer();
        assertThat(((LSTM) wrapper.getUnderlying()).getIUpdater()).isEqualTo(RATE);
    }

    private static MultiLayerNetwork sequences(double dropOut, Layer layer, Layer out) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).dropOut(dropOut)
                .updater(new Adam(0.01)).list().layer(layer).layer(out).setInputType(InputType.recurrent(3, 5)).build());
    }

    private static MultiLayerNetwork withDropoutInside() {
        return sequences(0.8, new Bidirectional(new LSTM.Builder().nOut(4).build()),
                new RnnOutputLayer.Builder().nOut(2).build());
    }

    @Test
    void aBaseWithDropoutInABidirectionalLayerTrainsAsBeforeOnceItIsAdapted() {
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 5, 4, 3, 5), Networks.random(DataType.FLOAT, 6, 4, 2, 5));
        MultiLayerNetwork base = withDropoutInside();
        MultiLayerNetwork alone = withDropoutInside();

        LoRA.apply(base, LoRAConfig.builder().rank(2).targets(LayerType.RECURRENT).copyBase(true).build()).clone().fit(data);
        LoRA.freeze(base).clone().output(data.getFeatures());
        Nd4j.getRandom().setSeed(1);
        base.fit(data);
        Nd4j.getRandom().setSeed(1);
        alone.fit(data);

        assertThat(base.params()).isEqualTo(alone.params());
    }

    private static Stream<Layer> around() {
        return Stream.of(new Bidirectional(new LSTM.Builder().nOut(4).build()),
                new LastTimeStep(new LSTM.Builder().nOut(4).build()), new MaskZeroLayer(new LSTM.Builder().nOut(4).build(), 0),
                new TimeDistributed(new DenseLayer.Builder().nOut(4).build()),
                new FrozenLayerWithBackprop(new DenseLayer.Builder().nOut(4).build()));
    }

    @ParameterizedTest
    @MethodSource("around")
    void dropoutThatFineTuningGivesReachesNeitherBaseNorAdaptedNetworkThroughAWrapper(Layer wrapper) {
        MultiLayerNetwork base = sequences(0, wrapper, wrapper instanceof LastTimeStep
                ? new OutputLayer.Builder().nOut(2).build() : new RnnOutputLayer.Builder().nOut(2).build());
        String before = Models.json(base);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("layer0").build());
        String adapted = Models.json(tuned);

        MultiLayerNetwork changed = new TransferLearning.Builder(tuned)
                .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(1).dropOut(0.8).build()).build();

        assertThat(Models.json(changed)).contains("\"p\" : 0.8");
        assertThat(Models.json(LoRA.merge(changed))).contains("\"p\" : 0.8");
        assertThat(Models.json(tuned)).isEqualTo(adapted);
        assertThat(Models.json(base)).isEqualTo(before);
    }

    @Test
    void whatTrainsInFullIsNotTakenForTheBasesOnceLayersHaveNumbers() {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().rank(2).targets("fc1")
                .trainable("out").build());
        tuned.fit(Networks.data(DataType.FLOAT, 8, 1));
        ComputationGraph graph = tuned.toComputationGraph();

        assertThatThrownBy(() -> LoRA.unload(graph)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"2\" are trained in full");
        assertThatThrownBy(() -> LoRA.disabled(graph)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"2\" are trained in full");
    }

    private static MultiLayerNetwork scaled() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1))
                .list().layer(new DenseLayer.Builder().name("fc1").nIn(4).nOut(4).build())
                .layer(new ElementWiseMultiplicationLayer.Builder().name("scale").nIn(4).nOut(4).build())
                .layer(new OutputLayer.Builder().name("out").nIn(4).nOut(2).build()).build());
    }

    @Test
    void anElementWiseLayerIsTheSameInitialisedAndCopied() {
        MultiLayerNetwork base = scaled();
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc1").build());

        LoRA.attach(tuned, base.clone());

        INDArray input = Networks.random(DataType.FLOAT, 5, 3, 4);
        assertThat(tuned.output(input)).isEqualTo(base.output(input));
    }

    @Test
    void anElementWiseLayerThatTrainedInFullIsGivenBack() {
        MultiLayerNetwork base = scaled();
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc1").trainable("scale")
                .updater(new Sgd(1)).build());
        tuned.fit(new DataSet(Networks.random(DataType.FLOAT, 5, 3, 4), Networks.random(DataType.FLOAT, 6, 3, 2)));
        assertThat(tuned.getParam("1_W")).isNotEqualTo(base.getParam("1_W"));

        assertThat(LoRA.unload(tuned).params()).isEqualTo(base.params());
    }

    /** Of full rank, what quantising lost is there in full. */
    @Test
    void aDoraThatStartsFromWhatQuantisingLostComputesWhatTheBaseComputes() {
        MultiLayerNetwork base = Networks.trainedLayers(DataType.DOUBLE, new Adam(0.01));
        INDArray input = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(5).targets("fc1", "fc2").exclude("out")
                .quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ).variant(new DoRA()).build());
        MultiLayerNetwork plain = LoRA.apply(base, LoRAConfig.builder().rank(5).targets("fc1", "fc2").exclude("out")
                .quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ).build());

        assertThat(tuned.output(input).distance2(plain.output(input))).isCloseTo(0, within(1e-6));
    }

    @Test
    void aFrozenStartFromWhatQuantisingLostIsRefusedWhereItCannotBeComputed() throws Exception {
        MultiLayerNetwork base = Networks.trainedLayers();
        String json = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc1").quantize(Quantization.NF4)
                .loraInit(LoRAInit.LOFTQ).variant(new FrozenALoRA()).build()).getLayerWiseConfigurations().toJson();
        MultiLayerNetwork restored = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(
                json.replaceAll("(?s)(\"constants\"\\s*:\\s*\\{.*?\"id\"\\s*:\\s*\")[0-9a-f]{64}", "$1" + "0".repeat(64))));

        // Where the base's values are still here, the first of these calls already needs the start.
        assertThatThrownBy(() -> {
            restored.init();
            LoRA.attach(restored, base);
        }).isInstanceOf(IllegalStateException.class).hasMessageContaining("what quantising lost", "LoRA.save");
    }

    @Test
    void theLargestRanksOfAStartFromWhatQuantisingLostAreTold() {
        LoRAConfig config = LoRAConfig.builder().rank(64).quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ).build();

        assertThat(LoRA.largestRanks(Networks.trainedLayers(), config)).isEqualTo(Map.of("fc1", 5L, "fc2", 5L));
    }

    @Test
    void whatIsMergedStaysPacked() {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().rank(2).pack(true).build());

        assertThat(LoRA.summary(LoRA.merging(tuned).layers("fc1").merge()).rows()).extracting(row -> row.storedAs())
                .containsExactlyElementsOf(LoRA.summary(tuned).rows().stream().map(row -> row.storedAs()).toList());
    }

    /** RW is restored in chunks, the last of which ND4J's own views did not find. */
    @ParameterizedTest
    @EnumSource
    void quantisedRecurrentLayersOfOrdinarySizeAreMerged(Quantization scheme) {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().name("lstm").nIn(64).nOut(256).build())
                .layer(new RnnOutputLayer.Builder().nIn(256).nOut(2).build()).build());
        INDArray input = Networks.random(DataType.FLOAT, 5, 2, 64, 3);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm").quantize(scheme).build());

        assertThat(LoRA.merge(tuned).output(input).distance2(base.output(input))).isLessThan(0.1);
    }

    @Test
    void examplesOfAViewAreComputedWithTheirAdapters() {
        MultiLayerNetwork base = Networks.trainedLayers(DataType.DOUBLE, new Adam(0.01));
        LoRAConfig config = LoRAConfig.builder().rank(2).build();
        INDArray view = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN).get(NDArrayIndex.interval(1, 4), NDArrayIndex.all());
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().build())) {
            for (int i = 0; i < 2; i++) {
                MultiLayerNetwork tuned = LoRA.apply(base, config);
                Networks.randomizeAdapters(tuned.paramTable(), i);
                bank.add("ab".substring(i, i + 1), LoRAAdapter.of(tuned));
            }

            assertThat(bank.output(new String[] {"a", "a", "b"}, view)).isEqualTo(bank.output(new String[] {"a", "a", "b"},
                    view.dup()));
        }
    }

    /** DL4J masks the output of such a layer, and not what goes into its activation. */
    @Test
    void aMaskOfWeightsCountsOnceInTheOutputOfASequence() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).activation(Activation.IDENTITY).name("out")
                        .nIn(4).nOut(2).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("out").build());
        INDArray input = Networks.random(DataType.FLOAT, 5, 2, 3, 3);
        INDArray mask = Nd4j.createFromArray(new float[][] {{1, 0.5f, 0}, {0.25f, 1, 1}});

        assertThat(tuned.output(input, false, null, mask).distance2(base.output(input, false, null, mask))).isCloseTo(0,
                within(1e-6));
    }

    @Test
    void aNormalisationOfValuesFarFromZeroKeepsItsDigits() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new BatchNormalization.Builder().nOut(64).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).activation(Activation.IDENTITY).name("out")
                        .nIn(64).nOut(2).build()).build());
        base.setParam("0_mean", Nd4j.valueArrayOf(new long[] {1, 64}, 1e5f));
        base.setParam("0_var", Nd4j.valueArrayOf(new long[] {1, 64}, 1.7f));
        INDArray input = Networks.random(DataType.FLOAT, 5, 2048, 64).addi(1e5);

        INDArray expected = base.output(input);
        assertThat(Networks.difference(LoRA.freeze(base).output(input), expected)).isLessThan(1e-5);
    }

    /** Counts how often it is computed in a training pass. */
    private static final class Counted extends ActivationTanH {

        private static final long serialVersionUID = 1L;
        private static final AtomicInteger CALLS = new AtomicInteger();

        @Override
        public INDArray getActivation(INDArray in, boolean training) {
            CALLS.addAndGet(training ? 1 : 0);
            return super.getActivation(in, training);
        }

        static int during(Runnable work) {
            CALLS.set(0);
            work.run();
            return CALLS.get();
        }
    }

    private static ComputationGraph blocks() {
        ComputationGraphConfiguration.GraphBuilder builder = new NeuralNetConfiguration.Builder().seed(5)
                .updater(new Sgd(0.01)).activation(Activation.TANH).graphBuilder().addInputs("in");
        String below = "in";
        for (String name : List.of("a", "b", "c")) {
            builder.addLayer(name, new DenseLayer.Builder().nIn(4).nOut(4).activation(new Counted()).build(), below);
            below = name;
        }
        return Networks.of(builder.addLayer("out", new OutputLayer.Builder().nIn(4).nOut(2).build(),
                below).setOutputs("out").build());
    }

    @Test
    void sweepsAndPartialMergesComputeAgainWhatTheNetworkDoes() {
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 5, 3, 4), Networks.random(DataType.FLOAT, 6, 3, 2));
        LoRAConfig config = LoRAConfig.builder().rank(2).updater(new Sgd(0.01)).build();
        ComputationGraph plain = LoRA.apply(blocks(), config);
        ComputationGraph again = LoRA.apply(blocks(), config.toBuilder().recompute("a", "c").build());
        int step = Counted.during(() -> plain.fit(data));
        int stepAgain = Counted.during(() -> again.fit(data));
        assertThat(stepAgain).isGreaterThan(step);

        int swept = Counted.during(() -> sweep(plain, data));
        assertThat(Counted.during(() -> sweep(again, data)) * step).isEqualTo(swept * stepAgain);
        ComputationGraph merged = LoRA.merging(again).layers("b").merge();
        assertThat(Counted.during(() -> merged.fit(data))).isEqualTo(stepAgain);
        assertThat(merged.output(data.getFeatures())[0].columns()).isEqualTo(2);
    }

    private static void sweep(ComputationGraph network, DataSet data) {
        LearningRateSweep.of(network).points(2).steps(2).run(new ExistingDataSetIterator(List.of(data)));
    }
}
