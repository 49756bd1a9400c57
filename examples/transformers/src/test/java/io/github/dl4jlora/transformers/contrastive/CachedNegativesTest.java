package io.github.dl4jlora.transformers.contrastive;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.transformers.Tiny;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.earlystopping.EarlyStoppingConfiguration;
import org.deeplearning4j.earlystopping.EarlyStoppingResult;
import org.deeplearning4j.earlystopping.saver.InMemoryModelSaver;
import org.deeplearning4j.earlystopping.scorecalc.DataSetLossCalculator;
import org.deeplearning4j.earlystopping.termination.MaxEpochsTerminationCondition;
import org.deeplearning4j.earlystopping.trainer.EarlyStoppingGraphTrainer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.schedule.ScheduleType;
import org.nd4j.linalg.schedule.StepSchedule;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

@Tag("heavy")
class CachedNegativesTest {

    private static final InBatchNegatives LOSS = new InBatchNegatives(20);
    private static final double FLOAT_ERROR = 1e-5;
    private static final double DOUBLE_ERROR = 1e-11;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    /** Parts of one text, parts that do not divide, a last part of one text, and the batch as one part. */
    private static void assertScoreAndGradientsAreThoseOfTheBatchAtOnce(InBatchNegatives loss, DataType type) {
        double error = type == DataType.FLOAT ? FLOAT_ERROR : DOUBLE_ERROR;
        ComputationGraph network = Pairs.adapted(loss, type);
        DataSet batch = Pairs.batch(loss, 3, type, 1);
        INDArray atOnce = Pairs.gradient(network, batch);
        double score = network.score();
        for (int texts : new int[]{1, 4, batch.numExamples() - 1, 1000}) {
            ComputationGraph cached = CachedNegatives.of(network, texts);
            INDArray inParts = Pairs.gradient(cached, batch);
            assertThat(Pairs.difference(inParts, atOnce)).isLessThan(error);
            assertThat(cached.score()).isCloseTo(score, within(error * score));
            assertThat(cached.score(batch)).isCloseTo(network.score(batch), within(error * score));
        }
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "DOUBLE"})
    void scoreAndGradientsAreThoseOfTheBatchAtOnce(DataType type) {
        assertScoreAndGradientsAreThoseOfTheBatchAtOnce(LOSS, type);
        assertScoreAndGradientsAreThoseOfTheBatchAtOnce(LOSS.withHardNegatives(2).oneDirection().withDimensions(8, 4, 1), type);
    }

    static Stream<InBatchNegatives> losses() {
        return IntStream.rangeClosed(0, 3).mapToObj(LOSS::withHardNegatives)
                .flatMap(loss -> Stream.of(loss, loss.oneDirection(), loss.oneDirection().withDimensions(8, 4, 1)));
    }

    @ParameterizedTest
    @MethodSource("losses")
    void scoreAndGradientsOfEachLossAreThoseOfTheBatchAtOnce(InBatchNegatives loss) {
        for (DataType type : new DataType[]{DataType.FLOAT, DataType.DOUBLE}) {
            assertScoreAndGradientsAreThoseOfTheBatchAtOnce(loss, type);
        }
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void aBaseInFewerBitsIsNoTrouble(Quantization quantization) {
        ComputationGraph network = Pairs.adapted(Pairs.encoder(LOSS, DataType.FLOAT),
                Pairs.lora(new Adam(1e-2)).quantize(quantization).build());
        DataSet batch = Pairs.batch(LOSS, 6, DataType.FLOAT, 2);
        INDArray atOnce = Pairs.gradient(network, batch);
        // Products in fewer bits round by what else is in them.
        assertThat(Pairs.difference(Pairs.gradient(CachedNegatives.of(network, 5), batch), atOnce)).isLessThan(2e-2);
    }

    @Test
    void aNetworkThatIsNotAdaptedIsTrainedInPartsToo() {
        ComputationGraph network = Pairs.encoder(LOSS, DataType.DOUBLE);
        DataSet batch = Pairs.batch(LOSS, 4, DataType.DOUBLE, 3);
        INDArray atOnce = Pairs.gradient(network, batch);
        assertThat(Pairs.difference(Pairs.gradient(CachedNegatives.of(network, 3), batch), atOnce)).isLessThan(DOUBLE_ERROR);
    }

    @Test
    void aMaskOfFeaturesIsCutWithTheTexts() {
        ComputationGraph network = Pairs.adapted(LOSS, DataType.DOUBLE);
        DataSet batch = Pairs.batch(LOSS, 4, DataType.DOUBLE, 4);
        INDArray expected = Pairs.gradient(network, batch);
        batch.setFeaturesMaskArray(batch.getFeatures().gt(0).castTo(DataType.DOUBLE));
        assertThat(Pairs.difference(Pairs.gradient(CachedNegatives.of(network, 3), batch), expected)).isLessThan(DOUBLE_ERROR);
        INDArray[] mask = {batch.getFeaturesMaskArray()};
        assertThat(CachedNegatives.of(network, 3).output(false, new INDArray[]{batch.getFeatures()}, mask)).isEqualTo(
                network.output(false, new INDArray[]{batch.getFeatures()}, mask));
        // A text that has the padding token inside.
        batch.getFeatures().putScalar(1, 0, 0).putScalar(1, 1, 5);
        batch.getFeaturesMaskArray().putScalar(1, 0, 1).putScalar(1, 1, 1);
        INDArray atOnce = Pairs.gradient(network, batch);
        assertThat(Pairs.difference(Pairs.gradient(CachedNegatives.of(network, 3), batch), atOnce)).isLessThan(DOUBLE_ERROR);
    }

    /** The score is of the first pass alone, so its slope is the gradient only if the second pass drops the same. */
    @Test
    void bothPassesOfAPartDropTheSame() {
        ComputationGraph network = Pairs.adapted(Pairs.encoder(LOSS, DataType.DOUBLE),
                Pairs.lora(new NoOp()).loraDropout(0.4).build());
        DataSet batch = Pairs.batch(LOSS, 4, DataType.DOUBLE, 5);
        ComputationGraph cached = CachedNegatives.of(network, 3);
        INDArray gradient = seeded(cached, batch).div(batch.numExamples());
        INDArray again = seeded(cached, batch).div(batch.numExamples());
        assertThat(again).isEqualTo(gradient);
        assertThat(Pairs.gradient(cached, batch).div(batch.numExamples())).isNotEqualTo(gradient);
        double step = 1e-5;
        for (int i = 0; i < network.params().length(); i += 17) {
            double value = network.params().getDouble(i);
            network.params().putScalar(i, value + step);
            seeded(cached, batch);
            double above = cached.score();
            network.params().putScalar(i, value - step);
            seeded(cached, batch);
            double slope = (above - cached.score()) / (2 * step);
            network.params().putScalar(i, value);
            assertThat(gradient.getDouble(i)).isCloseTo(slope, within(1e-6));
        }
    }

    private static INDArray seeded(ComputationGraph network, DataSet batch) {
        Nd4j.getRandom().setSeed(77);
        return Pairs.gradient(network, batch);
    }

    private static final class Heard extends BaseTrainingListener {

        private final List<Double> scores = new ArrayList<>();
        private final List<Integer> iterations = new ArrayList<>();
        private int forward;
        private int backward;

        @Override
        public void iterationDone(Model model, int iteration, int epoch) {
            scores.add(model.score());
            iterations.add(iteration);
        }

        @Override
        public void onForwardPass(Model model, Map<String, INDArray> activations) {
            forward++;
        }

        @Override
        public void onBackwardPass(Model model) {
            backward++;
        }
    }

    private static ExistingDataSetIterator threeBatches() {
        return new ExistingDataSetIterator(IntStream.range(0, 3)
                .mapToObj(seed -> Pairs.batch(LOSS, 5, DataType.DOUBLE, seed)).toList());
    }

    private static LoRAConfig scheduled() {
        return Pairs.lora(new Adam(new StepSchedule(ScheduleType.ITERATION, 1e-2, 0.5, 2))).build();
    }

    @Test
    void fitIsDl4jsOwnWithItsUpdaterScheduleListenersAndCounts() {
        ComputationGraph plain = LoRA.apply(Pairs.encoder(LOSS, DataType.DOUBLE), scheduled());
        Nd4j.getRandom().setSeed(24);
        ComputationGraph shared = LoRA.apply(Pairs.encoder(LOSS, DataType.DOUBLE), scheduled());
        Heard ofPlain = new Heard();
        Heard ofCached = new Heard();
        plain.setListeners(ofPlain);
        shared.setListeners(ofCached);
        ComputationGraph cached = CachedNegatives.of(shared, 4);
        plain.fit(threeBatches(), 2);
        cached.fit(threeBatches(), 2);

        assertThat(Pairs.difference(shared.params(), plain.params())).isLessThan(1e-7);
        assertThat(Pairs.difference(shared.updaterState(), plain.updaterState())).isLessThan(1e-7);
        assertThat(ofCached.iterations).isEqualTo(ofPlain.iterations).hasSize(6);
        assertThat(ofCached.forward).isEqualTo(6);
        assertThat(ofCached.backward).isEqualTo(6);
        for (int i = 0; i < 6; i++) {
            assertThat(ofCached.scores.get(i)).isCloseTo(ofPlain.scores.get(i), within(1e-7));
        }
        assertThat(shared.getIterationCount()).isEqualTo(6);
        assertThat(shared.getEpochCount()).isEqualTo(cached.getEpochCount()).isEqualTo(2);

        // What was trained by turns goes on as one network.
        plain.fit(threeBatches());
        shared.fit(threeBatches());
        assertThat(Pairs.difference(shared.params(), plain.params())).isLessThan(1e-7);
    }

    @Test
    void earlyStoppingKeepsTheBest() {
        ComputationGraph tuned = LoRA.apply(Pairs.encoder(LOSS, DataType.DOUBLE), Pairs.lora(new Adam(1e-2)).build());
        EarlyStoppingConfiguration<ComputationGraph> configuration = new EarlyStoppingConfiguration.Builder<ComputationGraph>()
                .epochTerminationConditions(new MaxEpochsTerminationCondition(3)).evaluateEveryNEpochs(1)
                .scoreCalculator(new DataSetLossCalculator(threeBatches(), true)).modelSaver(new InMemoryModelSaver<>()).build();
        EarlyStoppingResult<ComputationGraph> result = new EarlyStoppingGraphTrainer(configuration, CachedNegatives.of(tuned, 4),
                threeBatches()).fit();
        assertThat(result.getTotalEpochs()).isEqualTo(3);
        assertThat(result.getBestModel()).isInstanceOf(CachedNegatives.class);
        assertThat(LoRA.summary(result.getBestModel()).trainableParams()).isEqualTo(tuned.numParams());
        assertThat(result.getScoreVsEpoch().get(2)).isLessThan(result.getScoreVsEpoch().get(0));
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 32})
    void moreTextsNeedNoMoreMemoryOfActivations(int pairs) {
        Map<String, Long> ofOnePart = workspaces(Pairs.adapted(LOSS, DataType.FLOAT), 4);
        Map<String, Long> inParts = workspaces(CachedNegatives.of(Pairs.adapted(LOSS, DataType.FLOAT), 8), pairs);
        Map<String, Long> atOnce = workspaces(Pairs.adapted(LOSS, DataType.FLOAT), pairs);
        assertThat(inParts.get("WS_ALL_LAYERS_ACT")).isEqualTo(ofOnePart.get("WS_ALL_LAYERS_ACT")).isPositive();
        assertThat(atOnce.get("WS_ALL_LAYERS_ACT")).isGreaterThan(pairs / 5 * ofOnePart.get("WS_ALL_LAYERS_ACT"));
        // DL4J sizes the others after some cycles; what the loss compared has been given back.
        assertThat(sum(inParts)).isLessThan(2 * inParts.get("WS_ALL_LAYERS_ACT"));
    }

    private static long sum(Map<String, Long> sizes) {
        return sizes.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Bytes of each workspace after some steps. They belong to a thread, so that this has one of its own. */
    private static Map<String, Long> workspaces(ComputationGraph network, int pairs) {
        return CompletableFuture.supplyAsync(() -> {
            DataSet batch = Pairs.batch(LOSS, pairs, DataType.FLOAT, 1);
            for (int step = 0; step < 3; step++) {
                network.fit(batch.copy());
            }
            return Nd4j.getWorkspaceManager().getAllWorkspacesForCurrentThread().stream()
                    .collect(Collectors.toMap(MemoryWorkspace::getId, MemoryWorkspace::getCurrentSize));
        }, run -> new Thread(run).start()).join();
    }

    @Test
    void clonesTrainInPartsAndFilesHoldTheNetwork() throws IOException {
        CachedNegatives cached = CachedNegatives.of(Pairs.adapted(LOSS, DataType.FLOAT), 4);
        cached.fit(Pairs.batch(LOSS, 5, DataType.FLOAT, 1));
        CachedNegatives clone = cached.clone();
        INDArray before = cached.params().dup();
        clone.fit(Pairs.batch(LOSS, 5, DataType.FLOAT, 2));
        assertThat(clone.getTexts()).isEqualTo(4);
        assertThat(clone.getIterationCount()).isEqualTo(2);
        assertThat(cached.params()).isEqualTo(before).isNotEqualTo(clone.params());
        cached.fit(Pairs.batch(LOSS, 5, DataType.FLOAT, 2));
        assertThat(cached.params()).isEqualTo(clone.params());
        assertThat(cached.convertDataType(DataType.DOUBLE).getTexts()).isEqualTo(4);

        ByteArrayOutputStream file = new ByteArrayOutputStream();
        ModelSerializer.writeModel(cached, file, true);
        ComputationGraph read = ModelSerializer.restoreComputationGraph(new ByteArrayInputStream(file.toByteArray()), true);
        assertThat(read.getConfiguration()).isEqualTo(cached.getConfiguration());
        assertThat(read.params()).isEqualTo(cached.params());
        assertThatThrownBy(() -> new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(cached))
                .isInstanceOf(NotSerializableException.class).hasMessageContaining("ModelSerializer");
    }

    @Test
    void aStepThatFailsLeavesTheNetworkAsItWas() {
        ComputationGraph network = Pairs.adapted(LOSS, DataType.FLOAT);
        ComputationGraph cached = CachedNegatives.of(network, 4);
        DataSet batch = Pairs.batch(LOSS, 5, DataType.FLOAT, 1);
        INDArray expected = Pairs.gradient(network, batch);
        DataSet empty = batch.copy();
        empty.getFeatures().getRow(7).assign(0);
        assertThatThrownBy(() -> Pairs.gradient(cached, empty)).hasMessageContainingAll("rows [", "7", "no token");
        DataSet unlike = batch.copy();
        unlike.getLabels().putScalar(0, 0, 99);
        assertThatThrownBy(() -> Pairs.gradient(cached, unlike)).hasMessageContaining("Query 0");
        assertThat(Pairs.gradient(network, batch)).isEqualTo(expected);
        assertThat(Pairs.difference(Pairs.gradient(cached, batch), expected)).isLessThan(FLOAT_ERROR);
    }

    private static ComputationGraph small(UnaryOperator<GraphBuilder> layers) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("x");
        return Tiny.initialised(layers.apply(graph).build());
    }

    private static DenseLayer dense(int in, int out) {
        return new DenseLayer.Builder().nIn(in).nOut(out).activation(Activation.TANH).build();
    }

    private static LossLayer contrast() {
        return new LossLayer.Builder(LOSS).activation(Activation.TANH).build();
    }

    @Test
    void partsHaveTextsOfOneLengthAndAreCutToTheirLongest() {
        INDArray ids = Nd4j.createFromArray(new float[][]{{1, 0, 0, 0}, {1, 2, 3, 0}, {4, 0, 0, 0}, {5, 6, 0, 0}, {0, 7, 0, 0}});
        for (ComputationGraph network : List.of(Pairs.encoder(LOSS, DataType.FLOAT), Pairs.adapted(LOSS, DataType.FLOAT))) {
            Parts parts = new Parts(network.getConfiguration(), new INDArray[]{ids}, null, 2);
            assertThat(parts.all()).extracting(Parts.Part::tokens).containsExactly(3L, 2L, 1L);
            assertThat(parts.all().get(1).rows()).containsExactly(4, 0);
            assertThat(parts.inputs(parts.all().get(1))[0]).isEqualTo(Nd4j.createFromArray(new float[][]{{0, 7}, {1, 0}}));
        }
    }

    @Test
    void noInputIsCutWhereItHasMoreThanPadding() {
        INDArray ids = Nd4j.createFromArray(new float[][]{{1, 0, 0, 0}, {1, 2, 0, 0}});
        INDArray others = Nd4j.createFromArray(new float[][]{{1, 2, 3, 0}, {1, 0, 0, 0}});
        for (INDArray[] inputs : new INDArray[][]{{ids, others}, {others, ids}}) {
            Parts parts = new Parts(Pairs.encoder(LOSS, DataType.FLOAT).getConfiguration(), inputs, null, 1);
            assertThat(parts.all()).extracting(Parts.Part::tokens).containsExactly(3L, 2L);
        }
    }

    /** Outputs that no backward pass looks at share memory unless somebody does. */
    @Test
    void aListenerThatIsAddedHereSeesEachOutputOfASinglePart() {
        ComputationGraph network = Pairs.adapted(LOSS, DataType.FLOAT);
        DataSet batch = Pairs.batch(LOSS, 4, DataType.FLOAT, 4);
        Map<String, INDArray> expected = new HashMap<>();
        network.feedForward(batch.getFeatures(), true).forEach((name, output) -> expected.put(name, output.dup()));
        Set<String> wrong = new TreeSet<>();
        ComputationGraph cached = CachedNegatives.of(network, 1000);
        cached.addListeners(new BaseTrainingListener() {
            @Override
            public void onForwardPass(Model model, Map<String, INDArray> activations) {
                activations.keySet().stream().filter(name -> expected.containsKey(name)
                        && !activations.get(name).equals(expected.get(name))).forEach(wrong::add);
            }
        });
        cached.fit(batch);
        assertThat(wrong).isEmpty();
        assertThat(cached.getListeners()).isNotEmpty();
    }

    @Test
    void networksThatReadNoTextsAreTrainedInPartsToo() {
        ComputationGraph network = small(graph -> graph.addLayer("dense", dense(3, 4), "x")
                .addLayer("contrast", contrast(), "dense").setOutputs("contrast"));
        DataSet batch = new DataSet(Nd4j.rand(DataType.FLOAT, 10, 3), Pairs.batch(LOSS, 5, DataType.FLOAT, 1).getLabels());
        INDArray atOnce = Pairs.gradient(network, batch);
        assertThat(Pairs.difference(Pairs.gradient(CachedNegatives.of(network, 3), batch), atOnce)).isLessThan(FLOAT_ERROR);
    }

    @Test
    void whatCannotBeTrainedInPartsIsRefusedByName() {
        ComputationGraph network = Pairs.adapted(LOSS, DataType.FLOAT);
        assertThatThrownBy(() -> CachedNegatives.of(network, 0)).hasMessageContaining("0 texts");
        assertThatThrownBy(() -> CachedNegatives.of(LoRA.freeze(Pairs.encoder(LOSS, DataType.FLOAT)), 4))
                .hasMessageContaining("Nothing in the network trains");
        assertThatThrownBy(() -> CachedNegatives.of(small(graph -> graph.addLayer("dense", dense(3, 4), "x").setOutputs("dense")),
                4)).hasMessageContainingAll("[dense]", "LossLayer");
        assertThatThrownBy(() -> CachedNegatives.of(small(graph -> graph.addLayer("dense", dense(3, 4), "x")
                .addLayer("one", contrast(), "dense").addLayer("two", contrast(), "dense").setOutputs("one", "two")), 4))
                .hasMessageContaining("[one, two]");
        assertThatThrownBy(() -> CachedNegatives.of(small(graph -> graph.addLayer("dense", dense(3, 4), "x")
                .addLayer("norm", new BatchNormalization.Builder().nOut(4).build(), "dense")
                .addLayer("contrast", contrast(), "norm").setOutputs("contrast")), 4)).hasMessageContaining("Layer norm");
        ComputationGraph halves = small(graph -> graph.addLayer("dense", dense(3, 4), "x")
                .addVertex("half", new UnstackVertex(0, 2), "dense").addLayer("contrast", contrast(), "half")
                .setOutputs("contrast"));
        assertThatThrownBy(() -> Pairs.gradient(CachedNegatives.of(halves, 4), new DataSet(Nd4j.rand(DataType.FLOAT, 12, 3),
                Nd4j.ones(12, 1)))).hasMessageContainingAll("4 texts", "half", "[2, 4]");
    }
}
