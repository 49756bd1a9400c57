package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination.Method;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TorchModel;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Map;

import static io.github.dl4jlora.adapter.Adapters.difference;
import static io.github.dl4jlora.adapter.Adapters.matrix;
import static io.github.dl4jlora.adapter.Adapters.product;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

class CombinationTest {

    private final LoRAAdapter first = Adapters.of(2, 3, Scaling.ALPHA_OVER_RANK, 1);
    private final LoRAAdapter second = Adapters.of(2, 0.5, Scaling.ALPHA, 101);
    private final LoRAAdapter third = Adapters.of(3, 2, Scaling.ALPHA_OVER_SQRT_RANK, 201);

    @Test
    void catIsTheWeightedSumExactlyAndItsRanksAddUp() {
        LoRAAdapter combined = LoRAAdapter.combine(Method.CAT).add(first, 0.7).add(second, -0.4).add(third, 2).build();

        for (String layer : Adapters.layers()) {
            RealMatrix expected = product(first, layer).scalarMultiply(0.7).add(product(second, layer).scalarMultiply(-0.4))
                    .add(product(third, layer).scalarMultiply(2));
            assertThat(difference(matrix(combined.deltaWeight(layer)), expected)).isLessThan(1e-13);
            assertThat(combined.content().deltas().get(layer).rank()).isEqualTo(7);
        }
    }

    @Test
    void taskTakenFromItselfLeavesNothing() {
        LoRAAdapter nothing = LoRAAdapter.combine(Method.CAT).add(first, 1).add(first, -1).build();

        assertThat(nothing.norm("fc1")).isCloseTo(0, within(1e-14));
        assertThat(nothing.norm("fc2")).isCloseTo(0, within(1e-14));
    }

    @Test
    void svdToFullRankIsTheWeightedSum() {
        LoRAAdapter combined = LoRAAdapter.combine(Method.SVD).add(first, 0.7).add(third, -1.1).rank(5).build();

        RealMatrix expected = product(first, "fc1").scalarMultiply(0.7).add(product(third, "fc1").scalarMultiply(-1.1));
        assertThat(difference(matrix(combined.deltaWeight("fc1")), expected)).isLessThan(1e-13);
    }

    @ParameterizedTest(name = "rank {0}")
    @CsvSource({"1", "3"})
    void svdIsTheTruncatedDecompositionOfTheWeightedSum(int rank) {
        LoRAAdapter combined = LoRAAdapter.combine(Method.SVD).add(first, 0.7).add(third, 1.1).rank(rank).build();

        RealMatrix sum = product(first, "fc1").scalarMultiply(0.7).add(product(third, "fc1").scalarMultiply(1.1));
        SingularValueDecomposition svd = new SingularValueDecomposition(sum);
        RealMatrix expected = svd.getU().getSubMatrix(0, 5, 0, rank - 1)
                .multiply(svd.getS().getSubMatrix(0, rank - 1, 0, rank - 1))
                .multiply(svd.getVT().getSubMatrix(0, rank - 1, 0, 4));
        assertThat(difference(matrix(combined.deltaWeight("fc1")), expected)).isLessThan(1e-13);
        assertThat(combined.content().deltas().get("fc1").rank()).isEqualTo(rank);
    }

    /** Which one of the adapters may have had in training, and which some layers of the others cannot have. */
    @Test
    void thereIsNoDropout() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter dropped = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).loraDropout(0.1).build()));

        LoRAAdapter combined = LoRAAdapter.combine(Method.CAT).add(dropped, 1).add(dropped, 1).build();

        assertThat(combined.config().loraDropout()).isZero();
    }

    @Test
    void svdHasTheLargestRankUnlessToldOtherwise() {
        LoRAAdapter combined = LoRAAdapter.combine(Method.SVD).add(first, 1).add(third, 1).build();

        assertThat(combined.content().deltas().get("fc1").rank()).isEqualTo(3);
    }

    @Test
    void linearPutsTheRootOfWeightAndFactorIntoBothAndTheSignIntoA() {
        LoRAAdapter combined = LoRAAdapter.combine(Method.LINEAR).add(first, 0.8).add(second, -0.6).build();

        double one = Math.sqrt(0.8 * 3 / 2);
        double two = Math.sqrt(0.6 * 0.5);
        INDArray a = part(first, "fc1", true).mul(one).sub(part(second, "fc1", true).mul(two));
        INDArray b = part(first, "fc1", false).mul(one).add(part(second, "fc1", false).mul(two));
        assertThat(Networks.difference(part(combined, "fc1", true), a)).isLessThan(1e-14);
        assertThat(Networks.difference(part(combined, "fc1", false), b)).isLessThan(1e-14);
        assertThat(combined.content().deltas().get("fc1").factor()).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource(value = Method.class, names = {"LINEAR", "CAT", "SVD"})
    void oneAdapterTimesMinusOneIsItsNegation(Method method) {
        LoRAAdapter negated = LoRAAdapter.combine(method).add(first, -1).build();

        assertThat(difference(matrix(negated.deltaWeight("fc2")), product(first, "fc2").scalarMultiply(-1))).isLessThan(1e-13);
    }

    @Test
    void tiesKeepsTheLargestElectsASignAndAveragesItsVoters() {
        // A [1, 4] each, B [4, 1]; factor 1. Density 0.75 drops the smallest of four.
        LoRAAdapter x = ofRows(new double[] {4, -3, 2, 0.1}, new double[] {1, 2, 3, 0.5});
        LoRAAdapter y = ofRows(new double[] {-1, -5, 0.2, 3}, new double[] {-4, 2, 0.5, 3});

        LoRAAdapter combined = LoRAAdapter.combine(Method.TIES).add(x, 4).add(y, 9).density(0.75).build();

        // Weights go in by their roots, 2 and 3. Pruned A: (4, -3, 2, 0), (-1, -5, 0, 3); sums 3, -8, 2, 3.
        assertThat(part(combined, "fc1", true).toDoubleVector())
                .containsExactly(new double[] {2 * 4, (2 * -3 + 3 * -5) / 2.0, 2 * 2, 3 * 3}, within(1e-14));
        // Pruned B: (1, 2, 3, 0), (-4, 2, 0, 3); sums -3, 4, 3, 3.
        assertThat(part(combined, "fc1", false).toDoubleVector())
                .containsExactly(new double[] {3 * -4, (2 * 2 + 3 * 2) / 2.0, 2 * 3, 3 * 3}, within(1e-14));
    }

    @Test
    void tiesElectsPlusWhereAdaptersCancelAndLeavesZeroWhereAllArePruned() {
        LoRAAdapter x = ofRows(new double[] {2, 0, 1, 3}, new double[] {1, 1, 1, 1});
        LoRAAdapter y = ofRows(new double[] {-2, 0, 1, 3}, new double[] {1, 1, 1, 1});

        LoRAAdapter combined = LoRAAdapter.combine(Method.TIES).add(x, 1).add(y, 1).density(1).build();

        assertThat(part(combined, "fc1", true).toDoubleVector()).containsExactly(2, 0, 1, 3);
    }

    @Test
    void dareKeepsAboutTheDensityAndScalesWhatItKeeps() {
        LoRAAdapter ones = Adapters.adapter(Map.of("fc1", new Delta(Nd4j.ones(DataType.DOUBLE, 500, 2),
                Nd4j.ones(DataType.DOUBLE, 2, 500), 1, Scaling.ALPHA, null)), Map.of(), 0);

        double[] a = part(LoRAAdapter.combine(Method.DARE_LINEAR).add(ones, 1).density(0.25).seed(7).build(), "fc1", true)
                .dup('c').data().asDouble();

        assertThat(a).containsOnly(0, 4);
        assertThat(java.util.Arrays.stream(a).average().orElseThrow()).isCloseTo(1, within(0.2));
    }

    @ParameterizedTest
    @EnumSource(value = Method.class, names = {"DARE_LINEAR", "DARE_TIES"})
    void dareIsTheSameForOneSeedAndAnotherForAnother(Method method) {
        INDArray once = part(dare(method, 3), "fc1", true);

        assertThat(part(dare(method, 3), "fc1", true)).isEqualTo(once);
        assertThat(part(dare(method, 4), "fc1", true)).isNotEqualTo(once);
    }

    @Test
    void dareWithoutASeedHasTheSeed0() {
        LoRAAdapter unsaid = LoRAAdapter.combine(Method.DARE_LINEAR).add(first, 1).add(second, 1).density(0.5).build();

        assertThat(part(unsaid, "fc1", true)).isEqualTo(part(dare(Method.DARE_LINEAR, 0), "fc1", true));
    }

    private LoRAAdapter dare(Method method, long seed) {
        return LoRAAdapter.combine(method).add(first, 1).add(second, 1).density(0.5).seed(seed).build();
    }

    @ParameterizedTest
    @CsvSource({"DARE_LINEAR, LINEAR", "DARE_TIES, TIES"})
    void dareThatKeepsAllIsTheMethodItBuildsOn(Method dare, Method plain) {
        Combination expected = LoRAAdapter.combine(plain).add(first, 0.5).add(second, -2);

        LoRAAdapter combined = LoRAAdapter.combine(dare).add(first, 0.5).add(second, -2).density(1).build();

        assertThat(combined.deltaWeight("fc2"))
                .isEqualTo((plain == Method.TIES ? expected.density(1) : expected).build().deltaWeight("fc2"));
    }

    @Test
    void dareTiesElectsAmongWhatItKept() {
        // Whatever is kept of each is doubled; opposite signs are never averaged.
        LoRAAdapter plus = ofRows(new double[] {3, 3, 3, 3}, new double[] {1, 1, 1, 1});
        LoRAAdapter minus = ofRows(new double[] {-1, -1, -1, -1}, new double[] {1, 1, 1, 1});

        double[] a = part(LoRAAdapter.combine(Method.DARE_TIES).add(plus, 1).add(minus, 1).density(0.5).seed(1).build(), "fc1",
                true)
                .toDoubleVector();

        assertThat(a).containsAnyOf(6, -2);
        assertThat(java.util.Arrays.stream(a).boxed()).isSubsetOf(6.0, -2.0, 0.0);
    }

    @Test
    void combinedAdapterGoesIntoItsNetworkAndKeepsItsBase() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE, new Sgd(0.1));
        LoRAAdapter x = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc."), 1);
        LoRAAdapter y = Adapters.on(base, LoRAConfig.builder().rank(3).alpha(2).targets("fc."), 2);
        INDArray input = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);

        LoRAAdapter combined = LoRAAdapter.combine(Method.CAT).add(x, 0.5).add(y, 0.25).build();

        ComputationGraph stock = base.clone();
        for (String layer : Adapters.layers()) {
            stock.getParam(layer + "_W").addi(x.deltaWeight(layer).mul(0.5)).addi(y.deltaWeight(layer).mul(0.25));
        }
        ComputationGraph adapted = io.github.dl4jlora.LoRA.apply(base, combined);
        assertThat(Networks.difference(adapted.outputSingle(input), stock.outputSingle(input))).isLessThan(1e-12);
    }

    private static LoRAAdapter of(TorchModel model) {
        return new LoRAAdapter(Adapters.of(2, 1, Scaling.ALPHA, 1).content().forModel(model));
    }

    @Test
    void theModelOfPyTorchIsThatOnWhichAdaptersAgree() {
        Combination one = LoRAAdapter.combine(Method.CAT).add(of(new TorchModel("roberta-base", "SEQ_CLS")), 1)
                .add(of(TorchModel.UNKNOWN), 1).add(of(new TorchModel("roberta-base", "SEQ_CLS")), 1);
        assertThat(one.build().content().model()).isEqualTo(new TorchModel("roberta-base", "SEQ_CLS"));
        assertThat(one.add(of(new TorchModel("roberta-base", "TOKEN_CLS")), 1).build().content().model())
                .isEqualTo(new TorchModel("roberta-base", null));
    }

    @Test
    void adaptersOfDifferentShapesAreRefusedByName() {
        LoRAAdapter one = Adapters.adapter(Map.of("fc1", Adapters.delta(6, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);
        LoRAAdapter two = Adapters.adapter(Map.of("fc1", Adapters.delta(7, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);

        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.SVD).add(one, 1).add(two, 1).build())
                .withMessageContaining("\"fc1\"").withMessageContaining("[7, 5]").withMessageContaining("[6, 5]");
    }

    @Test
    void adaptersOfDifferentBasesAreRefusedByName() {
        LoRAAdapter one = Adapters.on(Networks.trainedGraph(), LoRAConfig.builder().rank(2), 1);
        ComputationGraph other = Networks.trainedGraph();
        other.fit(Networks.data(DataType.FLOAT, 8, 9));
        LoRAAdapter two = Adapters.on(other, LoRAConfig.builder().rank(2), 1);

        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(one, 1).add(two, 1).build())
                .withMessageContaining("\"fc1\"").withMessageContaining("base weights");
    }

    @ParameterizedTest
    @EnumSource(value = Method.class, names = {"LINEAR", "TIES", "DARE_LINEAR", "DARE_TIES", "MAGNITUDE_PRUNE"})
    void differentRanksAreRefusedWhereTheyDoNotGoTogether(Method method) {
        Combination combination = LoRAAdapter.combine(method).add(first, 1).add(third, 1);
        if (method != Method.LINEAR) {
            combination.density(0.5);
        }

        assertThatIllegalArgumentException().isThrownBy(combination::build)
                .withMessageContaining("\"fc1\"").withMessageContaining("has rank 3").withMessageContaining("Use CAT or SVD");
    }

    @Test
    void layerThatTwoHaveTrainedInFullIsRefusedAndThatOfOneIsCarriedAlong() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter with = Adapters.on(base, LoRAConfig.builder().rank(2).trainable("out"), 1);
        LoRAAdapter without = Adapters.on(base, LoRAConfig.builder().rank(2), 2);

        assertThat(LoRAAdapter.combine(Method.CAT).add(without, 1).add(with, 1).build().content().trained())
                .containsOnlyKeys("out");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(with, 1).add(with, 1).build())
                .withMessageContaining("\"out\" was trained in full by two");
    }

    @Test
    void settingsThatDoNotFitTheMethodAreRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).build())
                .withMessageContaining("nothing to combine");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.TIES).add(first, 1).build())
                .withMessageContaining("TIES needs a density").withMessageContaining("not set");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> LoRAAdapter.combine(Method.DARE_TIES).add(first, 1).density(0).build())
                .withMessageContaining("0.0");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(first, 1).density(0.5).build())
                .withMessageContaining("does not use density(0.5)");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(first, 1).rank(3).build())
                .withMessageContaining("does not use rank(3)");
        for (Method method : new Method[] {Method.CAT, Method.TIES, Method.MAGNITUDE_PRUNE_SVD}) {
            Combination seeded = LoRAAdapter.combine(method).add(first, 1).seed(0);
            assertThatIllegalArgumentException().isThrownBy((method.needsDensity() ? seeded.density(0.5) : seeded)::build)
                    .withMessageContaining(method + " does not use seed(0)")
                    .withMessageEndingWith("DARE_LINEAR, DARE_LINEAR_SVD, DARE_TIES, DARE_TIES_SVD");
        }
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.SVD).add(first, 1).rank(0).build())
                .withMessageContaining("must be at least 1");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.CAT).add(first, Double.NaN))
                .withMessageContaining("weight is NaN");
    }

    private static LoRAAdapter ofRows(double[] a, double[] b) {
        return Adapters.adapter(Map.of("fc1", new Delta(Nd4j.create(new double[][] {a}), Nd4j.create(b, 4, 1), 1,
                Scaling.ALPHA, null)), Map.of(), 0);
    }

    private static INDArray part(LoRAAdapter adapter, String layer, boolean a) {
        INDArray part = a ? adapter.content().deltas().get(layer).a() : adapter.content().deltas().get(layer).b();
        return part.rows() == 1 || part.columns() == 1 ? part.reshape(part.length()) : part;
    }
}
