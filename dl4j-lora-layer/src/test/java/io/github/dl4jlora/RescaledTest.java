package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.within;

/** Paths that are multiplied at run time: the scope and the setting. */
class RescaledTest {

    private static final INDArray INPUT = Networks.random(DataType.DOUBLE, 5, 7, Networks.IN);

    private static final MultiDataSet BATCH = new MultiDataSet(Networks.data(DataType.DOUBLE, 6, 1).getFeatures(),
            Networks.data(DataType.DOUBLE, 6, 1).getLabels());

    private final ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);

    private ComputationGraph tuned(LoRAConfig.Builder config) {
        ComputationGraph tuned = LoRA.apply(base, config.build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        return tuned;
    }

    private static LoRAConfig.Builder plain(double alpha) {
        return LoRAConfig.builder().rank(2).targets(".*").alpha(alpha);
    }

    static Stream<LoRAConfig.Builder> settings() {
        return Stream.of(plain(0.8), plain(0.8).storage(FrozenStorage.EMBEDDED), plain(0.8).variant(new DoRA()),
                plain(0.8).engine(Engine.SAMEDIFF), plain(0.8).engine(Engine.SAMEDIFF).variant(new DoRA()));
    }

    @ParameterizedTest
    @MethodSource("settings")
    void insideItComputesWhatAnotherAlphaComputesAndAfterwardsTheSameBits(LoRAConfig.Builder settings) {
        for (double factor : new double[] {0.25, -1.5}) {
            ComputationGraph tuned = tuned(settings.alpha(0.8));
            ComputationGraph other = LoRA.apply(base, settings.alpha(0.8 * factor).build());
            other.setParams(tuned.params().dup());
            INDArray before = tuned.outputSingle(INPUT).dup();

            try (LoRA.Scope scope = LoRA.rescaled(tuned, factor)) {
                assertThat(Networks.difference(tuned.outputSingle(INPUT), other.outputSingle(INPUT))).isLessThan(1e-12);
                assertThat(Gradients.pass(tuned, BATCH))
                        .isCloseTo(Gradients.pass(other, BATCH), within(1e-12));
                assertThat(Networks.difference(tuned.getGradientsViewArray(), other.getGradientsViewArray())).isLessThan(1e-10);
            }

            assertThat(Models.values(tuned.outputSingle(INPUT))).containsExactly(Models.values(before));
        }
    }

    @Test
    void fitInsideTrainsTheScaledFunction() {
        ComputationGraph tuned = tuned(plain(0.8).updater(new Sgd(0.1)));
        ComputationGraph other = LoRA.apply(base, plain(0.4).updater(new Sgd(0.1)).build());
        other.setParams(tuned.params().dup());

        try (LoRA.Scope scope = LoRA.rescaled(tuned, 0.5)) {
            tuned.fit(Networks.data(DataType.DOUBLE, 6, 1));
        }
        other.fit(Networks.data(DataType.DOUBLE, 6, 1));

        assertThat(Networks.difference(tuned.params(), other.params())).isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource(value = LoRAInit.class, names = {"KAIMING_UNIFORM", "PISSA", "OLORA"})
    void noneOfItIsTheBase(LoRAInit init) {
        ComputationGraph tuned = tuned(plain(0.8).loraInit(init));

        try (LoRA.Scope scope = LoRA.rescaled(tuned, 0)) {
            assertThat(Networks.difference(tuned.outputSingle(INPUT), base.outputSingle(INPUT))).isLessThan(1e-12);
        }
        try (LoRA.Scope scope = LoRA.rescaled(tuned, 0.5)) {
            assertThat(Networks.difference(LoRA.merge(tuned).params(), base.params().add(LoRA.merge(tuned(plain(0.8)
                    .loraInit(init))).params()).div(2))).isLessThan(1e-12);
        }
    }

    @Test
    void scopesMultiplyInWhicheverOrderTheyAreClosed() {
        ComputationGraph tuned = tuned(plain(0.8));
        INDArray whole = tuned.outputSingle(INPUT).dup();
        LoRA.Scope outer = LoRA.rescaled(tuned, 0.5);
        INDArray half = tuned.outputSingle(INPUT).dup();
        LoRA.Scope inner = LoRA.rescaled(tuned, 0.1);

        outer.close();
        outer.close();
        INDArray tenth = tuned.outputSingle(INPUT).dup();
        inner.close();

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(whole);
        try (LoRA.Scope scope = LoRA.rescaled(tuned, 0.1)) {
            assertThat(tuned.outputSingle(INPUT)).isEqualTo(tenth).isNotEqualTo(half);
        }
        try (LoRA.Scope scope = LoRA.rescaled(tuned, 0.2); LoRA.Scope again = LoRA.rescaled(tuned, 0.5)) {
            assertThat(tuned.outputSingle(INPUT)).isEqualTo(tenth);
        }
    }

    @Test
    void disabledInsideIsTheBaseBitForBitAndTheOtherWayRound() {
        ComputationGraph tuned = tuned(plain(0.8));
        double[] bits = Models.values(base.outputSingle(INPUT));

        try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
            INDArray inside = tuned.outputSingle(INPUT).dup();
            try (LoRA.Scope off = LoRA.disabled(tuned)) {
                assertThat(Models.values(tuned.outputSingle(INPUT))).containsExactly(bits);
            }
            assertThat(tuned.outputSingle(INPUT)).isEqualTo(inside);
        }
        try (LoRA.Scope off = LoRA.disabled(tuned); LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
            assertThat(Models.values(tuned.outputSingle(INPUT))).containsExactly(bits);
        }
    }

    @Test
    void everyKindOfLayerIsScaled() {
        MultiLayerNetwork convolution = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1)
                .dataType(DataType.DOUBLE).list().layer(new ConvolutionLayer.Builder(2, 2).name("conv").nOut(3).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nOut(2)
                        .activation(Activation.IDENTITY).build()).setInputType(InputType.convolutional(4, 4, 2)).build());
        MultiLayerNetwork recurrent = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1)
                .dataType(DataType.DOUBLE).list().layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nOut(2)
                        .activation(Activation.IDENTITY).build()).build());
        Map<MultiLayerNetwork, MultiDataSet> networks = new LinkedHashMap<>();
        networks.put(convolution, new MultiDataSet(Networks.random(DataType.DOUBLE, 1, 2, 2, 4, 4),
                Networks.random(DataType.DOUBLE, 2, 2, 2)));
        networks.put(recurrent, new MultiDataSet(Networks.random(DataType.DOUBLE, 1, 2, 3, 5),
                Networks.random(DataType.DOUBLE, 2, 2, 2, 5)));
        networks.forEach((network, data) -> {
            network.init();
            MultiLayerNetwork tuned = LoRA.apply(network, plain(0.8).build());
            Networks.randomizeAdapters(tuned.paramTable(), 3);
            MultiLayerNetwork other = LoRA.apply(network, plain(0.4).build());
            other.setParams(tuned.params().dup());
            INDArray before = tuned.output(data.getFeatures(0)).dup();

            try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
                assertThat(Networks.difference(tuned.output(data.getFeatures(0)), other.output(data.getFeatures(0))))
                        .isLessThan(1e-12);
                Gradients.pass(tuned, data);
                Gradients.pass(other, data);
                assertThat(Networks.difference(tuned.getGradientsViewArray(), other.getGradientsViewArray())).isLessThan(1e-10);
            }
            assertThat(tuned.output(data.getFeatures(0))).isEqualTo(before);
        });
    }

    @Test
    void oneMatrixOfAnLstmCanBeScaled() {
        MultiLayerNetwork recurrent = Networks.of(new NeuralNetConfiguration.Builder().seed(1)
                .dataType(DataType.DOUBLE).list().layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nOut(2)
                        .activation(Activation.IDENTITY).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(recurrent, LoRAConfig.builder().rank(2).targets("lstm").build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        MultiLayerNetwork other = LoRA.apply(recurrent, LoRAConfig.builder().rank(2).targets("lstm")
                .override("lstm/RW", o -> o.alpha(0.3)).build());
        other.setParams(tuned.params().dup());
        INDArray input = Networks.random(DataType.DOUBLE, 1, 2, 3, 5);

        LoRA.setScale(tuned, "lstm/RW", 0.3);

        assertThat(Networks.difference(tuned.output(input), other.output(input))).isLessThan(1e-12);
        assertThat(LoRA.summary(tuned).rows()).extracting(LoRASummary.Row::role)
                .contains("adapted", "adapted, scaled by 0.3");
    }

    @Test
    void aSettingIsRelativeToTheAdaptersOwnScalingAndStays() {
        ComputationGraph tuned = tuned(plain(0.8));
        INDArray whole = tuned.outputSingle(INPUT).dup();
        ComputationGraph other = LoRA.apply(base, plain(0.8).override("fc1", o -> o.alpha(0.4)).override("fc2", o -> o.alpha(2.4))
                .build());
        other.setParams(tuned.params().dup());

        LoRA.setScale(tuned, "fc.", 0.2);
        LoRA.setScale(tuned, Map.of("fc1", 0.5, "fc2", 3.0));
        assertThat(Networks.difference(tuned.outputSingle(INPUT), other.outputSingle(INPUT))).isLessThan(1e-12);
        assertThat(Networks.difference(LoRA.merge(tuned).params(), LoRA.merge(other).params())).isLessThan(1e-12);
        assertThat(Networks.difference(tuned.clone().outputSingle(INPUT), whole)).isLessThan(1e-12);

        LoRA.setScale(tuned, ".*", 1);
        assertThat(tuned.outputSingle(INPUT)).isEqualTo(whole);
    }

    @Test
    void anAdapterThatIsSwappedInIsScaledToo() {
        ComputationGraph tuned = tuned(plain(0.8));
        LoRAAdapter other = LoRAAdapter.of(tuned(plain(1.6)));

        try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
            INDArray before = tuned.outputSingle(INPUT).dup();
            other.applyTo(tuned);
            assertThat(tuned.outputSingle(INPUT)).isNotEqualTo(before);
        }

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(tuned(plain(1.6)).outputSingle(INPUT));
    }

    @Test
    void whatFilesHaveNoPlaceForIsRefused(@TempDir Path folder) {
        ComputationGraph tuned = tuned(plain(0.8));
        try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
            assertThatIllegalStateException().isThrownBy(() -> LoRA.save(tuned, folder.resolve("whole.zip"), false))
                    .withMessageContaining("LoRA.save").withMessageContaining("fc1 (0.5)");
            assertThatIllegalStateException().isThrownBy(() -> LoRAAdapter.of(tuned)).withMessageContaining("LoRAAdapter.of");
        }
        LoRA.setScale(tuned, "fc2", 0);
        assertThatIllegalStateException().isThrownBy(() -> LoRAAdapter.of(tuned)).withMessageContaining("[fc2 (0.0)]");
        LoRA.setScale(tuned, "fc2", 1);

        assertThat(folder).isEmptyDirectory();
        assertThat(LoRAAdapter.of(tuned).layers()).contains("fc2");
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void factorsThatAreNoNumbersAreRefused(double factor) {
        ComputationGraph tuned = tuned(plain(0.8));

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.rescaled(tuned, factor)).withMessageContaining("" + factor);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.setScale(tuned, "fc1", factor))
                .withMessageContaining("setScale(\"fc1\"").withMessageContaining("" + factor);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.merging(tuned).weight(factor))
                .withMessageContaining("" + factor);
    }

    @Test
    void patternsThatDoNotFitAreRefusedAndNothingIsScaled() {
        ComputationGraph tuned = tuned(plain(0.8));
        INDArray whole = tuned.outputSingle(INPUT).dup();
        Map<String, Double> factors = new LinkedHashMap<>();
        factors.put("fc1", 0.5);
        factors.put("fc.*", 0.2);

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.setScale(tuned, factors)).withMessageContaining(
                "\"fc1\" and \"fc.*\" both match fc1, which cannot be scaled by both 0.5 and 0.2");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.setScale(tuned, Map.of("fc1", 0.5, "fc", 2.0)))
                .withMessageContaining("setScale(\"fc\", …) matches none").withMessageContaining("[fc1, fc2, out]");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.setScale(base, "fc1", 2)).withMessageContaining("no adapted");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.rescaled(base, 2)).withMessageContaining("no adapted layer");

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(whole);
    }

    @Test
    void doraAtNothingKeepsItsMagnitude() {
        ComputationGraph tuned = tuned(plain(0.8).variant(new DoRA()));
        tuned.getLayer("fc1").getParam(DoRA.MAGNITUDE).muli(2);

        try (LoRA.Scope none = LoRA.rescaled(tuned, 0)) {
            INDArray merged = LoRA.merge(tuned).getParam("fc1_W");
            assertThat(Networks.difference(merged, base.getParam("fc1_W").mul(2))).isLessThan(1e-12);
        }
    }
}
