package io.github.dl4jlora.tune;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.internal.inspect.ChanceLoss;
import io.github.dl4jlora.tune.LoRAAdvice.Kind;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/**
 * Real trainings, with a fault and without: a network that tells clouds of points apart gets
 * the points mirrored.
 */
@Tag("heavy")
class LoRAAdviceTest {

    private static final int IN = 16;
    private static final int WIDTH = 24;
    private static final int CLASSES = 8;
    private static final int ROWS = 32;
    private static final int BATCHES = 8;
    private static final int EPOCHS = 40;
    private static final double RATE = 5e-3;

    private static MultiLayerNetwork base;
    /** One without a fault, and one whose rank is too low: what is said of them decides several tests. */
    private static Training good;
    private static Training narrow;

    /** An adapter, and how it came about. */
    private record Training(LoRAAdapter start, LoRAAdapter adapter, double[] losses) {

        List<LoRAAdvice> advice() {
            return LoRAAdvice.about(adapter).base(base).losses(losses).start(start).list();
        }

        List<Kind> kinds() {
            return advice().stream().map(LoRAAdvice::kind).distinct().toList();
        }
    }

    @BeforeAll
    static void trainABase() {
        base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Adam(RATE)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(IN).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc3").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(CLASSES)
                        .activation(Activation.SOFTMAX).build()).build());
        train(base, batches(false), EPOCHS);
        good = train(config());
        narrow = train(config().rank(2));
    }

    /** Clouds of points; mirrored, their coordinates are in the opposite order. */
    private static List<DataSet> batches(boolean mirrored) {
        INDArray centres = Networks.random(DataType.FLOAT, 5, CLASSES, IN);
        Random random = new Random(7);
        List<DataSet> batches = new ArrayList<>();
        IntUnaryOperator place = i -> mirrored ? IN - 1 - i : i;
        for (int batch = 0; batch < BATCHES; batch++) {
            INDArray features = Nd4j.create(DataType.FLOAT, ROWS, IN);
            INDArray labels = Nd4j.zeros(DataType.FLOAT, ROWS, CLASSES);
            for (int row = 0; row < ROWS; row++) {
                int label = random.nextInt(CLASSES);
                labels.putScalar(row, label, 1);
                for (int i = 0; i < IN; i++) {
                    features.putScalar(row, place.applyAsInt(i), centres.getDouble(label, i) + 0.3 * random.nextGaussian());
                }
            }
            batches.add(new DataSet(features, labels));
        }
        return batches;
    }

    private static double[] train(MultiLayerNetwork network, List<DataSet> batches, int epochs) {
        List<Double> losses = new ArrayList<>();
        for (int epoch = 0; epoch < epochs; epoch++) {
            for (DataSet batch : batches) {
                network.fit(batch.copy());
                losses.add(network.score());
            }
        }
        return losses.stream().mapToDouble(Double::doubleValue).toArray();
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(8).alpha(1).updater(new Adam(RATE)).seed(1);
    }

    private static Training train(LoRAConfig.Builder config) {
        return train(config, EPOCHS);
    }

    private static Training train(LoRAConfig.Builder config, int epochs) {
        MultiLayerNetwork network = LoRA.apply(base, config.build());
        LoRAAdapter start = LoRAAdapter.of(network);
        double[] losses = train(network, batches(true), epochs);
        return new Training(start, LoRAAdapter.of(network), losses);
    }

    @Test
    void aGoodTrainingGetsNone() {
        assertThat(good.advice()).isEmpty();
    }

    /** As its documentation says. */
    @Test
    void lossesComeFromDl4jsListener() {
        MultiLayerNetwork network = LoRA.apply(base, config().updater(new Adam(0.5)).build());
        CollectScoresIterationListener scores = new CollectScoresIterationListener();
        network.addListeners(scores);
        double[] expected = train(network, batches(true), 10);

        double[] losses = scores.getScoreVsIter().getEffectiveScores();

        assertThat(losses).containsExactly(expected);
        assertThat(LoRAAdvice.about(LoRAAdapter.of(network)).base(base).losses(losses).list()).extracting(LoRAAdvice::kind)
                .contains(Kind.RATE_TOO_HIGH);
    }

    @Test
    void whereSomeLayersAreDoraOnlyTheLossesAreLookedAt() {
        MultiLayerNetwork network = LoRA.apply(base, config().override("fc2", o -> o.variant(new DoRA())).build());
        double[] losses = new double[30];
        losses[29] = Double.NaN;

        assertThat(LoRAAdvice.about(LoRAAdapter.of(network)).base(base).losses(losses).list()).extracting(LoRAAdvice::kind)
                .containsExactly(Kind.RATE_TOO_HIGH);
    }

    /** The loss of a graph is the sum of all its outputs'. */
    @Test
    void theLossOfChanceIsOfTheOneOutput() {
        assertThat(ChanceLoss.of(withOutputs("class"))).hasValue(Math.log(CLASSES));
        assertThat(ChanceLoss.of(withOutputs("class", "loss"))).isEmpty();
    }

    private static ComputationGraph withOutputs(String... outputs) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().allowDisconnected(true).addInputs("x")
                .addLayer("class", new OutputLayer.Builder(LossFunction.MCXENT).nIn(IN).nOut(CLASSES)
                        .activation(Activation.SOFTMAX).build(), "x")
                .addLayer("more", new DenseLayer.Builder().nIn(IN).nOut(2).build(), "x")
                .addLayer("loss", new LossLayer.Builder(LossFunction.MSE).build(), "more").setOutputs(outputs).build());
    }

    @Test
    void nothingIsSaidOfRankAndStartOfACompressedAdapter(@TempDir Path folder) throws IOException {
        LoRAAdapter compressed = good.adapter.compress(2).adapter();
        assertThat(LoRAAdvice.about(narrow.adapter).base(base).list()).extracting(LoRAAdvice::kind)
                .as("of one that was trained so").contains(Kind.RANK_CUT_OFF);

        assertThat(aboutGood(compressed)).isEmpty();
        compressed.save(folder);
        assertThat(aboutGood(LoRAAdapter.load(folder))).as("of the file").isEmpty();
        LoRAAdapter sum = LoRAAdapter.combine(Combination.Method.SVD).add(good.adapter, 1).rank(2).build();
        assertThat(aboutGood(sum)).as("of a combination that was truncated").isEmpty();
    }

    private static List<LoRAAdvice> aboutGood(LoRAAdapter adapter) {
        return LoRAAdvice.about(adapter).base(base).losses(good.losses).start(good.start).list();
    }

    @Test
    void whatIsTrainedOnAfterCompressingCountsAsTrained() {
        LoRAAdapter compressed = good.adapter.compress(2).adapter();
        MultiLayerNetwork network = LoRA.apply(base, compressed, config().rank(2).alpha(2).build());
        train(network, batches(true), EPOCHS);

        assertThat(LoRAAdvice.about(LoRAAdapter.of(network)).list()).extracting(LoRAAdvice::kind).contains(Kind.RANK_CUT_OFF);
    }

    @Test
    void aRateThatEndsAtChanceIsTooHigh() {
        Training training = train(config().updater(new Adam(0.5)));

        LoRAAdvice first = training.advice().get(0);
        assertThat(first.kind()).isEqualTo(Kind.RATE_TOO_HIGH);
        assertThat(first.layer()).isEmpty();
        assertThat(first.evidence().get("of a network that knows nothing")).isEqualTo(Math.log(CLASSES));
        assertThat(first.evidence().get("loss at the end")).isCloseTo(Math.log(CLASSES), within(0.05));
        assertThat(first.remedy()).contains("lower learning rate");
        assertThat(training.kinds()).as("a rank is judged by trainings whose rate suits").containsExactly(Kind.RATE_TOO_HIGH,
                Kind.LARGE_CHANGE);
        assertThat(LoRAAdvice.about(training.adapter).base(base).losses(training.losses).list().get(0)).isEqualTo(first);
    }

    @Test
    void aRateThatMakesNumbersOverflowIsTooHighWhateverIsKnown() {
        Training training = train(config().updater(new Sgd(1e6)), 5);

        assertThat(training.kinds()).containsExactly(Kind.RATE_TOO_HIGH);
        assertThat(training.advice().toString()).contains("NaN or infinite", "fc1: RATE_TOO_HIGH: A or B holds NaN");
        assertThat(LoRAAdvice.about(training.start).losses(training.losses).list()).extracting(LoRAAdvice::kind)
                .contains(Kind.RATE_TOO_HIGH);
    }

    @Test
    void aLossThatRisesAgainIsOfARateTooHigh() {
        MultiLayerNetwork network = LoRA.apply(base, config().build());
        List<Double> losses = new ArrayList<>(Arrays.stream(train(network, batches(true), 10)).boxed().toList());
        network.setLearningRate(0.3);
        Arrays.stream(train(network, batches(true), 2)).forEach(losses::add);

        assertThat(LoRAAdvice.about(LoRAAdapter.of(network)).losses(losses.stream().mapToDouble(of -> of).toArray()).list())
                .extracting(LoRAAdvice::finding).contains("The loss fell, then rose");
        assertThat(LoRAAdvice.about(LoRAAdapter.of(network)).losses(good.losses).list()).extracting(LoRAAdvice::kind)
                .doesNotContain(Kind.RATE_TOO_HIGH);
    }

    @Test
    void aLossThatOnlyWaversIsNotOfARateTooHigh() {
        double[] wavering = IntStream.range(0, 100).mapToDouble(i -> 2.3 + 1e-3 * Math.sin(i) + 1e-6 * i).toArray();

        assertThat(LoRAAdvice.about(good.adapter).losses(wavering).list()).extracting(LoRAAdvice::finding)
                .contains("The loss hardly fell").doesNotContain("The loss rose", "The loss fell, then rose");
    }

    /** As cosine proximity's, which is −1 at best. */
    @ParameterizedTest
    @ValueSource(doubles = {-0.9, 0, 0.02})
    void nothingIsSaidOfALossThatGoesBelowZero(double start) {
        double[] falling = IntStream.range(0, 100).mapToDouble(i -> start - 5e-4 * i).toArray();
        double[] broken = falling.clone();
        broken[50] = Double.NaN;

        assertThat(LoRAAdvice.about(good.adapter).losses(falling).list()).extracting(LoRAAdvice::kind)
                .doesNotContain(Kind.RATE_TOO_HIGH, Kind.RATE_TOO_LOW);
        assertThat(LoRAAdvice.about(good.adapter).losses(broken).list()).extracting(LoRAAdvice::kind)
                .contains(Kind.RATE_TOO_HIGH);
    }

    @Test
    void aLossThatOnlyRisesIsOfARateTooHigh() {
        double[] rising = IntStream.range(0, 100).mapToDouble(i -> 1 + 0.01 * i).toArray();

        assertThat(LoRAAdvice.about(good.adapter).losses(rising).list()).extracting(LoRAAdvice::finding)
                .contains("The loss rose");
    }

    @Test
    void aLossThatHardlyFellIsOfARateTooLow() {
        assertThat(train(config().updater(new Adam(1e-5))).advice()).singleElement().satisfies(advice -> {
            assertThat(advice.kind()).isEqualTo(Kind.RATE_TOO_LOW);
            assertThat(advice.finding()).isEqualTo("The loss hardly fell");
        });
    }

    @Test
    void aLossThatIsFallingStillIsOfARateTooLow() {
        assertThat(train(config().updater(new Adam(2e-4))).advice()).singleElement().satisfies(advice -> {
            assertThat(advice.kind()).isEqualTo(Kind.RATE_TOO_LOW);
            assertThat(advice.finding()).contains("still falling");
            assertThat(advice.evidence().get("in the last quarter")).isLessThan(advice.evidence().get("in the one before"));
        });
    }

    @Test
    void layersThatNoGradientReachedAreNamed() {
        Training resting = train(config().updater(new NoOp()).override("fc2", o -> o.alpha(1)), 0);

        assertThat(resting.advice()).extracting(LoRAAdvice::kind).containsOnly(Kind.UNTRAINED);
        assertThat(resting.advice()).extracting(advice -> advice.layer().orElseThrow()).containsExactly("fc1", "fc2", "fc3");
        assertThat(train(config(), 1).kinds()).doesNotContain(Kind.UNTRAINED);
    }

    /** A·B of an adapter that is trained on is not zero, whether or not anything is learned. */
    @Test
    void layersThatLearnedNothingFurtherAreNamed() {
        LoRAAdapter before = train(config(), 1).adapter;
        MultiLayerNetwork more = LoRA.apply(base, before, LoRAConfig.builder().updater(new Sgd(0)).build());
        train(more, batches(true), 1);

        assertThat(LoRAAdvice.about(LoRAAdapter.of(more)).start(before).list()).extracting(LoRAAdvice::kind)
                .containsExactly(Kind.UNTRAINED, Kind.UNTRAINED, Kind.UNTRAINED);
    }

    @Test
    void anAThatStayedIsSeenBesideItsStart() {
        LoRAConfig.Builder lopsided = config().loraPlusRatio(1e5).updater(new Adam(1e-7));
        Training training = train(lopsided);

        assertThat(training.kinds()).containsExactly(Kind.A_UNMOVED);
        assertThat(LoRAAdvice.about(training.adapter).base(base).losses(training.losses).list())
                .as("without its start").isEmpty();
        assertThat(train(config().variant(new FrozenALoRA())).kinds()).as("where A is meant to stay").isEmpty();
    }

    @Test
    void aLayerThatHardlyMovedBesideTheOthersIsNamed() {
        assertThat(train(config().override("fc2", o -> o.alpha(1e-3))).advice()).singleElement().satisfies(advice -> {
            assertThat(advice.kind()).isEqualTo(Kind.HARDLY_MOVED);
            assertThat(advice.layer()).contains("fc2");
            assertThat(advice.evidence().get("‖ΔW‖ / ‖W‖")).isLessThan(0.01);
        });
    }

    @Test
    void changesLargerThanTheWeightsAreNamed() {
        Training training = train(config().updater(new Adam(0.05)));

        assertThat(training.kinds()).containsExactly(Kind.LARGE_CHANGE);
        assertThat(training.advice().get(0).toString()).startsWith("fc1: LARGE_CHANGE: The change is larger than the weights")
                .contains("(‖ΔW‖ / ‖W‖ ").endsWith("lower the learning rate or alpha.");
        assertThat(LoRAAdvice.about(training.adapter).list()).as("without the base").isEmpty();
    }

    @Test
    void aRankOfWhichLittleIsUsedIsWasted() {
        Training training = train(config().rank(WIDTH));

        assertThat(training.kinds()).containsExactly(Kind.RANK_WASTED);
        assertThat(training.advice().get(0).evidence()).containsEntry("of", (double) WIDTH);
    }

    @Test
    void aRankThatIsUsedUpIsCutOff() {
        assertThat(narrow.kinds()).containsExactly(Kind.RANK_CUT_OFF);
        assertThat(narrow.advice()).hasSize(3);
        assertThat(train(config().rank(4)).kinds()).isEmpty();
    }

    @Test
    void ofDoRAThereAreLossesAlone() {
        Training training = train(config().variant(new DoRA()).updater(new Adam(1e-5)));

        assertThat(training.kinds()).containsExactly(Kind.RATE_TOO_LOW);
    }

    @Test
    void aFewLossesSayNothing() {
        assertThat(LoRAAdvice.about(good.adapter).losses(5, 5, 5).list()).isEmpty();
        assertThat(LoRAAdvice.about(good.adapter).losses().list()).isEmpty();
    }

    @Test
    void aStrangersBaseIsRefused() {
        LoRAAdapter adapter = train(config(), 1).adapter;
        MultiLayerNetwork stranger = base.clone();
        stranger.params().addi(1);

        assertThatThrownBy(() -> LoRAAdvice.about(adapter).base(stranger).list()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("fc1");
    }

    @Test
    void aProductThatIsZeroButForRoundingIsUntrained() {
        LoRAAdapter orthogonal = LoRAAdapter.of(LoRA.apply(base, config().loraInit(LoRAInit.ORTHOGONAL).build()));

        assertThat(LoRAAdvice.about(orthogonal).base(base).list()).extracting(LoRAAdvice::kind)
                .containsExactly(Kind.UNTRAINED, Kind.UNTRAINED, Kind.UNTRAINED);
        assertThat(train(config().loraInit(LoRAInit.ORTHOGONAL), 1).kinds()).doesNotContain(Kind.UNTRAINED);
    }

    @Test
    void aStartOfAnotherTrainingIsRefused() {
        LoRAAdapter adapter = train(config(), 1).adapter;
        LoRAAdapter narrower = train(config().rank(2), 0).adapter;
        LoRAAdapter smaller = train(config().targets("fc1"), 0).adapter;

        assertThatThrownBy(() -> LoRAAdvice.about(adapter).start(narrower).list()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("fc1", "rank is 8", "rank 2", "leave start out");
        assertThatThrownBy(() -> LoRAAdvice.about(adapter).start(smaller).list()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("fc2", "only the layers [fc1]");
    }

    /** What is no layer has no loss to look at. */
    @Test
    void verticesOfAGraphAreNoHindrance() {
        ComputationGraph graph = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Adam(RATE))
                .graphBuilder().addInputs("in")
                .addLayer("a", new DenseLayer.Builder().nIn(IN).nOut(WIDTH).build(), "in")
                .addLayer("b", new DenseLayer.Builder().nIn(IN).nOut(WIDTH).build(), "in")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "a", "b")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nIn(WIDTH).nOut(CLASSES)
                        .activation(Activation.SOFTMAX).build(), "sum").setOutputs("out").build());
        ComputationGraph tuned = LoRA.apply(graph, LoRAConfig.builder().rank(2).build());
        batches(false).forEach(tuned::fit);

        assertThat(LoRAAdvice.about(LoRAAdapter.of(tuned)).base(graph).list()).isNotNull();
    }
}
