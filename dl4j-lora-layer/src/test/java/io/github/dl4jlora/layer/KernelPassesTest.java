package io.github.dl4jlora.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** What kernels keep between passes, and what they do when passes come in another order than a training step's. */
@Tag("heavy")
class KernelPassesTest {

    private static final LayerWorkspaceMgr NO_WORKSPACES = LayerWorkspaceMgr.noWorkspaces();

    private static MultiLayerNetwork adapted(KernelVariant variant, DataType type) {
        return adapted(variant, type, Activation.TANH);
    }

    private static MultiLayerNetwork adapted(KernelVariant variant, DataType type, Activation activation) {
        MultiLayerNetwork tuned = LoRA.apply(variant.base(type, activation),
                LoRAConfig.builder().rank(2).alpha(0.7).targets("kernel.").updater(new Sgd(0.1)).build());
        tuned.params().assign(Networks.random(type, 21, tuned.params().shape()).muli(0.5));
        return tuned;
    }

    /** The gradient of one pass through the first layer alone. */
    private static Map<String, INDArray> backward(Layer layer, INDArray epsilon) {
        Gradient gradient = layer.backpropGradient(epsilon.dup(), NO_WORKSPACES).getFirst();
        return Twins.copies(gradient);
    }

    private static void assertSame(Map<String, INDArray> found, Map<String, INDArray> expected) {
        expected.forEach((key, gradient) -> {
            assertThat(gradient.amaxNumber().doubleValue()).isPositive();
            assertThat(Networks.difference(found.get(key), gradient)).as(key).isLessThan(1e-12);
        });
    }

    @ParameterizedTest
    @EnumSource
    void whatIsMissingInABackwardPassIsComputedAnew(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant, DataType.DOUBLE);
        Layer layer = tuned.getLayer(0);
        layer.setBackpropGradientsViewArray(Nd4j.create(DataType.DOUBLE, 1, layer.numParams()));
        INDArray x = variant.features(DataType.DOUBLE);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 6, layer.activate(x.dup(), true, NO_WORKSPACES).shape());
        Map<String, INDArray> expected = backward(layer, epsilon);

        assertSame(backward(layer, epsilon), expected);
        layer.activate(x.dup(), true, NO_WORKSPACES);
        layer.activate(x.neg().addi(variant.isEmbedding() ? 6 : 0), false, NO_WORKSPACES);
        layer.setInput(x.dup(), NO_WORKSPACES);
        assertSame(backward(layer, epsilon), expected);
        layer.activate(x.dup(), false, NO_WORKSPACES);
        assertSame(backward(layer, epsilon), expected);
    }

    @ParameterizedTest
    @EnumSource
    void stepsWithAndWithoutWorkspacesAreTheSame(KernelVariant variant) {
        MultiLayerNetwork with = adapted(variant, DataType.DOUBLE);
        MultiLayerNetwork without = adapted(variant, DataType.DOUBLE);
        without.getLayerWiseConfigurations().setTrainingWorkspaceMode(WorkspaceMode.NONE);
        without.getLayerWiseConfigurations().setInferenceWorkspaceMode(WorkspaceMode.NONE);
        DataSet data = variant.data(with);
        for (int step = 0; step < 4; step++) {
            with.fit(data);
            without.fit(data);
        }

        assertThat(with.params().toDoubleVector()).isEqualTo(without.params().toDoubleVector());
        assertThat(with.output(data.getFeatures())).isEqualTo(without.output(data.getFeatures()));
    }

    @ParameterizedTest
    @EnumSource(names = ".*WORDS.*", mode = EnumSource.Mode.MATCH_NONE)
    void callersGetTheInputsGradientAlthoughTrainingLeavesItOut(KernelVariant variant) {
        MultiLayerNetwork tuned = adapted(variant, DataType.DOUBLE);
        DataSet data = variant.data(tuned);

        Pair<Gradient, INDArray> found = tuned.calculateGradients(data.getFeatures(), data.getLabels(), null, null);

        assertThat(found.getSecond().shape()).isEqualTo(data.getFeatures().shape());
        INDArray direction = Networks.random(DataType.DOUBLE, 8, data.getFeatures().shape());
        double above = score(tuned, data, direction.mul(1e-5));
        double below = score(tuned, data, direction.mul(-1e-5));
        double slope = found.getSecond().mul(direction).sumNumber().doubleValue() / KernelVariant.ROWS;
        assertThat((above - below) / 2e-5).isCloseTo(slope, within(1e-6));
        assertThat(slope).isNotZero();
    }

    private static double score(MultiLayerNetwork network, DataSet data, INDArray change) {
        return network.score(new DataSet(data.getFeatures().add(change), data.getLabels()));
    }

    @ParameterizedTest
    @EnumSource
    void otherDataTypesWorkToTheirPrecision(KernelVariant variant) {
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.HALF, DataType.BFLOAT16}) {
            // ND4J has no derivative of tanh in BFLOAT16.
            MultiLayerNetwork exact = adapted(variant, DataType.DOUBLE, Activation.IDENTITY);
            MultiLayerNetwork rounded = exact.convertDataType(type);
            double precision = type == DataType.FLOAT ? 1e-5 : type == DataType.HALF ? 2e-2 : 0.1;
            INDArray features = variant.features(DataType.DOUBLE);

            INDArray output = rounded.output(features.castTo(type));

            assertThat(output.dataType()).isEqualTo(type);
            assertThat(Networks.difference(output, exact.output(features))).as(type.toString()).isLessThan(precision);
            INDArray before = rounded.params().dup();
            DataSet data = variant.data(rounded);
            rounded.fit(data);
            assertThat(Networks.difference(rounded.params(), before)).as(type.toString()).isPositive().isFinite();
        }
    }

    /** DL4J's networks give convolutions no mask, but a user may. */
    @Test
    void aMaskOnASequenceConvolutionItselfZeroesStepsAndTheirGradients() {
        Layer layer = adapted(KernelVariant.SEQUENCES_CHANNELS_LAST, DataType.DOUBLE).getLayer(0);
        layer.setBackpropGradientsViewArray(Nd4j.create(DataType.DOUBLE, 1, layer.numParams()));
        INDArray mask = Nd4j.ones(DataType.DOUBLE, KernelVariant.ROWS, KernelVariant.STEPS);
        mask.putScalar(0, KernelVariant.STEPS - 1, 0);
        layer.setMaskArray(mask);
        INDArray x = KernelVariant.SEQUENCES_CHANNELS_LAST.features(DataType.DOUBLE);

        INDArray output = layer.activate(x.dup(), true, NO_WORKSPACES);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 6, output.shape());
        Map<String, INDArray> masked = backward(layer, epsilon);

        assertThat(output.slice(0).slice(KernelVariant.STEPS - 1).amaxNumber().doubleValue()).isZero();
        assertThat(output.slice(0).slice(0).amaxNumber().doubleValue()).isPositive();
        layer.setMaskArray(null);
        layer.activate(x.dup(), true, NO_WORKSPACES);
        INDArray zeroed = epsilon.dup();
        zeroed.slice(0).slice(KernelVariant.STEPS - 1).assign(0);
        assertSame(masked, backward(layer, zeroed));
    }

    @Test
    void inputsOfAnotherShapeAreRefusedByName() {
        MultiLayerNetwork images = adapted(KernelVariant.IMAGES_SAME, DataType.DOUBLE);
        assertThatThrownBy(() -> images.output(Nd4j.ones(DataType.DOUBLE, 2, 5, 7, 6)))
                .hasMessageContaining("[2, 5, 7, 6]").hasMessageContaining("2 input channels").hasMessageContaining("kernel1");
        MultiLayerNetwork words = adapted(KernelVariant.SEQUENCES_OF_WORDS, DataType.DOUBLE);
        assertThatThrownBy(() -> words.output(Nd4j.valueArrayOf(new long[] {2, KernelVariant.STEPS}, 7.0, DataType.DOUBLE)))
                .hasMessageContaining("got index 7").hasMessageContaining("kernel1");
    }
}
