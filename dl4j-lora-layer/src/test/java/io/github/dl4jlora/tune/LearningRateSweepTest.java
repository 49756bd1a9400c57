package io.github.dl4jlora.tune;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.DataSetPreProcessor;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.schedule.ExponentialSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class LearningRateSweepTest {

    private static final double RATE = 0.05;

    /** Batches in another order each time it is reset, as many iterators of image folders do. */
    private static final class Shuffling extends ExistingDataSetIterator {

        private final List<DataSet> batches;
        private int resets;

        Shuffling(List<DataSet> batches) {
            super(batches);
            this.batches = batches;
        }

        @Override
        public void reset() {
            Collections.shuffle(batches, new Random(++resets));
            super.reset();
        }
    }

    private static DataSetIterator batches(int count) {
        return new ExistingDataSetIterator(IntStream.range(0, count).mapToObj(i -> Networks.data(DataType.FLOAT, 8, 1000 + i))
                .toList());
    }

    private static LearningRateSweep sweep(Model network) {
        return (network instanceof ComputationGraph graph ? LearningRateSweep.of(graph)
                : LearningRateSweep.of((MultiLayerNetwork) network)).from(RATE).to(8 * RATE).points(4).steps(3);
    }

    private static MultiLayerNetwork adapted(LoRAConfig.Builder config) {
        return LoRA.apply(Networks.trainedLayers(), config.seed(3).build());
    }

    private static LoRAConfig.Builder adam() {
        return LoRAConfig.builder().rank(2).alpha(2).updater(new Adam(RATE));
    }

    /** The loss of the third step at the network's own rate. */
    private static double thirdLoss(Model network) {
        Models.fitSteps(network, 0, 3);
        return network.score();
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void eachRateTrainsAsTheNetworkWould(Kind kind) {
        Model network = Models.apply(kind.base(), kind.config().updater(new Adam(RATE)).seed(3).build());

        LearningRates rates = sweep(network).run(batches(3));

        assertThat(rates.points()).extracting(LearningRates.Point::rate).hasSize(4).startsWith(RATE).endsWith(8 * RATE);
        assertThat(rates.points().get(1).rate()).isCloseTo(2 * RATE, within(1e-12));
        assertThat(rates.points().get(0).loss()).isEqualTo(thirdLoss(network));
    }

    @Test
    void itGoesOnWhereTheNetworkIs() {
        MultiLayerNetwork swept = adapted(adam());
        MultiLayerNetwork unswept = adapted(adam());
        Models.fitSteps(swept, 50, 55);
        Models.fitSteps(unswept, 50, 55);

        double loss = sweep(swept).run(batches(3)).points().get(0).loss();

        assertThat(loss).isEqualTo(thirdLoss(unswept));
    }

    @Test
    void aMultipleForBStaysOne() {
        LoRAConfig.Builder plus = adam().loraPlusRatio(16);

        assertThat(sweep(adapted(plus)).run(batches(3)).points().get(0).loss()).isEqualTo(thirdLoss(adapted(plus)))
                .isNotEqualTo(thirdLoss(adapted(adam())));
    }

    @Test
    void aScheduleMakesWayForEachRate() {
        IUpdater scheduled = new Adam(new ExponentialSchedule(ScheduleType.ITERATION, 7, 0.5));

        assertThat(sweep(adapted(adam().updater(scheduled))).run(batches(3)).points().get(0).loss())
                .isEqualTo(thirdLoss(adapted(adam())));
    }

    @Test
    void weightDecayGoesByTheRateTried() {
        LoRAConfig.Builder decaying = adam().weightDecay(0.5);

        assertThat(sweep(adapted(decaying)).run(batches(3)).points().get(0).loss()).isEqualTo(thirdLoss(adapted(decaying)))
                .isNotEqualTo(thirdLoss(adapted(adam())));
    }

    @Test
    void aStockNetworkIsSweptForFullFineTuning() {
        double loss = sweep(Networks.trainedLayers(DataType.FLOAT, new Adam(RATE))).run(batches(3)).points().get(0).loss();

        assertThat(loss).isEqualTo(thirdLoss(Networks.trainedLayers(DataType.FLOAT, new Adam(RATE))));
    }

    @Test
    void dropoutDrawsTheSameForEachRate() {
        LoRAConfig.Builder dropping = adam().loraDropout(0.5);
        MultiLayerNetwork network = adapted(dropping);

        LearningRates rates = sweep(network).to(RATE * (1 + 1e-12)).points(3).run(batches(3));

        assertThat(rates.points()).extracting(LearningRates.Point::loss).containsOnly(rates.points().get(0).loss());
    }

    @Test
    void theNetworkIsAsItWas() {
        MultiLayerNetwork network = adapted(adam().loraPlusRatio(4).loraDropout(0.1));
        MultiLayerNetwork twin = adapted(adam().loraPlusRatio(4).loraDropout(0.1));
        List<String> called = new ArrayList<>();
        for (MultiLayerNetwork each : List.of(network, twin)) {
            Nd4j.getRandom().setSeed(9);
            Models.fitSteps(each, 0, 3);
            each.setEpochCount(2);
        }
        network.setListeners(new BaseTrainingListener() {
            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                called.add("iteration " + iteration);
            }
        });
        double[] params = Models.params(network);
        double[] state = Models.updaterState(network);
        long root = Nd4j.getRandom().rootState();
        long node = Nd4j.getRandom().nodeState();
        long seed = Nd4j.getRandom().getSeed();

        sweep(network).run(batches(3));

        assertThat(called).isEmpty();
        assertThat(network.getListeners()).hasSize(1);
        assertThat(Models.params(network)).isEqualTo(params);
        assertThat(Models.updaterState(network)).isEqualTo(state);
        assertThat(network.getIterationCount()).isEqualTo(3);
        assertThat(network.getEpochCount()).isEqualTo(2);
        assertThat(network.getLearningRate(0)).isEqualTo(RATE);
        assertThat(List.of(Nd4j.getRandom().rootState(), Nd4j.getRandom().nodeState(), Nd4j.getRandom().getSeed()))
                .isEqualTo(List.of(root, node, seed));
        Models.fitSteps(network, 3, 6);
        Nd4j.getRandom().setStates(root, node);
        Models.fitSteps(twin, 3, 6);
        assertThat(Models.params(network)).isEqualTo(Models.params(twin));
        assertThat(called).hasSize(3);
    }

    @Test
    void aNetworkThatNeverTrainedGetsNoUpdater() {
        MultiLayerNetwork network = adapted(adam());

        sweep(network).run(batches(3));

        assertThat(network.getUpdater(false)).isNull();
    }

    @Test
    void recurrentStateStays() {
        MultiLayerNetwork base = recurrent();
        MultiLayerNetwork network = LoRA.apply(base, LoRAConfig.builder().targets("lstm").updater(new Adam(RATE)).build());
        INDArray piece = Networks.random(DataType.FLOAT, 4, 2, Networks.IN, 3);
        network.rnnTimeStep(piece);
        INDArray expected = network.rnnTimeStep(piece).dup();
        network.rnnClearPreviousState();
        network.rnnTimeStep(piece);

        LearningRates rates = sweep(network).run(new ExistingDataSetIterator(List.of(sequences())));

        assertThat(network.rnnTimeStep(piece)).isEqualTo(expected);
        // Two segments of each batch are one step.
        assertThat(rates.points().get(0).loss()).isLessThan(rates.untrained());
    }

    private static MultiLayerNetwork recurrent() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(5).updater(new Adam(RATE))
                .list().layer(new LSTM.Builder().name("lstm").nIn(Networks.IN).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").activation(Activation.IDENTITY).nOut(2).build())
                .backpropType(BackpropType.TruncatedBPTT).tBPTTLength(3).build());
    }

    /** The labels alone have a mask, which DL4J's fit of a MultiDataSet loses. */
    private static DataSet sequences() {
        INDArray mask = Nd4j.ones(DataType.FLOAT, 4, 6);
        mask.putScalar(0, 5, 0);
        return new DataSet(Networks.random(DataType.FLOAT, 1, 4, Networks.IN, 6), Networks.random(DataType.FLOAT, 2, 4, 2, 6),
                null, mask);
    }

    @Test
    void masksOfLabelsCount() {
        MultiLayerNetwork network = recurrent();
        DataSet masked = sequences();
        DataSet whole = new DataSet(masked.getFeatures(), masked.getLabels());

        double untrained = sweep(network).run(new ExistingDataSetIterator(List.of(masked))).untrained();

        assertThat(untrained).isNotEqualTo(sweep(network).run(new ExistingDataSetIterator(List.of(whole))).untrained());
    }

    @Test
    void anIteratorThatShufflesGivesEachRateTheSame() {
        List<DataSet> data = new ArrayList<>(IntStream.range(0, 6).mapToObj(i -> Networks.data(DataType.FLOAT, 8, i)).toList());

        LearningRates rates = sweep(adapted(adam())).to(RATE * (1 + 1e-12)).points(3).run(new Shuffling(data));

        assertThat(rates.points()).extracting(LearningRates.Point::loss).containsOnly(rates.points().get(0).loss());
    }

    @Test
    void fewBatchesAreTakenAgain() {
        MultiLayerNetwork network = adapted(adam());
        DataSetIterator one = batches(1);

        LearningRates rates = sweep(network).run(one);

        Models.fit(network, 1000);
        Models.fit(network, 1000);
        Models.fit(network, 1000);
        assertThat(rates.points().get(0).loss()).isEqualTo(network.score());
        assertThat(one.hasNext()).as("it was reset").isTrue();
    }

    @Test
    void heldOutDataDecidesIfThereIsSome() {
        MultiLayerNetwork network = adapted(adam());
        DataSetIterator heldOut = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 9, 5),
                Networks.data(DataType.FLOAT, 3, 6)));

        LearningRates rates = sweep(network).evaluateOn(heldOut).run(batches(3));

        Models.fitSteps(network, 0, 3);
        DataSet all = DataSet.merge(List.of(Networks.data(DataType.FLOAT, 9, 5), Networks.data(DataType.FLOAT, 3, 6)));
        assertThat(rates.points().get(0).loss()).isCloseTo(network.score(all), within(1e-5));
        assertThat(rates.heldOut()).isTrue();
    }

    @Test
    void aRateThatDivergesSaysSoAndLeavesNothing() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(5).updater(new Sgd(RATE))
                .list().layer(new DenseLayer.Builder().name("fc").activation(Activation.RELU).nIn(Networks.IN).nOut(4).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").activation(Activation.IDENTITY).nOut(Networks.OUT)
                        .build()).build());
        double[] params = Models.params(network);

        LearningRates rates = sweep(network).to(1e4).points(6).steps(10).run(batches(3));

        assertThat(rates.points().get(5).diverged()).isTrue();
        assertThat(rates.points().get(5).loss()).isNaN();
        assertThat(rates.best().diverged()).isFalse();
        assertThat(Models.params(network)).isEqualTo(params);
        assertThat(rates.toString()).contains("diverged");
    }

    @Test
    void whatFailsOnTheWayLeavesNothing() {
        MultiLayerNetwork network = adapted(adam());
        double[] params = Models.params(network);
        long root = Nd4j.getRandom().rootState();
        DataSetIterator data = batches(3);

        assertThatThrownBy(() -> sweep(network).watch(point -> {
            throw new IllegalStateException("stop");
        }).run(data)).hasMessage("stop");

        assertThat(Models.params(network)).isEqualTo(params);
        assertThat(Nd4j.getRandom().rootState()).isEqualTo(root);
        assertThat(data.hasNext()).isTrue();
    }

    /** DL4J subtracts such a decay after each step, whatever the rate. */
    @Test
    void aDecayThatIgnoresTheRateDoesNotChangeTheUntrainedNetwork() {
        List<DataSet> same = Collections.nCopies(3, batches(1).next());
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(RATE))
                .weightDecay(0.5, false).list()
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).nIn(Networks.IN).nOut(Networks.OUT)
                        .activation(Activation.SOFTMAX).build()).build());

        double untrained = sweep(network).run(new ExistingDataSetIterator(same)).untrained();

        assertThat(untrained).isCloseTo(network.score(same.get(0)), within(1e-5));
    }

    @Test
    void anIteratorsPreProcessorIsApplied() {
        DataSetIterator data = batches(3);
        data.setPreProcessor((DataSetPreProcessor) batch -> batch.getFeatures().muli(0));
        MultiLayerNetwork network = adapted(adam());

        double untrained = sweep(network).run(data).untrained();

        INDArray labels = Networks.data(DataType.FLOAT, 8, 1002).getLabels();
        assertThat(untrained).isCloseTo(network.score(new DataSet(Nd4j.zeros(8, Networks.IN), labels)), within(1e-5));
    }

    @Test
    void anOpenWorkspaceOfTheCallersStaysOpen() {
        MultiLayerNetwork network = adapted(adam());
        try (MemoryWorkspace workspace = Nd4j.getWorkspaceManager().getAndActivateWorkspace("caller")) {
            sweep(network).run(batches(3));

            assertThat(workspace.isScopeActive()).isTrue();
            assertThat(Nd4j.zeros(2).isAttached()).isTrue();
        }
    }

    @Test
    void whatCannotLearnAtARateIsRefusedByName() {
        assertThatThrownBy(() -> sweep(adapted(adam().updater(new NoOp()))).run(batches(3)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("fc1 (NoOp)", "fc2 (NoOp)", "Adam");
        assertThatThrownBy(() -> sweep(LoRA.freeze(Networks.trainedLayers())).run(batches(3)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("nothing in this one trains", "LoRA.apply");
    }

    @Test
    void wrongSettingsAreRefused() {
        MultiLayerNetwork network = adapted(adam());

        assertThatThrownBy(() -> sweep(network).from(1).to(0.5).run(batches(3))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("1.0 to 0.5");
        assertThatThrownBy(() -> sweep(network).points(1).run(batches(3))).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> sweep(network).steps(0).run(batches(3))).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> sweep(network).run(batches(0))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("without a batch");
        assertThatThrownBy(() -> sweep(network).evaluateOn(batches(0)).run(batches(3)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("no batch to evaluate on");
    }

    @Test
    void switchesThatACopyLacksAreRefused() {
        MultiLayerNetwork network = adapted(adam());
        try (LoRA.Scope scope = LoRA.rescaled(network, 0.5)) {
            assertThatThrownBy(() -> sweep(network).run(batches(3))).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("fc1 (0.5)");
        }
    }

    @Test
    void nanBeforeTheFirstStepIsNoFaultOfARate() {
        DataSet broken = Networks.data(DataType.FLOAT, 8, 1);
        broken.getFeatures().putScalar(0, Double.NaN);

        assertThatThrownBy(() -> sweep(adapted(adam())).run(new ExistingDataSetIterator(List.of(broken))))
                .isInstanceOf(IllegalStateException.class).hasMessageContaining("before anything is learned");
    }

    @Test
    void aBatchThatDl4jSkipsIsNoFaultOfTheData() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).list()
                .layer(new LSTM.Builder().name("fc1").nIn(2).nOut(3).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(3).nOut(1).build())
                .backpropType(BackpropType.TruncatedBPTT).tBPTTLength(4).build());
        MultiLayerNetwork network = LoRA.apply(base, LoRAConfig.builder().rank(1).targets("fc1").updater(new Adam()).build());
        DataSet uneven = new DataSet(Nd4j.zeros(DataType.FLOAT, 2, 2, 8), Nd4j.zeros(DataType.FLOAT, 2, 1, 6));

        assertThatThrownBy(() -> sweep(network).run(new ExistingDataSetIterator(List.of(uneven))))
                .isInstanceOf(IllegalStateException.class).hasMessageContainingAll("no iteration ran", "labels");
    }

    @Test
    void layersWithoutARateTrainAsTheyWould() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(5).list()
                .layer(new DenseLayer.Builder().name("resting").updater(new NoOp()).nIn(Networks.IN).nOut(4).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").updater(new Sgd(RATE))
                        .activation(Activation.IDENTITY).nOut(Networks.OUT).build()).build());

        assertThat(sweep(network).run(batches(3)).points().get(0).loss()).isEqualTo(thirdLoss(network));
    }
}
