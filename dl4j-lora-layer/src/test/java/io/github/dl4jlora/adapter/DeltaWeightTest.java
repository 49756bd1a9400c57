package io.github.dl4jlora.adapter;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.Map;
import java.util.NoSuchElementException;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class DeltaWeightTest {

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void deltaWeightIsTheScaledProduct(Scaling scaling) {
        LoRAAdapter adapter = Adapters.of(3, 2.5, scaling, 1);

        INDArray delta = adapter.deltaWeight("fc1");

        assertThat(delta.shape()).containsExactly(6, 5);
        assertThat(Adapters.difference(Adapters.matrix(delta), Adapters.product(adapter, "fc1"))).isLessThan(1e-14);
    }

    @ParameterizedTest(name = "rank {0}")
    @CsvSource({"1", "3", "5", "8"})
    void spectrumIsThatOfTheFormedProduct(int rank) {
        LoRAAdapter adapter = Adapters.of(rank, -1.5, Scaling.ALPHA, 2);
        double[] expected = new SingularValueDecomposition(Adapters.product(adapter, "fc1")).getSingularValues();

        double[] spectrum = adapter.spectrum("fc1");

        assertThat(spectrum).hasSize(Math.min(rank, 5)).containsExactly(Arrays.copyOf(expected, spectrum.length), within(1e-12));
    }

    @ParameterizedTest(name = "rank {0}")
    @CsvSource({"1", "3", "8"})
    void normIsThatOfTheFormedProduct(int rank) {
        LoRAAdapter adapter = Adapters.of(rank, 7, Scaling.ALPHA_OVER_SQRT_RANK, 3);
        RealMatrix product = Adapters.product(adapter, "fc2");

        assertThat(adapter.norm("fc2")).isCloseTo(product.getFrobeniusNorm(), within(1e-12));
    }

    @Test
    void untrainedAdapterHasNoNormAndNoSpectrum() {
        Delta fresh = Adapters.delta(6, 3, 1, Scaling.ALPHA, 4);
        fresh.b().assign(0);
        LoRAAdapter adapter = Adapters.adapter(Map.of("fc1", fresh), Map.of(), 0);

        assertThat(adapter.norm("fc1")).isZero();
        assertThat(adapter.spectrum("fc1")).containsExactly(0, 0, 0);
    }

    @Test
    void tallLayersCostNoSquareMatrix() {
        Delta tall = new Delta(Nd4j.ones(DataType.FLOAT, 200_000, 2), Nd4j.ones(DataType.FLOAT, 2, 3), 1,
                Scaling.ALPHA, null);
        LoRAAdapter adapter = Adapters.adapter(Map.of("fc1", tall), Map.of(), 0);

        double[] spectrum = adapter.spectrum("fc1");

        assertThat(spectrum[0]).isCloseTo(2 * Math.sqrt(3 * 200_000), within(1e-6));
        assertThat(spectrum[1]).isCloseTo(0, within(1e-6));
    }

    @Test
    void unknownLayerIsNamedBesideThoseThereAre() {
        assertThatThrownBy(() -> Adapters.of(2, 1, Scaling.ALPHA, 1).deltaWeight("fc9"))
                .isInstanceOf(NoSuchElementException.class).hasMessageContaining("\"fc9\"").hasMessageContaining("[fc1, fc2]");
    }

    @Test
    void divergedAdapterHasNoSpectrum() {
        LoRAAdapter adapter = Adapters.of(2, 1, Scaling.ALPHA, 1);
        adapter.content().deltas().get("fc2").a().putScalar(0, Double.NaN);

        assertThatThrownBy(() -> adapter.spectrum("fc2"))
                .isInstanceOf(IllegalStateException.class).hasMessageContaining("\"fc2\"").hasMessageContaining("A holds NaN");
    }
}
