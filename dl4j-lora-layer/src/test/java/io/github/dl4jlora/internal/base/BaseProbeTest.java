package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.Networks;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

/** What a few remembered values tell of a base that moved, and what they do not. */
class BaseProbeTest {

    @ParameterizedTest
    @CsvSource({"1, FLOAT", "3, DOUBLE", "16, FLOAT", "17, HALF", "1000, BFLOAT16", "100000, FLOAT"})
    void changeOfAllValuesIsNoticed(int length, DataType type) {
        INDArray values = Networks.random(type, 1, length);
        BaseProbe probe = new BaseProbe(values);

        assertThat(probe.isUnmoved()).isTrue();
        values.muli(1.1);
        assertThat(probe.isUnmoved()).isFalse();
        values.assign(Networks.random(type, 1, length));
        assertThat(probe.isUnmoved()).as("it has come back").isTrue();
    }

    @Test
    void changeOfAnyFortiethIsNoticed() {
        // Each of the 16 places lies in a part of its own, so that no stretch of two parts is without one.
        INDArray values = Networks.random(DataType.FLOAT, 1, 1600);
        BaseProbe probe = new BaseProbe(values);
        for (int from = 0; from + 200 <= 1600; from += 100) {
            INDArray part = values.get(org.nd4j.linalg.indexing.NDArrayIndex.interval(from, from + 200));
            part.addi(1);
            assertThat(probe.isUnmoved()).as("values %d to %d", from, from + 200).isFalse();
            values.assign(Networks.random(DataType.FLOAT, 1, 1600));
        }
    }

    /** As documented: the hash sees it, the probe does not. */
    @Test
    void changeOfOneValueElsewhereIsNotNoticed() {
        INDArray values = Nd4j.zeros(DataType.FLOAT, 100_000);
        BaseProbe probe = new BaseProbe(values);
        int unnoticed = 0;
        for (int place = 0; place < 1000; place++) {
            values.putScalar(place, 1);
            unnoticed += probe.isUnmoved() ? 1 : 0;
            values.putScalar(place, 0);
        }

        assertThat(unnoticed).isGreaterThanOrEqualTo(999);
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.NEGATIVE_INFINITY})
    void valuesThatAreNotFiniteEqualThemselves(double value) {
        assertThat(new BaseProbe(Nd4j.valueArrayOf(new long[]{20}, value, DataType.FLOAT)).isUnmoved()).isTrue();
    }

    @Test
    void frozenWeightsAndWhoRefersToThemNameTheLayerAndTheRemedy() {
        INDArray values = Networks.random(DataType.FLOAT, 1, 12);
        FrozenReference reference = FrozenReference.to(FrozenWeights.of(values, Map.of("W", values.reshape(3, 4))), null);
        assertThatCode(() -> reference.requireUnmoved("fc")).doesNotThrowAnyException();

        values.addi(1);

        assertThatIllegalStateException().isThrownBy(() -> reference.requireUnmoved("fc"))
                .withMessageContainingAll("Layer \"fc\"", "have changed", "LoRA.attach", "copyBase(true)");
        values.close();
        assertThatIllegalStateException().isThrownBy(() -> reference.requireUnmoved("fc"))
                .withMessageContainingAll("Layer \"fc\"", "closed", "LoRA.attach", "copyBase(true)");
        assertThatIllegalStateException().isThrownBy(() -> reference.values("fc", DataType.DOUBLE, 12))
                .withMessageContainingAll("Layer \"fc\"", "closed");
    }

    @Test
    void aReferenceWithoutItsWeightsHasNothingToLookAt() {
        assertThatCode(() -> new FrozenReference("0".repeat(64), "FLOAT W[3,4]", null, false, null, null, false)
                .requireUnmoved("fc"))
                .doesNotThrowAnyException();
    }
}
