package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination.Method;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.RealMatrix;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

import static io.github.dl4jlora.adapter.Adapters.difference;
import static io.github.dl4jlora.adapter.Adapters.matrix;
import static io.github.dl4jlora.adapter.Adapters.product;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** Combinations of adapters that have different layers. */
class DifferentLayersTest {

    private static final String[] LAYERS = {"fc1", "fc2", "fc3", "fc4", "fc5"};
    private static final Scaling[] SCALINGS = Scaling.values();

    @TempDir
    private Path folder;

    private final ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
    private final LoRAAdapter lower = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc1"), 1);
    private final LoRAAdapter upper = Adapters.on(base, LoRAConfig.builder().rank(3).alpha(2).targets("fc2", "out"), 2);

    /** Of adapters, layers, ranks, factors and weights at random. */
    @RepeatedTest(30)
    void catOfAnyAdaptersIsTheWeightedSumOfWhatEachAdds(RepetitionInfo repetition) {
        Random random = new Random(repetition.getCurrentRepetition());
        List<LoRAAdapter> adapters = IntStream.rangeClosed(1, 1 + random.nextInt(4)).mapToObj(i -> any(random)).toList();
        Combination combination = LoRAAdapter.combine(Method.CAT);
        List<Double> weights = new ArrayList<>();
        for (LoRAAdapter adapter : adapters) {
            weights.add(random.nextGaussian());
            combination.add(adapter, weights.get(weights.size() - 1));
        }

        LoRAAdapter combined = combination.build();

        // Each adapter's layers stay in its order.
        assertThat(adapters).allSatisfy(adapter -> assertThat(combined.layers()).containsSubsequence(adapter.layers()));
        for (String layer : LAYERS) {
            RealMatrix expected = new Array2DRowRealMatrix(6, Networks.HIDDEN);
            int rank = 0;
            for (int i = 0; i < adapters.size(); i++) {
                if (adapters.get(i).layers().contains(layer)) {
                    expected = expected.add(product(adapters.get(i), layer).scalarMultiply(weights.get(i)));
                    rank += adapters.get(i).rank(layer);
                }
            }
            assertThat(combined.layers().contains(layer)).isEqualTo(rank > 0);
            if (rank > 0) {
                assertThat(difference(matrix(combined.deltaWeight(layer)), expected)).isLessThan(1e-12);
                assertThat(combined.rank(layer)).isEqualTo(rank);
            }
        }
    }

    private static LoRAAdapter any(Random random) {
        Map<String, Delta> deltas = new LinkedHashMap<>();
        while (deltas.isEmpty()) {
            for (String layer : LAYERS) {
                if (random.nextBoolean()) {
                    deltas.put(layer, Adapters.delta(6, 1 + random.nextInt(5), random.nextGaussian(),
                            SCALINGS[random.nextInt(SCALINGS.length)], random.nextLong()));
                }
            }
        }
        return Adapters.adapter(deltas, Map.of(), 0);
    }

    @ParameterizedTest
    @EnumSource
    void aLayerThatOnlyOneHasIsThatOnesTimesItsWeight(Method method) {
        Combination combination = LoRAAdapter.combine(method).add(lower, 0.5).add(upper, -2);

        LoRAAdapter combined = (method.needsDensity() ? combination.density(1) : combination).build();

        assertThat(combined.layers()).containsExactly("fc1", "fc2", "out");
        assertThat(Networks.difference(combined.deltaWeight("fc1"), lower.deltaWeight("fc1").mul(0.5))).isLessThan(1e-13);
        assertThat(Networks.difference(combined.deltaWeight("out"), upper.deltaWeight("out").mul(-2))).isLessThan(1e-13);
        assertThat(combined.baseId("fc1")).isEqualTo(lower.baseId("fc1"));
    }

    @Test
    void theUnionComputesWhatItsPartsAdd() throws Exception {
        INDArray input = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);
        ComputationGraph expected = base.clone();
        expected.getParam("fc1_W").addi(lower.deltaWeight("fc1").mul(0.5));
        expected.getParam("fc2_W").addi(upper.deltaWeight("fc2").mul(1.5));
        expected.getParam("out_W").addi(upper.deltaWeight("out").mul(1.5));

        LoRAAdapter.combine(Method.CAT).add(upper, 1.5).add(lower, 0.5).build().save(folder);

        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(input),
                expected.outputSingle(input))).isLessThan(1e-12);
    }

    @Test
    void whatOneTrainsInFullNoneMayAdapt() {
        LoRAAdapter head = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc1").trainable("out"), 3);

        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(head, 1).add(upper, 1).build())
                .withMessageContaining("\"out\" was trained in full by one").withMessageContaining("another adapts it");
    }

    @ParameterizedTest
    @EnumSource(value = BiasTraining.class, names = {"LORA_ONLY", "ALL"})
    void anAdapterWithBiasesLacksNoLayer(BiasTraining bias) {
        LoRAAdapter biased = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc1").bias(bias), 3);
        LoRAAdapter whole = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc.").bias(bias), 3);

        assertThatIllegalArgumentException()
                .isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(upper, 1).add(biased, 1).build())
                .withMessageContaining("Adapter 2 has trained biases").withMessageContaining("[fc2, out]");
        LoRAAdapter combined = LoRAAdapter.combine(Method.CAT).add(lower, 1).add(whole, 1).build();
        combined.applyTo(LoRA.apply(base, combined.config()));
        assertThat(combined.rank("fc1")).isEqualTo(4);
    }
}
