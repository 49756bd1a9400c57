package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Magnitudes;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Kernels compute what the stock layer computes on W + s·A·B, and have its gradients, whatever the layer. */
@ExtendWith(DoublePrecision.class)
@Tag("heavy")
class KernelsTest {

    private static final String CONVOLUTIONS = "(SEQUENCES|IMAGES|VOLUMES)_(?!OF).*";
    private static final double STEP = 1e-5;

    static Stream<KernelVariant> variants() {
        return Stream.of(KernelVariant.values());
    }

    /** DL4J's own backward pass fails for the other. */
    static Stream<KernelVariant> variantsThatDl4jTrains() {
        return variants().filter(variant -> variant != KernelVariant.SEQUENCES_CHANNELS_LAST);
    }

    LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(0.7).targets("kernel.").updater(new Sgd(0.1));
    }

    /** A and B away from zero. */
    static MultiLayerNetwork adapted(MultiLayerNetwork base, LoRAConfig config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        randomize(tuned);
        return tuned;
    }

    private static void randomize(MultiLayerNetwork tuned) {
        int seed = 20;
        for (Map.Entry<String, INDArray> parameter : tuned.paramTable().entrySet()) {
            if (parameter.getKey().contains(".")) {
                INDArray value = parameter.getValue();
                value.assign(Networks.random(value.dataType(), seed++, value.shape()).muli(0.5));
            }
        }
    }

    /** The same network with another engine. */
    private static MultiLayerNetwork by(Engine engine, MultiLayerNetwork tuned) {
        MultiLayerConfiguration conf = tuned.getLayerWiseConfigurations().clone();
        for (NeuralNetConfiguration layer : conf.getConfs()) {
            if (layer.getLayer() instanceof LoRAWrapperLayer lora) {
                lora.setEngine(engine);
            }
        }
        MultiLayerNetwork twin = new MultiLayerNetwork(conf);
        twin.init(tuned.params().dup(), false);
        return twin;
    }

    private static void withMask(KernelVariant variant, DataSet data, MultiLayerNetwork network) {
        INDArray mask = Nd4j.ones(DataType.DOUBLE, KernelVariant.ROWS, KernelVariant.STEPS);
        mask.putScalar(0, KernelVariant.STEPS - 1, 0);
        mask.putScalar(1, KernelVariant.STEPS - 2, 0);
        mask.putScalar(1, KernelVariant.STEPS - 1, 0);
        data.setFeaturesMaskArray(mask);
        long steps = data.getLabels().length() / KernelVariant.ROWS / 3;
        INDArray labels = Nd4j.ones(DataType.DOUBLE, KernelVariant.ROWS, steps);
        labels.putScalar(1, steps - 1, 0);
        data.setLabelsMaskArray(labels);
        assertThat(variant.isSequence()).isTrue();
        assertThat(network.getLayer(0)).isInstanceOf(KernelRuntime.class);
    }

    @ParameterizedTest
    @MethodSource("variants")
    void freshRewriteComputesWhatTheBaseComputes(KernelVariant variant) {
        MultiLayerNetwork base = variant.base(DataType.DOUBLE, Activation.TANH);
        MultiLayerNetwork tuned = LoRA.apply(base, config().build());

        assertThat(tuned.getLayer(0)).isInstanceOf(KernelRuntime.class);
        assertThat(Networks.difference(tuned.output(variant.features(DataType.DOUBLE)),
                base.output(variant.features(DataType.DOUBLE))))
                .isLessThan(1e-12);
    }

    @ParameterizedTest
    @MethodSource("variants")
    void disabledLayersComputeWhatTheBaseComputesBitForBit(KernelVariant variant) {
        MultiLayerNetwork base = variant.base(DataType.FLOAT, Activation.TANH);
        MultiLayerNetwork tuned = adapted(base, config().build());
        INDArray features = variant.features(DataType.FLOAT);
        double[] expected = base.output(features).dup('c').data().asDouble();

        assertThat(tuned.output(features).dup('c').data().asDouble()).isNotEqualTo(expected);
        try (AutoCloseable scope = LoRA.disabled(tuned)) {
            assertThat(tuned.output(features).dup('c').data().asDouble()).isEqualTo(expected);
            assertThatThrownBy(() -> tuned.fit(variant.data(base))).hasMessageContaining("disabled");
        } catch (Exception e) {
            throw new AssertionError(e);
        }
        assertThat(tuned.output(features).dup('c').data().asDouble()).isNotEqualTo(expected);
    }

    @ParameterizedTest
    @MethodSource("variants")
    void mergedNetworksComputeWhatAdaptedOnesCompute(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant.base(DataType.DOUBLE, Activation.TANH), config().build());
        INDArray features = variant.features(DataType.DOUBLE);

        assertThat(Networks.difference(LoRA.merge(tuned).output(features), tuned.output(features))).isLessThan(1e-12);
    }

    @ParameterizedTest
    @MethodSource("variants")
    void gradientsAreThoseOfFiniteDifferences(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant.base(DataType.DOUBLE, Activation.TANH), config().updater(new NoOp()).build());
        DataSet data = variant.data(tuned);

        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.MLNConfig().net(tuned).input(data.getFeatures())
                .labels(data.getLabels()).epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-8))).isTrue();
        MultiLayerNetwork embedded = adapted(variant.base(DataType.DOUBLE, Activation.TANH),
                config().storage(FrozenStorage.EMBEDDED).updater(new NoOp()).build());
        Map<String, INDArray> same = Twins.gradients(embedded, data);
        Twins.gradients(tuned, data).forEach((key, gradient) -> Networks.assertSame(key, same.get(key), gradient));
    }

    @ParameterizedTest
    @MethodSource("variants")
    void trainedBiasesHaveTheirGradientToo(KernelVariant variant) {
        MultiLayerNetwork tuned = LoRA.apply(variant.base(DataType.DOUBLE, Activation.TANH), config().bias("lora_only").build());
        tuned.params().addi(Networks.random(DataType.DOUBLE, 7, tuned.params().shape()).muli(0.5));
        DataSet data = variant.data(tuned);
        if (variant.isSequence()) {
            withMask(variant, data, tuned);
        }
        assertThat(tuned.getLayer(0)).isInstanceOf(KernelRuntime.class);
        // EmbeddingLayer and EmbeddingSequenceLayer have none unless asked for.
        assertThat(tuned.paramTable().containsKey("0_b")).isEqualTo(LoRA.unload(tuned).paramTable().containsKey("0_b"));

        Gradients.assertEqualFiniteDifferences(tuned, multi(data));
    }

    @ParameterizedTest
    @MethodSource("variantsThatDl4jTrains")
    void outputsAndGradientsAreThoseOfEffectiveWeights(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant.base(DataType.DOUBLE, Activation.LEAKYRELU), config().build());
        MultiLayerNetwork delta = by(Engine.EFFECTIVE_WEIGHTS, tuned);
        DataSet data = variant.data(tuned);
        assertThat(delta.getLayer(0)).isNotInstanceOf(KernelRuntime.class);

        assertThat(Networks.difference(tuned.output(data.getFeatures()), delta.output(data.getFeatures()))).isLessThan(1e-12);
        assertSameGradients(tuned, delta, data);
    }

    static void assertSameGradients(MultiLayerNetwork kernels, MultiLayerNetwork delta, DataSet data) {
        Map<String, INDArray> found = Twins.gradients(kernels, data);
        Map<String, INDArray> expected = Twins.gradients(delta, data);
        assertThat(found.keySet()).isEqualTo(expected.keySet()).isNotEmpty();
        found.forEach((key, gradient) -> {
            assertThat(expected.get(key).amaxNumber().doubleValue()).as("a gradient reaches " + key).isPositive();
            assertThat(Networks.difference(gradient, expected.get(key))).as(key).isLessThan(1e-10);
        });
    }

    @ParameterizedTest
    @EnumSource(names = "SEQUENCES.*", mode = EnumSource.Mode.MATCH_ALL)
    void masksAreRespectedForwardAndBackward(KernelVariant variant) {
        MultiLayerNetwork base = variant.base(DataType.DOUBLE, Activation.TANH);
        MultiLayerNetwork tuned = adapted(base, config().build());
        DataSet data = variant.data(tuned);
        withMask(variant, data, tuned);

        if (variant != KernelVariant.SEQUENCES_CHANNELS_LAST) {
            tuned.setLayerMaskArrays(data.getFeaturesMaskArray(), null);
            MultiLayerNetwork merged = LoRA.merge(tuned);
            merged.setLayerMaskArrays(data.getFeaturesMaskArray(), null);
            assertThat(Networks.difference(merged.output(data.getFeatures()), tuned.output(data.getFeatures())))
                    .isLessThan(1e-12);
            tuned.clearLayerMaskArrays();
        }
        Gradients.assertEqualFiniteDifferences(tuned, multi(data));
    }

    @Test
    void effectiveWeightsCanBeAskedForWhereThereIsAKernelAndNotOnDenseLayers() {
        MultiLayerNetwork base = KernelVariant.IMAGES_SAME.base(DataType.DOUBLE, Activation.TANH);

        MultiLayerNetwork adapted = adapted(base, config().engine(Engine.EFFECTIVE_WEIGHTS).build());

        assertThat(adapted.getLayer(0)).isNotInstanceOf(KernelRuntime.class);
        assertThatThrownBy(() -> LoRA.apply(Networks.trainedLayers(),
                LoRAConfig.builder().engine(Engine.EFFECTIVE_WEIGHTS).build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("EFFECTIVE_WEIGHTS", "other than", "fc1", "engine(FUSED)");
    }

    @ParameterizedTest
    @MethodSource("variantsThatDl4jTrains")
    void trainingIsThatOfEffectiveWeightsStepByStep(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant.base(DataType.DOUBLE, Activation.TANH), config().build());
        MultiLayerNetwork delta = by(Engine.EFFECTIVE_WEIGHTS, tuned);
        DataSet data = variant.data(tuned);
        INDArray before = tuned.params().dup();

        for (int step = 0; step < 5; step++) {
            tuned.fit(data);
            delta.fit(data);
        }
        assertThat(Networks.difference(tuned.params(), before)).isGreaterThan(1e-4);
        assertThat(Networks.difference(tuned.params(), delta.params())).isLessThan(1e-10);
    }

    @ParameterizedTest
    @EnumSource(names = CONVOLUTIONS, mode = EnumSource.Mode.MATCH_ALL)
    void droppedInputsOfThePathGetNoGradientAndOthersTheirScale(KernelVariant variant) {
        MultiLayerNetwork plain = adapted(variant.base(DataType.DOUBLE, Activation.TANH), config().build());
        MultiLayerNetwork dropping = LoRA.apply(variant.base(DataType.DOUBLE, Activation.TANH), config()
                .loraDropout(0.4).build());
        dropping.setParams(plain.params());
        DataSet data = variant.data(plain);

        assertThat(Networks.difference(dropping.output(data.getFeatures()), plain.output(data.getFeatures()))).isLessThan(1e-12);
        assertThat(passWithFixedSeed(dropping, data)).isNotEqualTo(passWithFixedSeed(plain, data));
        assertGradientIsTheSlope(dropping, data);
    }

    /** DL4J's own layers of one and three dimensions forget it in their backward pass. */
    @ParameterizedTest
    @EnumSource(names = CONVOLUTIONS, mode = EnumSource.Mode.MATCH_ALL)
    void theLayersOwnDropoutReachesTheGradientBelow(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant.base(DataType.DOUBLE, Activation.TANH), config().build());
        DataSet data = variant.data(tuned);
        double without = passWithFixedSeed(tuned, data);
        ((LoRAWrapperLayer) tuned.getLayer(1).conf().getLayer()).setIDropout(new Dropout(0.6));

        assertThat(passWithFixedSeed(tuned, data)).isNotEqualTo(without);
        assertGradientIsTheSlope(tuned, data);
    }

    /** With the same seed for every pass, what is dropped is the same, and the loss has a slope. */
    private static void assertGradientIsTheSlope(MultiLayerNetwork network, DataSet data) {
        passWithFixedSeed(network, data);
        INDArray gradient = network.getGradientsViewArray().div(KernelVariant.ROWS).reshape(network.params().length());
        INDArray direction = Networks.random(DataType.DOUBLE, 8, network.params().shape());
        INDArray start = network.params().dup();
        Magnitudes magnitudes = new Magnitudes(network);
        network.params().assign(start.add(direction.mul(STEP)));
        magnitudes.follow();
        double above = passWithFixedSeed(network, data);
        network.params().assign(start.sub(direction.mul(STEP)));
        magnitudes.follow();
        double below = passWithFixedSeed(network, data);
        double slope = gradient.mul(direction.reshape(gradient.shape())).sumNumber().doubleValue();
        assertThat((above - below) / (2 * STEP)).isCloseTo(slope, within(1e-6 * Math.max(1, Math.abs(slope))));
    }

    private static double passWithFixedSeed(MultiLayerNetwork network, DataSet data) {
        Nd4j.getRandom().setSeed(99);
        return Gradients.pass(network, multi(data));
    }

    static MultiDataSet multi(DataSet data) {
        return new MultiDataSet(new INDArray[] {data.getFeatures()}, new INDArray[] {data.getLabels()},
                new INDArray[] {data.getFeaturesMaskArray()}, new INDArray[] {data.getLabelsMaskArray()});
    }
}
