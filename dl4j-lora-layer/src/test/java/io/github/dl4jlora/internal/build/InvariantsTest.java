package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** What holds for every adapted network, of either type and storage. */
class InvariantsTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 8, 1);

    private final ComputationGraph graph = Networks.trainedGraph();
    private final MultiLayerNetwork layers = Networks.trainedLayers();

    @Test
    void paramsOfASharedNetworkAreTheTrainedValuesAndNothingElse() {
        ComputationGraph adaptedGraph = LoRA.apply(graph, config(FrozenStorage.SHARED));
        MultiLayerNetwork adaptedLayers = LoRA.apply(layers, config(FrozenStorage.SHARED));
        long trained = 2 * (Networks.IN + Networks.HIDDEN) + 2 * (Networks.HIDDEN + Networks.HIDDEN);

        assertThat(adaptedGraph.params().length()).isEqualTo(trained);
        assertThat(adaptedGraph.paramTable()).containsOnlyKeys("fc1_A", "fc1_B", "fc2_A", "fc2_B");
        assertThat(adaptedLayers.params().length()).isEqualTo(trained);
        assertThat(adaptedLayers.paramTable()).containsOnlyKeys("0_A", "0_B", "1_A", "1_B");
        assertThat(adaptedGraph.numParams()).isEqualTo(trained);
        assertThat(adaptedLayers.numParams()).isEqualTo(trained);
        adaptedGraph.fit(DATA);
        assertThat(adaptedGraph.getGradientsViewArray().length()).isEqualTo(trained);
        assertThat(adaptedGraph.getUpdater().getStateViewArray().length()).as("Adam's two moments").isEqualTo(2 * trained);
    }

    @Test
    void layersTrainedInFullAreInTheTableToo() {
        ComputationGraph adapted = LoRA.apply(graph, LoRAConfig.builder().rank(2).targets("fc1").trainable("out").build());

        assertThat(adapted.paramTable()).containsOnlyKeys("fc1_A", "fc1_B", "out_W", "out_b");
        assertThat(adapted.getParam("out_W")).isEqualTo(graph.getParam("out_W")).isNotSameAs(graph.getParam("out_W"));
        double[] before = graph.params().toDoubleVector();
        adapted.fit(DATA);
        assertThat(adapted.getParam("out_W")).isNotEqualTo(graph.getParam("out_W"));
        assertThat(graph.params().toDoubleVector()).containsExactly(before);
        assertThat(Networks.difference(LoRA.merge(adapted).getParam("out_W"), adapted.getParam("out_W"))).isZero();
        assertThat(LoRA.unload(adapted).params().toDoubleVector()).as("what the base has").containsExactly(before);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void trainingMovesTheAdaptersAndNoFrozenValue(FrozenStorage storage) {
        double[] graphBefore = graph.params().toDoubleVector();
        double[] layersBefore = layers.params().toDoubleVector();
        ComputationGraph adaptedGraph = LoRA.apply(graph, config(storage));
        MultiLayerNetwork adaptedLayers = LoRA.apply(layers, config(storage));

        for (int i = 0; i < 5; i++) {
            adaptedGraph.fit(DATA);
            adaptedLayers.fit(DATA);
        }

        assertThat(Networks.difference(adaptedGraph.outputSingle(DATA.getFeatures()), graph.outputSingle(DATA.getFeatures())))
                .isPositive();
        assertThat(graph.params().toDoubleVector()).containsExactly(graphBefore);
        assertThat(layers.params().toDoubleVector()).containsExactly(layersBefore);
        assertThat(LoRA.unload(adaptedGraph).params().toDoubleVector()).containsExactly(graphBefore);
        assertThat(LoRA.unload(adaptedLayers).params().toDoubleVector()).containsExactly(layersBefore);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void freshRewriteComputesWhatTheBaseComputes(FrozenStorage storage) {
        ComputationGraph adaptedGraph = LoRA.apply(graph, config(storage));
        MultiLayerNetwork adaptedLayers = LoRA.apply(layers, config(storage));

        Networks.assertSame("graph", adaptedGraph.outputSingle(DATA.getFeatures()), graph.outputSingle(DATA.getFeatures()));
        Networks.assertSame("layers", adaptedLayers.output(DATA.getFeatures()), layers.output(DATA.getFeatures()));
        assertThat(adaptedGraph.score(DATA)).isEqualTo(graph.score(DATA));
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void mergeAndUnloadGiveStockNetworksOfTheBasesOwnConfiguration(FrozenStorage storage) {
        ComputationGraph adaptedGraph = LoRA.apply(graph, config(storage));
        MultiLayerNetwork adaptedLayers = LoRA.apply(layers, config(storage));
        Networks.randomizeAdapters(adaptedGraph.paramTable(), 3);
        Networks.randomizeAdapters(adaptedLayers.paramTable(), 3);

        for (ComputationGraph stock : new ComputationGraph[]{LoRA.merge(adaptedGraph), LoRA.unload(adaptedGraph)}) {
            assertThat(Models.topology(stock)).isEqualTo(Models.topology(graph));
            assertThat(Stream.of(stock.getVertices())).allMatch(vertex -> !vertex.hasLayer()
                    || vertex.getLayer().getClass().getName().startsWith("org.deeplearning4j.nn.layers."));
        }
        for (MultiLayerNetwork stock : new MultiLayerNetwork[]{LoRA.merge(adaptedLayers), LoRA.unload(adaptedLayers)}) {
            assertThat(Models.topology(stock)).isEqualTo(Models.topology(layers));
            assertThat(Stream.of(stock.getLayers())).allMatch(layer -> layer.getClass().getName()
                    .startsWith("org.deeplearning4j.nn.layers."));
        }
        INDArray x = DATA.getFeatures();
        assertThat(Networks.difference(LoRA.merge(adaptedGraph).outputSingle(x), adaptedGraph.outputSingle(x))).isLessThan(1e-6);
        assertThat(Networks.difference(LoRA.merge(adaptedLayers).output(x), adaptedLayers.output(x))).isLessThan(1e-6);
        assertThat(Networks.difference(adaptedGraph.outputSingle(x), graph.outputSingle(x))).isGreaterThan(1e-3);
    }

    @Test
    void mergedAndUnloadedNetworksCountFromZeroAsTheirUpdatersStateIs() {
        ComputationGraph adaptedGraph = LoRA.apply(graph, config(FrozenStorage.SHARED));
        MultiLayerNetwork adaptedLayers = LoRA.apply(layers, config(FrozenStorage.SHARED));
        for (int i = 0; i < 2; i++) {
            adaptedGraph.fit(DATA);
            adaptedLayers.fit(DATA);
        }
        adaptedGraph.incrementEpochCount();
        adaptedLayers.incrementEpochCount();

        for (ComputationGraph stock : new ComputationGraph[]{LoRA.merge(adaptedGraph), LoRA.unload(adaptedGraph)}) {
            assertThat(stock.getIterationCount()).isZero();
            assertThat(stock.getEpochCount()).isZero();
        }
        for (MultiLayerNetwork stock : new MultiLayerNetwork[]{LoRA.merge(adaptedLayers), LoRA.unload(adaptedLayers)}) {
            assertThat(stock.getIterationCount()).isZero();
            assertThat(stock.getEpochCount()).isZero();
        }
    }

    @Test
    void firstStepOfAdamIsAsLargeAsItsRateHoweverLongTheBaseWasTrained() {
        graph.getConfiguration().setIterationCount(10_000);
        layers.setIterationCount(10_000);
        LoRAConfig config = LoRAConfig.builder().rank(2).updater(new Adam(1e-3)).build();
        ComputationGraph adaptedGraph = LoRA.apply(graph, config);
        MultiLayerNetwork adaptedLayers = LoRA.apply(layers, config);
        INDArray fromGraph = adaptedGraph.params().dup();
        INDArray fromLayers = adaptedLayers.params().dup();

        adaptedGraph.fit(DATA);
        adaptedLayers.fit(DATA);

        assertThat(Networks.difference(adaptedGraph.params(), fromGraph)).isCloseTo(1e-3, within(1e-5));
        assertThat(Networks.difference(adaptedLayers.params(), fromLayers)).isCloseTo(1e-3, within(1e-5));
    }

    @Test
    void mergedNetworkSharesNothingWithTheBase() {
        ComputationGraph merged = LoRA.merge(LoRA.apply(graph, config(FrozenStorage.SHARED)));
        double[] before = graph.params().toDoubleVector();

        merged.fit(DATA);

        assertThat(graph.params().toDoubleVector()).containsExactly(before);
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void mergeRefusesWeightsThatAreNotFinite(double value) {
        ComputationGraph adapted = LoRA.apply(graph, config(FrozenStorage.SHARED));
        adapted.getParam("fc2_B").assign(value);

        assertThatThrownBy(() -> LoRA.merge(adapted)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("Layer \"fc2\"", "NaN or infinity");
    }

    @Test
    void seedWorkspacesAndSequenceSettingsAreKeptAndCountsStartAnew() {
        ComputationGraphConfiguration graphConf = graph.getConfiguration();
        MultiLayerConfiguration layersConf = layers.getLayerWiseConfigurations();
        graphConf.setTrainingWorkspaceMode(WorkspaceMode.NONE);
        layersConf.setInferenceWorkspaceMode(WorkspaceMode.NONE);
        graphConf.setBackpropType(BackpropType.TruncatedBPTT);
        graphConf.setTbpttFwdLength(7);
        layersConf.setBackpropType(BackpropType.TruncatedBPTT);
        layersConf.setTbpttBackLength(9);
        graphConf.setEpochCount(4);
        layersConf.setEpochCount(4);

        ComputationGraphConfiguration adaptedGraph = LoRA.apply(graph, config(FrozenStorage.SHARED)).getConfiguration();
        MultiLayerConfiguration adaptedLayers = LoRA.apply(layers, config(FrozenStorage.SHARED)).getLayerWiseConfigurations();

        assertThat(adaptedGraph.getIterationCount()).isZero();
        assertThat(adaptedLayers.getIterationCount()).isZero();
        assertThat(adaptedGraph.getEpochCount()).isZero();
        assertThat(adaptedLayers.getEpochCount()).isZero();
        assertThat(graphConf.getIterationCount()).isEqualTo(layersConf.getIterationCount()).as("the bases'").isEqualTo(3);
        assertThat(adaptedGraph.getTrainingWorkspaceMode()).isEqualTo(WorkspaceMode.NONE);
        assertThat(adaptedLayers.getInferenceWorkspaceMode()).isEqualTo(WorkspaceMode.NONE);
        assertThat(adaptedGraph.getBackpropType()).isEqualTo(BackpropType.TruncatedBPTT);
        assertThat(adaptedGraph.getTbpttFwdLength()).isEqualTo(7);
        assertThat(adaptedLayers.getBackpropType()).isEqualTo(BackpropType.TruncatedBPTT);
        assertThat(adaptedLayers.getTbpttBackLength()).isEqualTo(9);
        assertThat(adaptedGraph.getDefaultConfiguration().getSeed()).isEqualTo(12);
        assertThat(adaptedLayers.getConf(0).getSeed()).isEqualTo(12);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"DOUBLE", "FLOAT", "HALF"})
    void dataTypeIsKept(DataType type) {
        ComputationGraph base = Networks.trainedGraph(type);

        ComputationGraph adapted = LoRA.apply(base, config(FrozenStorage.SHARED));

        assertThat(adapted.params().dataType()).isEqualTo(type);
        assertThat(LoRA.merge(adapted).params().dataType()).isEqualTo(type);
    }

    @Test
    void randomGeneratorOfNd4jIsLeftAsItWas() {
        assertRandomUntouched(() -> LoRA.apply(graph, config(FrozenStorage.SHARED)));
        assertRandomUntouched(() -> LoRA.apply(layers, config(FrozenStorage.EMBEDDED)));
        ComputationGraph adapted = LoRA.apply(graph, config(FrozenStorage.SHARED));
        assertRandomUntouched(() -> LoRA.merge(adapted));
        assertRandomUntouched(() -> LoRA.unload(adapted));
    }

    private static void assertRandomUntouched(Runnable work) {
        Nd4j.getRandom().setSeed(99);
        double[] expected = Nd4j.rand(DataType.DOUBLE, 4).toDoubleVector();
        Nd4j.getRandom().setSeed(99);
        work.run();
        assertThat(Nd4j.rand(DataType.DOUBLE, 4).toDoubleVector()).containsExactly(expected);
    }

    @Test
    void oneSeedGivesOneAdapterAndLayersOfOneShapeDiffer() {
        ComputationGraph first = LoRA.apply(graph, config(FrozenStorage.SHARED));
        ComputationGraph second = LoRA.apply(graph, config(FrozenStorage.EMBEDDED));
        ComputationGraph other = LoRA.apply(graph, LoRAConfig.builder().rank(2).seed(1).build());

        assertThat(first.getParam("fc1_A")).isEqualTo(second.getParam("fc1_A")).isNotEqualTo(other.getParam("fc1_A"));
        assertThat(first.getParam("fc1_B").amaxNumber().doubleValue()).isZero();
    }

    @Test
    void manyAdaptedNetworksStandOnOneBaseInMemory() {
        ComputationGraph first = LoRA.apply(graph, config(FrozenStorage.SHARED));
        ComputationGraph second = LoRA.apply(graph, config(FrozenStorage.SHARED));
        ComputationGraph copied = LoRA.apply(graph, LoRAConfig.builder().rank(2).copyBase(true).build());

        long base = graph.params().data().address();
        assertThat(address(first)).isEqualTo(address(second));
        assertThat(frozen(first).require("fc1").values().data().originalDataBuffer().address()).isEqualTo(base);
        assertThat(address(copied)).isNotEqualTo(address(first));
    }

    private static long address(ComputationGraph network) {
        return frozen(network).require("fc1").values().data().address();
    }

    private static FrozenReference frozen(ComputationGraph network) {
        return ((LoRADenseLayer) network.getLayer("fc1").conf().getLayer()).getFrozen();
    }

    @Test
    void configuredUpdaterReplacesTheBasesEverywhere() {
        ComputationGraph adapted = LoRA.apply(graph, LoRAConfig.builder().rank(2).targets("fc1").trainable("out")
                .updater(new Adam(0.5)).build());

        assertThat(adapted.getLayer("fc1").conf().getLayer().getUpdaterByParam("A")).isEqualTo(new Adam(0.5));
        assertThat(adapted.getLayer("out").conf().getLayer().getUpdaterByParam("W")).isEqualTo(new Adam(0.5));
    }

    @Test
    void summaryCountsAndPrintsEveryLayer() {
        LoRASummary summary = LoRA.summary(LoRA.apply(graph, LoRAConfig.builder().rank(2).alpha(4).targets("fc2").build()));

        assertThat(summary.trainableParams()).isEqualTo(20);
        assertThat(summary.totalParams()).isEqualTo(graph.numParams() + 20);
        assertThat(summary.trainablePercent()).isEqualTo(100.0 * 20 / (83 + 20));
        assertThat(summary.toString().lines()).containsExactly(
                "layer  type         role                      rank  alpha  trainable  frozen  stored as  bytes",
                "fc1    DenseLayer   frozen, no backward pass                       0      35  FLOAT        140",
                "fc2    DenseLayer   adapted                      2    4.0         20      30  FLOAT        120",
                "out    OutputLayer  frozen                                         0      18  FLOAT         72",
                "trainable params: 20 || all params: 103 || trainable%: 19.4175");
    }

    @Test
    void nothingIsSpentOnWhatLiesBelowEverythingThatTrains() {
        ComputationGraph adapted = LoRA.apply(graph, LoRAConfig.builder().rank(2).targets("fc2").build());

        assertThat(adapted.getLayer("fc1")).isInstanceOf(org.deeplearning4j.nn.layers.FrozenLayer.class);
        assertThat(Gradients.of(adapted, new MultiDataSet(DATA.getFeatures(), DATA.getLabels())))
                .containsOnlyKeys("fc2_A", "fc2_B");
    }

    private static LoRAConfig config(FrozenStorage storage) {
        return LoRAConfig.builder().rank(2).alpha(1.5).storage(storage).build();
    }
}
