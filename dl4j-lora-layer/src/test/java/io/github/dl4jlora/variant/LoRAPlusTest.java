package io.github.dl4jlora.variant;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.deeplearning4j.util.NetworkUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.AdaDelta;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.AdaMax;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nadam;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.RmsProp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** B learns as many times faster than A as the ratio says, whatever sets the learning rate. */
class LoRAPlusTest {

    private static final DataSet DATA = Networks.data(DataType.DOUBLE, 8, 1);

    private static ComputationGraph tuned(IUpdater updater, double ratio) {
        return Variants.disturb(LoRA.apply(Networks.trainedGraph(DataType.DOUBLE),
                LoRAConfig.builder().rank(2).updater(updater).loraPlusRatio(ratio).build()));
    }

    /** How far the next step of SGD goes, divided by the gradient's mean over the batch. */
    private static double rate(ComputationGraph network, String key) {
        INDArray gradient = Gradients.of(network, new MultiDataSet(DATA.getFeatures(), DATA.getLabels())).get(key).divi(8);
        INDArray before = network.getParam(key).dup();
        network.fit(DATA);
        return before.subi(network.getParam(key)).norm2Number().doubleValue() / gradient.norm2Number().doubleValue();
    }

    @Test
    void stepsOfBAreTheRatioLonger() {
        assertThat(rate(tuned(new Sgd(0.01), 16), "fc1_A")).isCloseTo(0.01, within(1e-9));
        assertThat(rate(tuned(new Sgd(0.01), 16), "fc1_B")).isCloseTo(0.16, within(1e-9));
        assertThat(rate(tuned(new Sgd(0.01), 1), "fc1_B")).isCloseTo(0.01, within(1e-9));
    }

    static Stream<IUpdater> updaters() {
        return Stream.of(new Sgd(0.01), new Adam(0.01), new AdaMax(0.01), new AMSGrad(0.01), new Nadam(0.01),
                new Nesterovs(0.01), new RmsProp(0.01), new AdaGrad(0.01));
    }

    /** Every updater's step is proportional to its learning rate. AdaBelief's fails in DL4J 1.0.0-M2.1 itself. */
    @ParameterizedTest
    @MethodSource("updaters")
    void everyUpdaterWithALearningRateTakesLongerSteps(IUpdater updater) {
        ComputationGraph with = tuned(updater, 16);
        ComputationGraph without = tuned(updater, 1);
        INDArray before = with.getParam("fc2_B").dup();
        INDArray beforeA = with.getParam("fc2_A").dup();

        with.fit(DATA);
        without.fit(DATA);

        assertThat(Networks.difference(with.getParam("fc2_A"), without.getParam("fc2_A"))).isLessThan(1e-12);
        assertThat(Networks.difference(with.getParam("fc2_A"), beforeA)).isPositive();
        INDArray longer = with.getParam("fc2_B").sub(before);
        assertThat(Networks.difference(longer, without.getParam("fc2_B").sub(before).mul(16))).isLessThan(1e-12);
        assertThat(longer.norm2Number().doubleValue()).isPositive();
    }

    @Test
    void schedulesAreFollowed() {
        MapSchedule schedule = new MapSchedule(ScheduleType.EPOCH, Map.of(0, 0.5, 1, 0.01, 2, 0.001));
        ComputationGraph network = tuned(new Sgd(schedule), 4);
        network.getConfiguration().setEpochCount(1);
        assertThat(rate(network, "fc1_B")).isCloseTo(0.04, within(1e-9));
        network.getConfiguration().setEpochCount(2);
        assertThat(rate(network, "fc1_B")).isCloseTo(0.004, within(1e-9));
        assertThat(rate(network, "fc1_A")).isCloseTo(0.001, within(1e-9));
    }

    @Test
    void learningRateUtilitiesSetBoth() {
        ComputationGraph network = tuned(new Sgd(0.01), 4);
        network.fit(DATA);
        NetworkUtils.setLearningRate(network, 0.02);
        assertThat(rate(network, "fc1_A")).isCloseTo(0.02, within(1e-9));
        assertThat(rate(network, "fc1_B")).isCloseTo(0.08, within(1e-9));
        assertThat(network.getLearningRate("fc1")).isEqualTo(0.02);
        network.setLearningRate("fc2", new MapSchedule(ScheduleType.ITERATION, Map.of(0, 0.03)));
        assertThat(rate(network, "fc2_B")).isCloseTo(0.12, within(1e-9));
        assertThat(rate(network, "fc1_B")).isCloseTo(0.08, within(1e-9));
    }

    @Test
    void adamsStateSurvivesASetLearningRate() {
        ComputationGraph set = tuned(new Adam(0.01), 4);
        ComputationGraph left = tuned(new Adam(0.01), 4);
        for (ComputationGraph network : new ComputationGraph[] {set, left}) {
            network.fit(DATA);
            network.fit(Networks.data(DataType.DOUBLE, 8, 2));
        }

        NetworkUtils.setLearningRate(set, 0.01);
        set.fit(DATA);
        left.fit(DATA);

        assertThat(Models.params(set)).isEqualTo(Models.params(left));
    }

    @Test
    void savedNetworksGoOnAsIfNeverInterrupted(@TempDir Path folder) throws IOException {
        ComputationGraph network = tuned(new Adam(0.01), 4);
        network.fit(DATA);
        File file = folder.resolve("network.zip").toFile();
        ModelSerializer.writeModel(network, file, true);

        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file, true);
        for (int step = 0; step < 3; step++) {
            network.fit(Networks.data(DataType.DOUBLE, 8, step));
            restored.fit(Networks.data(DataType.DOUBLE, 8, step));
        }

        assertThat(Models.params(restored)).isEqualTo(Models.params(network));
        ComputationGraphConfiguration conf = ComputationGraphConfiguration.fromJson(network.getConfiguration().toJson());
        assertThat(((LoRADenseLayer) ((LayerVertex) conf.getVertices().get("fc1")).getLayerConf().getLayer())
                .getLoraPlusRatio()).isEqualTo(4);
    }

    @Test
    void declaredLayersHaveItToo() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.25)).list()
                .layer(new LoRADenseLayer.Builder().nIn(4).nOut(3).rank(2).loraPlusRatio(8).build()).build());

        assertThat(network.getLayer(0).conf().getLayer().getUpdaterByParam("B").getLearningRate(0, 0)).isEqualTo(2);
        assertThat(network.getLayer(0).conf().getLayer().getUpdaterByParam("A").getLearningRate(0, 0)).isEqualTo(0.25);
    }

    @Test
    void ratiosThatMakeNoSenseAreRefused() {
        for (double ratio : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertThatThrownBy(() -> LoRAConfig.builder().loraPlusRatio(ratio).build())
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("loraPlusRatio is " + ratio);
        }
        assertThatThrownBy(() -> LoRAConfig.builder().loraPlusRatio(4).updater(new AdaDelta()).build())
                .hasMessageContainingAll("AdaDelta", "no learning rate");
        ComputationGraph base = Networks.trainedGraph(DataType.FLOAT, new AdaDelta());
        assertThatThrownBy(() -> LoRA.apply(base, LoRAConfig.builder().loraPlusRatio(4).build()))
                .hasMessageContainingAll("fc1", "AdaDelta", "no learning rate");
    }
}
