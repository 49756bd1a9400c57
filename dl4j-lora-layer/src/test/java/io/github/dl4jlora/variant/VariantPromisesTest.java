package io.github.dl4jlora.variant;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** What every adapted network promises holds for every variant, storage and engine. */
@Tag("heavy")
class VariantPromisesTest {

    private static final INDArray INPUT = Networks.random(DataType.DOUBLE, 77, 5, Networks.IN);

    private static ComputationGraph base;
    private static double[] baseParams;

    @BeforeAll
    static void trainABase() {
        base = Networks.trainedGraph(DataType.DOUBLE, new Adam(0.02));
        baseParams = Models.params(base);
    }

    /** Whatever is done to a network that stands on it. */
    @AfterEach
    void theBaseIsWhatItWas() {
        assertThat(Models.params(base)).isEqualTo(baseParams);
    }

    private static ComputationGraph fresh(Variants variant, FrozenStorage storage, Engine engine) {
        return LoRA.apply(base, variant.config().storage(storage).engine(engine).build());
    }

    private static void fit(ComputationGraph network, int from, int to) {
        for (int step = from; step < to; step++) {
            network.fit(Networks.data(DataType.DOUBLE, 8, 1000 + step));
        }
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.variant.Variants#everywhere")
    void freshNetworkComputesWhatTheBaseComputes(Variants variant, FrozenStorage storage, Engine engine) {
        ComputationGraph adapted = fresh(variant, storage, engine);

        assertThat(Networks.difference(adapted.outputSingle(INPUT), base.outputSingle(INPUT))).isLessThan(1e-12);
        assertThat(Models.params(base)).isEqualTo(baseParams);
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.variant.Variants#everywhere")
    void trainingMovesWhatTrainsAndNothingElse(Variants variant, FrozenStorage storage, Engine engine) {
        ComputationGraph adapted = fresh(variant, storage, engine);
        double[] before = Models.params(adapted);
        double score = adapted.score(Networks.data(DataType.DOUBLE, 8, 1000));
        Map<String, INDArray> frozen = whatDoesNotTrain(adapted);

        fit(adapted, 0, 5);

        assertThat(Models.params(adapted)).isNotEqualTo(before);
        assertThat(adapted.score(Networks.data(DataType.DOUBLE, 8, 1000))).isLessThan(score);
        assertThat(Models.params(LoRA.unload(adapted))).isEqualTo(baseParams);
        assertThat(Models.params(base)).isEqualTo(baseParams);
        assertThat(whatDoesNotTrain(adapted)).isEqualTo(frozen);
        assertThat(frozen).hasSize(2 * (variant.config().build().loraInit().isTakenFromW() ? 2 : 0)
                + 2 * (variant.config().build().variant().equals(new FrozenALoRA()) ? 1 : 0));
    }

    /** Copies of what the adapters of fc1 and fc2 hold beside what trains. */
    private static Map<String, INDArray> whatDoesNotTrain(ComputationGraph network) {
        Map<String, INDArray> frozen = new HashMap<>();
        for (String layer : new String[] {"fc1", "fc2"}) {
            LoRADenseLayer conf = (LoRADenseLayer) network.getLayer(layer).conf().getLayer();
            ((AdaptedRuntime) network.getLayer(layer)).adapter().parts("W").forEach((key, value) -> {
                if (!conf.trains(key)) {
                    frozen.put(layer + "_" + key, value.dup());
                }
            });
        }
        return frozen;
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.variant.Variants#everywhere")
    void mergedNetworkComputesTheSameWithStockLayers(Variants variant, FrozenStorage storage, Engine engine) {
        ComputationGraph adapted = Variants.disturb(fresh(variant, storage, engine));

        ComputationGraph merged = LoRA.merge(adapted);

        assertThat(Networks.difference(adapted.outputSingle(INPUT), base.outputSingle(INPUT))).isGreaterThan(1e-3);
        assertThat(merged.getLayer("fc1").conf().getLayer().getClass()).isEqualTo(DenseLayer.class);
        assertThat(Networks.difference(merged.outputSingle(INPUT), adapted.outputSingle(INPUT))).isLessThan(1e-12);
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.variant.Variants#everywhere")
    void disabledNetworkIsTheBaseBitForBit(Variants variant, FrozenStorage storage, Engine engine) {
        ComputationGraph adapted = Variants.disturb(fresh(variant, storage, engine));
        INDArray before = adapted.outputSingle(INPUT);

        INDArray inside;
        try (LoRA.Scope scope = LoRA.disabled(adapted)) {
            inside = adapted.outputSingle(INPUT);
        }

        assertThat(Models.values(inside)).isEqualTo(Models.values(base.outputSingle(INPUT)));
        assertThat(Models.values(adapted.outputSingle(INPUT))).isEqualTo(Models.values(before));
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.variant.Variants#everywhere")
    void copiesAndFilesComputeAndTrainOnAsTheOriginal(Variants variant, FrozenStorage storage, Engine engine,
            @TempDir Path folder)
            throws IOException {
        ComputationGraph adapted = fresh(variant, storage, engine);
        fit(adapted, 0, 2);
        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(adapted, file, true);
        LoRA.save(adapted, folder.resolve("whole.zip"), true);

        ComputationGraph[] copies = {adapted.clone(), ModelSerializer.restoreComputationGraph(file, true),
                LoRA.loadComputationGraph(folder.resolve("whole.zip"))};
        double[] outputs = Models.values(adapted.outputSingle(INPUT));
        for (ComputationGraph copy : copies) {
            assertThat(Models.values(copy.outputSingle(INPUT))).isEqualTo(outputs);
        }
        int iterations = adapted.getIterationCount();
        fit(adapted, 2, 4);
        for (ComputationGraph copy : copies) {
            // DL4J's clone() starts counting iterations anew, which Adam notices.
            copy.getConfiguration().setIterationCount(iterations);
            fit(copy, 2, 4);
            assertThat(Models.params(copy)).isEqualTo(Models.params(adapted));
        }
    }

    @ParameterizedTest
    @EnumSource
    void configurationSurvivesJsonAndYaml(Variants variant) {
        ComputationGraphConfiguration conf = fresh(variant, FrozenStorage.SHARED, Engine.FUSED).getConfiguration();

        assertThat(ComputationGraphConfiguration.fromJson(conf.toJson())).isEqualTo(conf);
        assertThat(ComputationGraphConfiguration.fromYaml(conf.toYaml())).isEqualTo(conf);
    }

    @ParameterizedTest
    @EnumSource
    void multiLayerNetworksAndFloatsKeepThePromisesToo(Variants variant) {
        MultiLayerNetwork stock = Networks.trainedLayers();
        INDArray input = INPUT.castTo(DataType.FLOAT);

        MultiLayerNetwork adapted = LoRA.apply(stock, variant.config().targets(".*").build());
        assertThat(Networks.difference(adapted.output(input), stock.output(input))).isLessThan(1e-5);
        for (int step = 0; step < 3; step++) {
            adapted.fit(Networks.data(DataType.FLOAT, 8, step));
        }

        assertThat(Networks.difference(LoRA.merge(adapted).output(input), adapted.output(input))).isLessThan(1e-5);
        assertThat(Models.params(LoRA.unload(adapted))).isEqualTo(Models.params(stock));
        MultiLayerNetwork half = adapted.convertDataType(DataType.HALF);
        assertThat(Networks.difference(half.output(input.castTo(DataType.HALF)), adapted.output(input))).isLessThan(0.02);
    }

    @Test
    void vectorHoldsExactlyWhatTrains() {
        long ab1 = 2 * (Networks.IN + Networks.HIDDEN);
        long b1 = 2 * Networks.HIDDEN;
        long n = Networks.HIDDEN;
        assertThat(shared(Variants.PLAIN)).isEqualTo(new long[] {ab1, 0});
        assertThat(shared(Variants.LORA_FA)).isEqualTo(new long[] {b1, 2 * Networks.IN});
        assertThat(shared(Variants.DORA)).isEqualTo(new long[] {ab1 + n, 0});
        assertThat(shared(Variants.PISSA)).isEqualTo(new long[] {ab1, ab1});
        assertThat(shared(Variants.BIAS)).isEqualTo(new long[] {ab1 + n, 0});
        assertThat(shared(Variants.LORA_FA_OLORA_BIAS)).isEqualTo(new long[] {b1 + n, 2 * Networks.IN + ab1});
    }

    /** What trains of a network with fc1 adapted, by its vector and by its summary, and what else its adapter holds. */
    private static long[] shared(Variants variant) {
        ComputationGraph adapted = LoRA.apply(base, variant.config().targets("fc1").build());
        assertThat(adapted.paramTable().values().stream().mapToLong(INDArray::length).sum()).isEqualTo(adapted.numParams());
        assertThat(LoRA.summary(adapted).trainableParams()).isEqualTo(adapted.numParams());
        return new long[] {adapted.numParams(), LoRA.summary(adapted).totalParams() - adapted.numParams() - base.numParams()};
    }

    @ParameterizedTest
    @EnumSource
    void updaterStateIsForWhatTrainsOnly(Variants variant) {
        for (FrozenStorage storage : FrozenStorage.values()) {
            ComputationGraph adapted = fresh(variant, storage, Engine.FUSED);
            assertThat(adapted.getUpdater().getStateViewArray().length()).isEqualTo(2 * LoRA.summary(adapted).trainableParams());
        }
    }

    /** A unit that no input reaches has no direction, and a norm of zero. */
    @Test
    void doraTakesAColumnOfZerosAsItIs() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE, new Adam(0.02));
        base.getParam("fc1_W").putColumn(2, Nd4j.zeros(DataType.DOUBLE, Networks.IN));
        for (FrozenStorage storage : FrozenStorage.values()) {
            ComputationGraph adapted = LoRA.apply(base, Variants.DORA.config().storage(storage).build());
            assertThat(Networks.difference(adapted.outputSingle(INPUT), base.outputSingle(INPUT))).isLessThan(1e-12);
            assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(INPUT), base.outputSingle(INPUT))).isLessThan(1e-12);

            fit(adapted, 0, 3);

            assertThat(Models.params(adapted)).doesNotContain(Double.NaN);
            assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(INPUT), adapted.outputSingle(INPUT)))
                    .isLessThan(1e-9);
        }
    }

    @Test
    void oneSeedGivesOneStart() {
        for (Variants variant : Variants.values()) {
            ComputationGraph first = LoRA.apply(base, variant.config().seed(3).build());
            ComputationGraph second = LoRA.apply(base, variant.config().seed(3).build());
            assertThat(first.params()).as(variant.name()).isEqualTo(second.params());
            assertThat(first.getConfiguration()).isEqualTo(second.getConfiguration());
        }
    }
}
