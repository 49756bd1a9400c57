package io.github.dl4jlora.layer;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** All that holds of kernels holds with DoRA's magnitudes, whose norms are constants to the gradient. */
@Tag("heavy")
class DoRAKernelsTest extends KernelsTest {

    static Stream<KernelVariant> variants() {
        return KernelsTest.variants().filter(KernelVariant::hasPath);
    }

    static Stream<KernelVariant> variantsThatDl4jTrains() {
        return KernelsTest.variantsThatDl4jTrains().filter(KernelVariant::hasPath);
    }

    @Override
    LoRAConfig.Builder config() {
        return super.config().variant(new DoRA());
    }

    @ParameterizedTest
    @MethodSource("variants")
    @Override
    void gradientsAreThoseOfFiniteDifferences(KernelVariant variant) {
        MultiLayerNetwork base = variant.base(DataType.DOUBLE, Activation.TANH);
        MultiLayerNetwork shared = adapted(base, config().build());
        MultiLayerNetwork embedded = adapted(base, config().storage(FrozenStorage.EMBEDDED).build());
        DataSet data = variant.data(shared);

        Gradients.assertEqualFiniteDifferences(shared, multi(data));
        assertSameTrainedGradients(shared, embedded, data);
    }

    private static void assertSameTrainedGradients(MultiLayerNetwork shared, MultiLayerNetwork embedded, DataSet data) {
        Map<String, INDArray> expected = Twins.gradients(shared, data);
        Map<String, INDArray> found = Twins.gradients(embedded, data);
        assertThat(expected).containsKey("0_W.m");
        expected.forEach((key, gradient) -> assertThat(found.get(key)).as(key).isEqualTo(gradient));
    }

    /** m and ‖W‖ are rounded alike, whatever the type: their ratio is 1. */
    @ParameterizedTest
    @MethodSource("variants")
    void freshNetworkIsPlainLoRAsBitForBit(KernelVariant variant) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT, DataType.HALF, DataType.BFLOAT16}) {
            MultiLayerNetwork base = variant.base(DataType.FLOAT, Activation.TANH).convertDataType(type);
            INDArray features = variant.features(type);
            MultiLayerNetwork dora = LoRA.apply(base, config().seed(3).build());
            MultiLayerNetwork plain = LoRA.apply(base, config().variant(new PlainLoRA()).seed(3).build());

            assertThat(dora.getLayer(0)).isInstanceOf(KernelRuntime.class);
            assertThat(Models.values(dora.output(features))).as(type.name()).isEqualTo(Models.values(plain.output(features)));
        }
    }

    @ParameterizedTest
    @MethodSource("variants")
    void magnitudesAreTheNormsOfEachOutputsWeights(KernelVariant variant) {
        MultiLayerNetwork base = variant.base(DataType.DOUBLE, Activation.TANH);
        INDArray m = LoRA.apply(base, config().build()).getParam("0_W.m");
        INDArray w = base.getParam("0_W");
        assertThat(m.shape()).containsExactly(1, 3);
        for (int output = 0; output < 3; output++) {
            double squares = 0;
            long others = w.length() / 3;
            for (int i = 0; i < others; i++) {
                // DL4J's one-dimensional weights lie as [kernel, nIn, nOut] whatever their shape tells.
                double value = variant.isEmbedding() ? w.getDouble(i, output)
                        : variant.isSequence() ? w.data().getDouble(w.offset() - w.data().offset() + i * 3L + output)
                        : w.reshape('c', 3, others).getDouble(output, i);
                squares += value * value;
            }
            assertThat(m.getDouble(0, output)).isCloseTo(Math.sqrt(squares), within(1e-12));
        }
    }

    /** A filter or feature of zeros has no direction, and a norm of zero, also in numbers that know none as small as 1e-15. */
    @ParameterizedTest
    @EnumSource(names = {"IMAGES_SAME", "WORDS", "SEQUENCES_TRUNCATED"})
    void outputsOfZerosStayWhatTheyAre(KernelVariant variant) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.HALF}) {
            MultiLayerNetwork base = variant.base(type, Activation.TANH);
            base.getParam("0_W").assign(0);
            INDArray features = variant.features(type);
            for (Engine engine : new Engine[] {Engine.FUSED, Engine.EFFECTIVE_WEIGHTS}) {
                MultiLayerNetwork dora = LoRA.apply(base, config().engine(engine).build());

                assertThat(Networks.difference(dora.output(features), base.output(features))).isLessThan(1e-3);
                dora.fit(variant.data(base));
                assertThat(Models.params(dora)).as(type + " " + engine).doesNotContain(Double.NaN);
                assertThat(Networks.difference(LoRA.merge(dora).output(features), dora.output(features))).isLessThan(1e-2);
            }
        }
    }

    @Test
    void layersWithoutAKernelOrAVariantWithoutMagnitudesAreRefusedByName() {
        MultiLayerNetwork base = KernelVariant.IMAGES_SAME.base(DataType.FLOAT, Activation.TANH);
        assertThatThrownBy(() -> LoRA.apply(base, super.config().variant(new FrozenALoRA()).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"kernel1\" (ConvolutionLayer)", "variant LoRA-FA is for DenseLayer, OutputLayer, "
                        + "RnnOutputLayer. Leave this layer out with exclude(\"kernel1\")");
    }
}
