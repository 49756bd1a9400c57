package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import org.apache.commons.math3.linear.RealMatrix;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

class CompressionTest {

    @ParameterizedTest(name = "rank {0}")
    @CsvSource({"1", "2", "3"})
    void errorIsTheTailOfTheSpectrum(int rank) {
        LoRAAdapter adapter = Adapters.of(4, 3, Scaling.ALPHA_OVER_RANK, 1);
        double[] spectrum = adapter.spectrum("fc1");
        double tail = 0;
        for (int i = rank; i < spectrum.length; i++) {
            tail += spectrum[i] * spectrum[i];
        }

        LoRAAdapter.Compressed compressed = adapter.compress(rank);

        RealMatrix lost = Adapters.product(adapter, "fc1").subtract(Adapters.matrix(compressed.adapter().deltaWeight("fc1")));
        assertThat(lost.getFrobeniusNorm()).isCloseTo(Math.sqrt(tail), within(1e-12));
        assertThat(compressed.relativeErrors().get("fc1")).isCloseTo(Math.sqrt(tail) / adapter.norm("fc1"), within(1e-12));
        assertThat(compressed.relativeErrors()).containsOnlyKeys("fc1", "fc2");
        assertThat(compressed.adapter().config().rank()).isEqualTo(rank);
    }

    @Test
    void rankThatIsNotUsedCostsNothing() {
        LoRAAdapter thin = Adapters.of(2, 1, Scaling.ALPHA, 1);
        LoRAAdapter doubled = LoRAAdapter.combine(Combination.Method.CAT).add(thin, 1).add(thin, 1).build();

        LoRAAdapter.Compressed compressed = doubled.compress(2);

        assertThat(compressed.relativeErrors().get("fc1")).isCloseTo(0, within(1e-14));
        assertThat(Adapters.difference(Adapters.matrix(compressed.adapter().deltaWeight("fc1")),
                Adapters.product(thin, "fc1").scalarMultiply(2))).isLessThan(1e-13);
    }

    @Test
    void layersOfSmallerRankStayAsTheyAre() {
        Delta small = Adapters.delta(6, 1, 1, Scaling.ALPHA, 1);
        LoRAAdapter adapter = Adapters.adapter(Map.of("fc1", small, "fc2", Adapters.delta(5, 4, 1, Scaling.ALPHA, 2)), Map.of(),
                0);

        LoRAAdapter.Compressed compressed = adapter.compress(2);

        assertThat(compressed.adapter().content().deltas().get("fc1").a()).isSameAs(small.a());
        assertThat(compressed.relativeErrors().get("fc1")).isZero();
        assertThat(compressed.relativeErrors().get("fc2")).isBetween(0.01, 0.99);
    }

    @Test
    void untrainedAdapterIsCompressedWithoutError() {
        LoRAAdapter fresh = LoRAAdapter.of(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(4).build()));

        assertThat(fresh.compress(1).relativeErrors()).containsEntry("fc1", 0.0).containsEntry("fc2", 0.0);
    }

    @Test
    void compressedAdapterComputesNearlyTheSameOnItsBase() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        LoRAAdapter adapter = Adapters.on(base, LoRAConfig.builder().rank(8).trainable("out"), 1);
        INDArray input = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);

        // No ΔW here has more than five directions, so nothing is lost.
        LoRAAdapter compressed = adapter.compress(5).adapter();

        assertThat(Networks.difference(LoRA.apply(base, compressed).outputSingle(input), LoRA.apply(base, adapter)
                .outputSingle(input)))
                .isLessThan(1e-12);
    }

    @Test
    void rankBelowOneIsRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> Adapters.of(4, 1, Scaling.ALPHA, 1).compress(0))
                .withMessageContaining("is 0");
    }

    @ParameterizedTest(name = "energy {0}")
    @CsvSource({"0.3", "0.8", "0.95", "0.999", "1"})
    void energyChoosesTheSmallestRankOfEachLayerThatKeepsIt(double energy) {
        LoRAAdapter adapter = Adapters.of(4, 3, Scaling.ALPHA_OVER_RANK, 1);

        LoRAAdapter.Compressed compressed = adapter.compressToEnergy(energy);

        for (String layer : Adapters.layers()) {
            double[] squares = Arrays.stream(adapter.spectrum(layer)).map(value -> value * value).toArray();
            double all = Arrays.stream(squares).sum();
            int needed = 1;
            while (needed < 4 && Arrays.stream(squares).limit(needed).sum() < energy * all) {
                needed++;
            }
            assertThat(compressed.adapter().rank(layer)).isEqualTo(needed);
            RealMatrix lost = Adapters.product(adapter, layer).subtract(Adapters.matrix(compressed.adapter().deltaWeight(layer)));
            assertThat(Math.pow(lost.getFrobeniusNorm(), 2)).isLessThanOrEqualTo((1 - energy) * all + 1e-12);
            assertThat(compressed.relativeErrors().get(layer))
                    .isCloseTo(lost.getFrobeniusNorm() / adapter.norm(layer), within(1e-12));
        }
    }

    @Test
    void allEnergyIsWhatAddsToTheChangeAndNoMore() {
        LoRAAdapter thin = Adapters.of(2, 1, Scaling.ALPHA, 1);
        LoRAAdapter doubled = LoRAAdapter.combine(Combination.Method.CAT).add(thin, 1).add(thin, 1).build();

        LoRAAdapter.Compressed compressed = doubled.compressToEnergy(1);

        assertThat(compressed.adapter().rank("fc1")).isEqualTo(2);
        assertThat(compressed.relativeErrors().get("fc1")).isLessThan(1e-14);
        assertThat(thin.compressToEnergy(1).adapter().content().delta("fc1").a()).isSameAs(thin.content().delta("fc1").a());
        LoRAAdapter fresh = LoRAAdapter.of(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(4).build()));
        assertThat(fresh.compressToEnergy(1).adapter().rank("fc1")).isEqualTo(1);
    }

    @ParameterizedTest
    @CsvSource({"0", "-1", "1.1", "NaN"})
    void energyThatIsNoShareIsRefused(double energy) {
        assertThatIllegalArgumentException().isThrownBy(() -> Adapters.of(4, 1, Scaling.ALPHA, 1).compressToEnergy(energy))
                .withMessageContaining("is " + energy).withMessageContaining("above 0 and at most 1");
    }
}
