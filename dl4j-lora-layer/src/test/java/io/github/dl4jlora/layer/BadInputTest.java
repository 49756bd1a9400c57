package io.github.dl4jlora.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What cannot work is refused early, with the layer, the value and a way out in the message. */
class BadInputTest {

    @ParameterizedTest
    @ValueSource(ints = {0, -3})
    void ranksBelowOneAreRefused(int rank) {
        assertThatThrownBy(() -> lora().rank(rank).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("rank is " + rank).hasMessageContaining("rank(8)");
        assertThatThrownBy(() -> lowRank().rank(rank).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("rank is " + rank).hasMessageContaining("rank(8)");
    }

    /** As a damaged file might have them: what a wrapped layer starts from is in its vector. */
    @Test
    void aWrappedLayerHasNoConstants() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(2).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nIn(2).nOut(1).activation(Activation.IDENTITY).build())
                .build());
        LoRAWrapperLayer layer = (LoRAWrapperLayer) LoRA.apply(base, LoRAConfig.builder().rank(1).targets("lstm").build())
                .getLayerWiseConfigurations().getConf(0).getLayer();

        assertThatThrownBy(() -> layer.setConstants(layer.getFrozen())).isInstanceOf(UnsupportedOperationException.class)
                .hasMessageContaining("\"lstm\" has no constants");
        layer.setConstants(null);
        assertThat(layer.getConstants()).isNull();
    }

    @Test
    void aForgottenRankIsRefused() {
        for (Supplier<?> build : List.<Supplier<?>>of(() -> new LoRADenseLayer.Builder().nIn(6).nOut(5).build(),
                () -> new LowRankLayer.Builder().nIn(6).nOut(5).build())) {
            assertThatThrownBy(build::get).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("(unnamed)").hasMessageEndingWith("rank is not set. Set it with rank(8), for example");
        }
        assertThatThrownBy(() -> LoRASettings.builder().build()).hasMessage("rank is not set. Set it with rank(8), for example");
    }

    @Test
    void aRankOfZeroIsToldFromAForgottenOne() {
        assertThatThrownBy(() -> lora().rank(0).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\": rank is 0, but must be at least 1");
        assertThatThrownBy(() -> lowRank().rank(0).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\": rank is 0, but must be at least 1");
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
    void alphasThatAreNotFiniteAreRefused(double alpha) {
        assertThatThrownBy(() -> lora().alpha(alpha).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("alpha is " + alpha).hasMessageContaining("alpha(16)");
        assertThatThrownBy(() -> lowRank().alpha(alpha).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("alpha is " + alpha).hasMessageContaining("alpha(16)");
    }

    @ParameterizedTest
    @ValueSource(doubles = {-0.1, 1, 1.5, Double.NaN})
    void dropoutsOutsideTheirRangeAreRefused(double probability) {
        assertThatThrownBy(() -> lora().loraDropout(probability).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("loraDropout is " + probability)
                .hasMessageContaining("below 1");
        assertThatThrownBy(() -> lowRank().loraDropout(probability).build()).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("loraDropout is " + probability)
                .hasMessageContaining("below 1");
    }

    @Test
    void valuesSetLaterAreRefusedWhenTheNetworkIsMade() {
        assertThatThrownBy(() -> initWith(layer -> layer.setRank(0))).hasMessageContaining("\"fc1\"")
                .hasMessageContaining("rank is 0");
        assertThatThrownBy(() -> initWith(layer -> layer.setAlpha(Double.NaN))).hasMessageContaining("alpha is NaN");
        assertThatThrownBy(() -> initWith(layer -> layer.setLoraDropout(2))).hasMessageContaining("loraDropout is 2");
    }

    private static void initWith(Consumer<LoRADenseLayer> change) {
        LoRADenseLayer layer = lora().build();
        change.accept(layer);
        network(new NeuralNetConfiguration.Builder().seed(1), layer);
    }

    @Test
    void weightNoiseThatTheSameDiffEngineWouldIgnoreIsRefused() {
        assertThatThrownBy(() -> lora().engine(Engine.SAMEDIFF).weightNoise(new DropConnect(0.5)).build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("weightNoise").hasMessageContaining("Engine.FUSED");
    }

    @Test
    void weightNoiseOfTheWholeNetworkThatTheSameDiffEngineWouldIgnoreIsRefused() {
        assertThatThrownBy(() -> network(new NeuralNetConfiguration.Builder().seed(1).weightNoise(new DropConnect(0.5)),
                lora().engine(Engine.SAMEDIFF).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("weightNoise").hasMessageContaining("Engine.FUSED");
    }

    @Test
    void missingSizesAreRefused() {
        assertThatThrownBy(() -> network(new NeuralNetConfiguration.Builder().seed(1), new LoRADenseLayer.Builder().name("fc1")
                .nOut(5).rank(2).build()))
                .hasMessageContaining("LoRADenseLayer").hasMessageContaining("fc1").hasMessageContaining("nIn");
        assertThatThrownBy(() -> network(new NeuralNetConfiguration.Builder().seed(1), new LowRankLayer.Builder().name("fc1")
                .nOut(5).rank(2).build()))
                .hasMessageContaining("LowRankLayer").hasMessageContaining("fc1").hasMessageContaining("nIn");
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void inputsOfTheWrongWidthAreRefused(Engine engine) {
        MultiLayerNetwork network = network(new NeuralNetConfiguration.Builder().seed(1), lora().engine(engine).build());

        assertThatThrownBy(() -> network.output(Networks.random(DataType.FLOAT, 1, 4, 7)))
                .isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContaining("7 columns").hasMessageContaining("inputs = 6").hasMessageContaining("fc1");
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void inputsThatAreNoMatrixAreRefused(Engine engine) {
        MultiLayerNetwork network = network(new NeuralNetConfiguration.Builder().seed(1), lora().engine(engine).build());

        assertThatThrownBy(() -> network.output(Networks.random(DataType.FLOAT, 1, 4, 6, 2)))
                .isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContaining("[4, 6, 2]").hasMessageContaining("preprocessor").hasMessageContaining("fc1");
    }

    private static Stream<Arguments> sequenceHeads() {
        return Stream.of(RNNFormat.values()).flatMap(format -> Stream.of(
                Arguments.of(format, LoRAConfig.builder().rank(1).targets("out").build()),
                Arguments.of(format, LoRAConfig.builder().rank(1).targets("lstm").quantize(Quantization.INT8).build())));
    }

    /** As rows there are as many of them, whatever they belong to. */
    @ParameterizedTest
    @MethodSource("sequenceHeads")
    void labelsOfOtherStepsAreRefused(RNNFormat format, LoRAConfig config) {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().name("lstm").nOut(4).dataFormat(format).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).dataFormat(format)
                        .activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(3, 6, format)).build());
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        INDArray features = steps(format, 8, 3, 6);

        requireRefused(tuned, new DataSet(features, steps(format, 6, 2, 8)), "Numbers of examples do not match");
        requireRefused(tuned, new DataSet(features, steps(format, 8, 2, 5)), "Sequence lengths do not match");
        requireRefused(tuned, new DataSet(features, Networks.random(DataType.FLOAT, 2, 48, 2)), "Expected rank 3 labels array");
        tuned.fit(new DataSet(features, steps(format, 8, 2, 6)));
    }

    private static void requireRefused(MultiLayerNetwork network, DataSet data, String reason) {
        assertThat(List.<ThrowingCallable>of(() -> network.fit(data), () -> network.score(data),
                () -> network.scoreExamples(data, false))).allSatisfy(use -> assertThatThrownBy(use)
                .isInstanceOf(IllegalStateException.class).hasMessageContaining(reason)
                .hasMessageContaining(Arrays.toString(data.getLabels().shape())).hasMessageContaining("out"));
    }

    private static INDArray steps(RNNFormat format, int examples, int size, int steps) {
        INDArray channelsFirst = Networks.random(DataType.FLOAT, 1, examples, size, steps);
        return format == RNNFormat.NCW ? channelsFirst : channelsFirst.permute(0, 2, 1).dup();
    }

    @Test
    void inputsThatDoNotFitALowRankLayerAreRefused() {
        MultiLayerNetwork network = network(new NeuralNetConfiguration.Builder().seed(1), lowRank().build());

        assertThatThrownBy(() -> network.output(Networks.random(DataType.FLOAT, 1, 4, 7)))
                .isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContaining("[4, 7]").hasMessageContaining("6").hasMessageContaining("fc1");
    }

    @Test
    void resizingALayerThatHasItsSizeIsRefused() {
        LoRADenseLayer layer = lora().build();

        assertThatThrownBy(() -> layer.setNIn(7)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("nIn").hasMessageContaining("6 to 7")
                .hasMessageContaining("LoRA.merge");
        assertThatThrownBy(() -> layer.setNOut(9)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("nOut").hasMessageContaining("5 to 9")
                .hasMessageContaining("LoRA.merge");
    }

    @Test
    void settingTheSizeALayerHasIsNoResize() {
        LoRADenseLayer layer = lora().build();

        layer.setNIn(6);
        layer.setNOut(5);

        assertThat(layer.getNIn()).isEqualTo(6);
        assertThat(layer.getNOut()).isEqualTo(5);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void excessiveRanksWarnAndNameTheOverride(FrozenStorage storage) {
        List<String> declared = warnings(() -> network(new NeuralNetConfiguration.Builder().seed(1), lora().rank(7)
                .storage(storage).build()));
        List<String> lone = warnings(() -> network(new NeuralNetConfiguration.Builder().seed(1), lowRank().rank(7).build()));
        List<String> converted = warnings(() -> LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().rank(7).storage(storage)
                .override("fc2", o -> o.rank(2)).build()));

        for (List<String> each : List.of(declared, lone, converted)) {
            assertThat(each).singleElement().asString().contains("\"fc1").contains("rank 7").contains("= 5")
                    .contains("override(\"fc1");
        }
    }

    @Test
    void fittingRanksDoNotWarn() {
        assertThat(warnings(() -> network(new NeuralNetConfiguration.Builder().seed(1), lora().rank(5).build()))).isEmpty();
    }

    private static List<String> warnings(Runnable work) {
        try (LogCapture log = new LogCapture(AdaptedParameter.class)) {
            work.run();
            return log.messages();
        }
    }

    private static LoRADenseLayer.Builder lora() {
        return new LoRADenseLayer.Builder().name("fc1").nIn(6).nOut(5).rank(2);
    }

    private static LowRankLayer.Builder lowRank() {
        return new LowRankLayer.Builder().name("fc1").nIn(6).nOut(5).rank(2);
    }

    private static MultiLayerNetwork network(NeuralNetConfiguration.Builder conf, Layer layer) {
        return Networks.of(conf.list().layer(layer)
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).nIn(5).nOut(3).activation(Activation.SOFTMAX)
                        .build()).build());
    }
}
