package io.github.dl4jlora.conf;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.listeners.Checkpoint;
import org.deeplearning4j.optimize.listeners.CheckpointListener;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.SgdUpdater;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.AdaDelta;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nadam;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.RmsProp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.learning.regularization.WeightDecay;
import org.nd4j.linalg.schedule.ExponentialSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Several batches make one update, and it is the update of one batch of all their examples. */
class AccumulatedTest {

    private static final int BATCHES = 3;
    private static final int EXAMPLES = 4;

    @TempDir
    private File folder;

    static Stream<IUpdater> updaters() {
        return Stream.of(new Sgd(0.1), new Nesterovs(0.05, 0.9), new Adam(0.01), new AMSGrad(0.01), new Nadam(0.01),
                new AdaGrad(0.05), new AdaDelta(), new RmsProp(0.01),
                new Adam(new ExponentialSchedule(ScheduleType.ITERATION, 0.05, 0.5)),
                new Sgd(new ExponentialSchedule(ScheduleType.EPOCH, 0.05, 0.5)));
    }

    private static LoRAConfig.Builder config(IUpdater updater) {
        return LoRAConfig.builder().rank(2).alpha(2).targets("fc1").trainable("out").bias(BiasTraining.LORA_ONLY)
                .variant(new DoRA()).loraPlusRatio(updater.hasLearningRate() ? 4 : 1).updater(updater);
    }

    private static Model adapted(IUpdater updater) {
        Model adapted = Models.apply(Networks.trainedGraph(DataType.DOUBLE), config(updater).weightDecay(0.1).l1(0.01).build());
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        return adapted;
    }

    private static DataSet batch(int update) {
        return Networks.data(DataType.DOUBLE, BATCHES * EXAMPLES, 70 + update);
    }

    private static List<DataSet> parts(int update) {
        return batch(update).batchBy(EXAMPLES);
    }

    private static void assertClose(Model actual, Model expected) {
        Networks.assertClose("parameters", actual.params(), expected.params(), 1e-9);
    }

    @ParameterizedTest
    @MethodSource("updaters")
    void threeBatchesMakeTheUpdateOfOne(IUpdater updater) {
        Model whole = adapted(updater);
        Model accumulated = adapted(new Accumulated(updater, BATCHES));
        for (int update = 0; update < 4; update++) {
            Models.fit(whole, batch(update));
            parts(update).forEach(part -> Models.fit(accumulated, part));
        }

        assertClose(accumulated, whole);
    }

    @Test
    void parametersStayWhatTheyAreUntilTheLastBatch() {
        Model accumulated = adapted(new Accumulated(new AdaDelta(), BATCHES));
        INDArray before = accumulated.params().dup();

        Models.fit(accumulated, parts(0).get(0));
        Models.fit(accumulated, parts(0).get(1));
        assertThat(accumulated.params()).isEqualTo(before);

        Models.fit(accumulated, parts(0).get(2));
        assertThat(accumulated.params()).isNotEqualTo(before);
    }

    @ParameterizedTest
    @MethodSource("updaters")
    void aNetworkThatIsSavedWithinAGroupGoesOnInIt(IUpdater updater) throws Exception {
        Model whole = adapted(updater);
        Model accumulated = adapted(new Accumulated(updater, BATCHES));
        for (int update = 0; update < 2; update++) {
            Models.fit(whole, batch(update));
            for (DataSet part : parts(update)) {
                Models.fit(accumulated, part);
                File file = new File(folder, "saved.zip");
                ModelSerializer.writeModel(accumulated, file, true);
                Model restored = ModelSerializer.restoreComputationGraph(file, true);
                assertThat(LoRA.restore(file.toPath(), true).paramTable()).isEqualTo(restored.paramTable());
                accumulated = restored;
            }
        }

        assertClose(accumulated, whole);
    }

    @Test
    void aRateThatIsSetWithinAGroupIsThatOfItsUpdate() {
        ComputationGraph whole = (ComputationGraph) adapted(new Adam(0.5));
        whole.setLearningRate(0.01);
        Models.fit(whole, batch(0));
        ComputationGraph accumulated = (ComputationGraph) adapted(new Accumulated(new Adam(0.5), BATCHES));
        List<DataSet> parts = parts(0);
        accumulated.fit(parts.get(0));
        accumulated.setLearningRate(0.01);
        accumulated.fit(parts.get(1));
        accumulated.fit(parts.get(2));

        assertThat(accumulated.getLearningRate("out")).isEqualTo(0.01);
        assertClose(accumulated, whole);
    }

    @Test
    void anotherAdapterGetsNoGradientOfTheOneBefore() {
        ComputationGraph expected = (ComputationGraph) adapted(new Sgd(0.3));
        ComputationGraph accumulated = (ComputationGraph) adapted(new Accumulated(new Sgd(0.3), BATCHES));
        LoRAAdapter other = LoRAAdapter.of(expected);
        Networks.randomizeAdapters(accumulated.paramTable(), 4);

        accumulated.fit(batch(1));
        other.applyTo(accumulated);
        parts(0).forEach(accumulated::fit);
        expected.fit(batch(0));

        assertClose(accumulated, expected);
    }

    /** As Spark makes a replica in each round; DL4J takes the updater's state along. */
    @ParameterizedTest
    @MethodSource("updaters")
    void groupsGoOnInCopiesThatCountFromZero(IUpdater updater) {
        Model whole = adapted(updater);
        Models.fit(whole, batch(0));
        ComputationGraph accumulated = (ComputationGraph) adapted(new Accumulated(updater, BATCHES));
        for (DataSet part : parts(0)) {
            accumulated = accumulated.clone();
            assertThat(accumulated.getIterationCount()).isZero();
            accumulated.fit(part);
        }

        assertClose(accumulated, whole);
    }

    /** Which DL4J writes before it counts the iteration. */
    @Test
    void trainingGoesOnWhereAListenersCheckpointEnds() {
        ComputationGraph accumulated = (ComputationGraph) adapted(new Accumulated(new Adam(0.01), BATCHES));
        CheckpointListener checkpoints = new CheckpointListener.Builder(folder).saveEveryNIterations(1).keepAll().build();
        accumulated.setListeners(checkpoints);
        List<DataSet> parts = Stream.of(0, 1).flatMap(update -> parts(update).stream()).toList();
        parts.forEach(accumulated::fit);

        assertThat(checkpoints.availableCheckpoints()).hasSize(parts.size() - 1);
        for (Checkpoint checkpoint : checkpoints.availableCheckpoints()) {
            ComputationGraph restored = checkpoints.loadCheckpointCG(checkpoint);
            parts.subList(checkpoint.getIteration() + 1, parts.size()).forEach(restored::fit);
            assertClose(restored, accumulated);
        }
    }

    @Test
    void anotherUpdaterIsNotAskedForItsState() {
        ComputationGraph network = LoRA.apply(Networks.trainedGraph(DataType.DOUBLE), config(new Reserved()).build());
        network.fit(parts(0).get(0));
        LoRAAdapter adapter = LoRAAdapter.of(network);

        assertThatCode(() -> adapter.applyTo(network)).doesNotThrowAnyException();
    }

    /** A user's own updater, which does not tell its state. */
    private static final class Reserved extends Sgd {

        private static final long serialVersionUID = 1L;

        @Override
        public GradientUpdater<Sgd> instantiate(INDArray view, boolean initialize) {
            return new SgdUpdater(this) {
                @Override
                public Map<String, INDArray> getState() {
                    throw new UnsupportedOperationException("state");
                }
            };
        }

        @Override
        public Sgd clone() {
            return new Reserved();
        }
    }

    @Test
    void groupsGoOnInTheNextEpoch() {
        Model whole = adapted(new Adam(0.01));
        Models.fit(whole, DataSet.merge(List.of(parts(0).get(0), parts(0).get(1), parts(0).get(0))));
        Model accumulated = adapted(new Accumulated(new Adam(0.01), BATCHES));
        DataSet twoBatches = DataSet.merge(parts(0).subList(0, 2));

        for (int epoch = 0; epoch < 2; epoch++) {
            Models.fit(accumulated, new ListDataSetIterator<>(twoBatches.asList(), EXAMPLES));
        }

        assertClose(accumulated, whole);
    }

    /** As ParallelWrapper averages parameters and updater states after each batch, but when both have ended for certain. */
    @Test
    void twoWorkersThatAverageMakeOneUpdateOfAllTheirBatches() {
        ComputationGraph whole = (ComputationGraph) adapted(new Sgd(0.1));
        whole.fit(batch(0));
        ComputationGraph one = (ComputationGraph) adapted(new Accumulated(new Sgd(0.1), BATCHES));
        ComputationGraph other = (ComputationGraph) adapted(new Accumulated(new Sgd(0.1), BATCHES));
        List<DataSet> parts = parts(0);
        for (int i = 0; i < BATCHES; i++) {
            one.fit(parts.get(i));
            other.fit(parts.get((i + 1) % BATCHES));
            Nd4j.averageAndPropagate(List.of(one.params(), other.params()));
            Nd4j.averageAndPropagate(List.of(one.getUpdater().getStateViewArray(), other.getUpdater().getStateViewArray()));
        }

        assertClose(one, whole);
        assertClose(other, whole);
    }

    @Test
    void replicasThatHadDifferentNumbersOfBatchesMakeAnUpdateOfTheMeanOfAll() {
        List<DataSet> parts = batch(0).batchBy(2);
        ComputationGraph whole = (ComputationGraph) adapted(new Sgd(0.1));
        // The last batch is that of both replicas.
        whole.fit(DataSet.merge(List.of(parts.get(0), parts.get(1), parts.get(2), parts.get(3), parts.get(3))));
        ComputationGraph one = (ComputationGraph) adapted(new Accumulated(new Sgd(0.1), BATCHES));
        ComputationGraph other = (ComputationGraph) adapted(new Accumulated(new Sgd(0.1), BATCHES));

        one.fit(parts.get(0));
        one.fit(parts.get(1));
        other.fit(parts.get(2));
        Nd4j.averageAndPropagate(List.of(one.getUpdater().getStateViewArray(), other.getUpdater().getStateViewArray()));
        for (ComputationGraph replica : List.of(one, other)) {
            replica.fit(parts.get(3));
            assertClose(replica, whole);
        }
    }

    @ParameterizedTest
    @MethodSource("updaters")
    void aPlanCountsSumAndNumber(IUpdater updater) {
        LoRAConfig config = config(new Accumulated(updater, BATCHES)).build();
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        ComputationGraph adapted = LoRA.apply(base, config);

        assertThat(LoRA.plan(base, config, EXAMPLES).adapted().updater())
                .isEqualTo(8 * adapted.getUpdater().getStateViewArray().length());
    }

    @Test
    void itStandsInTheConfigurationAndMergedNetworksHaveItNot() {
        MultiLayerNetwork adapted = LoRA.apply(Networks.trainedLayers(), config(new Accumulated(new Adam(0.01), 8)).build());
        String json = adapted.getLayerWiseConfigurations().toJson();

        BaseLayer read = (BaseLayer) MultiLayerConfiguration.fromJson(json).getConf(0).getLayer();
        assertThat(read.getIUpdater()).isEqualTo(new Accumulated(new Adam(0.01), 8)).hasToString("Accumulated("
                + new Adam(0.01) + ", 8)");
        assertThat(LoRA.merge(adapted).getLayerWiseConfigurations().toJson()).doesNotContain("dl4jlora");
    }

    /** Which would be a part of the file, and would update one layer with each batch and another with each eighth. */
    @Test
    void noLayerOfAMergedOrUnloadedNetworkHasIt() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1)
                .updater(new Accumulated(new Adam(0.01), 8)).list()
                .layer(new DenseLayer.Builder().nIn(3).nOut(4).name("frozen").build())
                .layer(new LastTimeStep(new SimpleRnn.Builder().nIn(4).nOut(4).name("rnn").build()))
                .layer(new LoRADenseLayer.Builder().nIn(4).nOut(4).rank(2).name("declared").build())
                .layer(new DenseLayer.Builder().nIn(4).nOut(4).name("adapted").build())
                .layer(new OutputLayer.Builder().nIn(4).nOut(2).name("out").build()).build());
        MultiLayerNetwork adapted = LoRA.apply(LoRA.merge(base), LoRAConfig.builder().targets("adapted").trainable("out")
                .updater(new Accumulated(new Adam(0.01), 8)).build());

        for (MultiLayerNetwork stock : List.of(LoRA.merge(base), LoRA.merge(adapted), LoRA.unload(adapted))) {
            assertThat(stock.getLayerWiseConfigurations().toJson()).doesNotContain("dl4jlora");
        }
    }

    @Test
    void anotherUpdaterIsAnotherBlock() {
        Accumulated accumulated = new Accumulated(new Adam(0.01), 8);

        assertThat(accumulated).isEqualTo(accumulated.clone()).hasSameHashCodeAs(accumulated.clone())
                .isNotEqualTo(new Accumulated(new Adam(0.02), 8)).isNotEqualTo(new Accumulated(new Adam(0.01), 4))
                .isNotEqualTo(new Adam(0.01));
        assertThat(new Accumulated(new NoOp(), 2).hasLearningRate()).isFalse();
        assertThat(new Accumulated(new Adam(new ExponentialSchedule(ScheduleType.ITERATION, 1, 0.5)), 2).getLearningRate(5, 0))
                .isEqualTo(0.25);
    }

    @Test
    void whatIsNoNumberOfBatchesIsRefused() {
        assertThatThrownBy(() -> new Accumulated(new Adam(), 0)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("new Accumulated(…, 0): an update needs at least 1 batch. Give the number of batches whose gradients "
                        + "make one update, such as 8");
        assertThatThrownBy(() -> new Accumulated(new Accumulated(new Sgd(0.1), 2), 4))
                .isInstanceOf(IllegalArgumentException.class).hasMessageEndingWith(
                        ", 4) accumulates twice. Give one Accumulated the product of both numbers");
    }

    @ParameterizedTest
    @CsvSource({"BFLOAT16, 256", "HALF, 2048"})
    void moreBatchesThanTheDataTypeCountsAreRefused(DataType type, int most) {
        INDArray state = Nd4j.zeros(type, 2);

        assertThatCode(() -> new Accumulated(new Sgd(0.1), most).instantiate(state, true)).doesNotThrowAnyException();
        assertThatThrownBy(() -> new Accumulated(new Sgd(0.1), most + 1).instantiate(state, true))
                .isInstanceOf(IllegalArgumentException.class).hasMessageEndingWith(", %d) counts batches in the network's data "
                        + "type, %s, which does not hold every number up to %d. Give Accumulated fewer batches, or use a network "
                        + "of FLOAT", most + 1, type, most + 1);
    }

    @Test
    void weightDecayWithoutTheLearningRateIsRefused() {
        MultiLayerNetwork base = Networks.trainedLayers();
        ((BaseLayer) base.getLayer(2).conf().getLayer()).setRegularization(List.of(new WeightDecay(0.1, false)));
        LoRAConfig config = config(new Accumulated(new Adam(), 8)).build();
        String message = "Layer \"out\" makes an update of 8 batches, but DL4J would subtract its WeightDecay after each batch, "
                + "since it does not depend on the learning rate. Configure the layer with new WeightDecay(coefficient, true), "
                + "or give it an updater without Accumulated";

        assertThatThrownBy(() -> LoRA.apply(base, config)).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
        assertThatThrownBy(() -> LoRA.plan(base, config, 8)).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
    }

    @Test
    void clippingIsWarnedOf() {
        MultiLayerNetwork base = Networks.trainedLayers();
        ((BaseLayer) base.getLayer(2).conf().getLayer()).setGradientNormalization(GradientNormalization.ClipL2PerLayer);
        try (LogCapture log = LogCapture.ofLibrary()) {
            LoRA.apply(base, config(new Accumulated(new Adam(), 8)).build());

            assertThat(log.messages()).containsExactly("Layers [out]: DL4J normalizes or clips the gradient of each batch, and "
                    + "Accumulated takes the mean of what is left. One batch of all examples would be clipped once");
        }
    }

    @Test
    void nobodyIsWarnedOfAGradientThatWaits() {
        try (LogCapture log = LogCapture.ofLibrary()) {
            Model adapted = Models.apply(Networks.trainedGraph(DataType.DOUBLE),
                    LoRAConfig.builder().rank(2).updater(new Accumulated(new Sgd(0.1), 8)).build());
            for (int i = 0; i < 12; i++) {
                Models.fit(adapted, parts(0).get(0));
            }

            assertThat(log.messages()).isEmpty();
        }
    }
}
