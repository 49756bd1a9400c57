package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination.MajoritySign;
import io.github.dl4jlora.adapter.Combination.Method;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

import static io.github.dl4jlora.adapter.Adapters.difference;
import static io.github.dl4jlora.adapter.Adapters.matrix;
import static io.github.dl4jlora.adapter.Adapters.product;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Methods that prune, and elect signs, against the same written out place by place. */
class CombinationMethodsTest {

    private static final double[] WEIGHTS = {0.7, 1.3, -0.4};

    private final List<LoRAAdapter> three = List.of(Adapters.of(2, 3, Scaling.ALPHA_OVER_RANK, 1),
            Adapters.of(3, -0.5, Scaling.ALPHA, 101), Adapters.of(2, 2, Scaling.ALPHA_OVER_SQRT_RANK, 201));

    @Test
    void whatIsAddedFirstDoesNotDecideTheDataType() {
        LoRAAdapter exact = three.get(0);
        LoRAAdapter half = Adapters.cast(exact, DataType.BFLOAT16);
        LoRAAdapter other = Adapters.cast(exact, DataType.HALF);
        for (LoRAAdapter combined : List.of(LoRAAdapter.combine(Method.CAT).add(half, 1).add(exact, 1).build(),
                LoRAAdapter.combine(Method.CAT).add(exact, 1).add(half, 1).build())) {
            assertThat(combined.content().deltas().values()).allMatch(delta ->
                    delta.a().dataType() == exact.content().deltas().values().iterator().next().a().dataType());
        }
        assertThat(LoRAAdapter.combine(Method.SVD).add(half, 1).add(other, 1).build().content().deltas().values())
                .allMatch(delta -> delta.a().dataType() == DataType.FLOAT);
    }

    @ParameterizedTest(name = "{0} {1} to rank {2}")
    @CsvSource({"TIES_SVD, TOTAL, 5", "TIES_SVD, FREQUENCY, 5", "TIES_SVD, TOTAL, 2", "MAGNITUDE_PRUNE_SVD, , 5",
        "MAGNITUDE_PRUNE_SVD, , 1"})
    void whatEndsInSvdMergesTheChangesThemselvesAndTruncates(Method method, MajoritySign majority, int rank) {
        Combination combination = LoRAAdapter.combine(method).density(0.45).rank(rank);
        if (majority != null) {
            combination.majoritySign(majority);
        }
        for (int i = 0; i < WEIGHTS.length; i++) {
            combination.add(three.get(i), WEIGHTS[i]);
        }

        LoRAAdapter combined = combination.build();

        RealMatrix merged = merged(three.stream().map(adapter -> product(adapter, "fc1")).toList(), majority);
        assertThat(difference(matrix(combined.deltaWeight("fc1")), truncated(merged, rank))).isLessThan(1e-13);
        assertThat(combined.rank("fc1")).isEqualTo(rank);
    }

    @Test
    void magnitudePruneIsTheSumOfTheLargestOfAAndOfB() {
        LoRAAdapter one = three.get(0);
        LoRAAdapter other = three.get(2);
        Delta first = one.content().delta("fc2");
        Delta second = other.content().delta("fc2");

        LoRAAdapter combined = LoRAAdapter.combine(Method.MAGNITUDE_PRUNE).add(one, 0.7).add(other, -1.3).density(0.45).build();

        double root = Math.sqrt(0.7 * first.factor());
        double otherRoot = Math.sqrt(1.3 * second.factor());
        assertThat(difference(matrix(combined.content().delta("fc2").a()), pruned(matrix(first.a())).scalarMultiply(root)
                .subtract(pruned(matrix(second.a())).scalarMultiply(otherRoot)))).isLessThan(1e-14);
        assertThat(difference(matrix(combined.content().delta("fc2").b()), pruned(matrix(first.b())).scalarMultiply(root)
                .add(pruned(matrix(second.b())).scalarMultiply(otherRoot)))).isLessThan(1e-14);
    }

    @Test
    void frequencyGoesByHowManyTotalByHowMuch() {
        LoRAAdapter large = ofRow(5, -1);
        LoRAAdapter small = ofRow(-1, 0);
        LoRAAdapter smaller = ofRow(-2, 1);

        // B is 1 in all three, and weights go into A and B by their roots: 1.
        assertThat(ties(MajoritySign.TOTAL, large, small, smaller)).containsExactly(5, 1);
        assertThat(ties(MajoritySign.FREQUENCY, large, small, smaller)).containsExactly(-1.5, 1);
    }

    @ParameterizedTest
    @CsvSource({"DARE_LINEAR_SVD, SVD", "DARE_TIES_SVD, TIES_SVD"})
    void dareThatKeepsAllIsTheMethodItBuildsOn(Method dare, Method plain) {
        Combination expected = LoRAAdapter.combine(plain).rank(4);
        Combination combination = LoRAAdapter.combine(dare).rank(4).density(1);
        for (int i = 0; i < WEIGHTS.length; i++) {
            expected.add(three.get(i), WEIGHTS[i]);
            combination.add(three.get(i), WEIGHTS[i]);
        }

        LoRAAdapter combined = combination.build();

        LoRAAdapter known = (plain.needsDensity() ? expected.density(1) : expected).build();
        assertThat(Networks.difference(combined.deltaWeight("fc2"), known.deltaWeight("fc2"))).isLessThan(1e-13);
    }

    @ParameterizedTest
    @EnumSource(value = Method.class, names = "DARE_.*SVD", mode = EnumSource.Mode.MATCH_ALL)
    void dareKeepsChangesAtRandomAndScalesThem(Method method) {
        LoRAAdapter ones = Adapters.adapter(Map.of("fc1", new Delta(Nd4j.ones(DataType.DOUBLE, 30, 1),
                Nd4j.ones(DataType.DOUBLE, 1, 40), 1, Scaling.ALPHA, null)), Map.of(), 0);

        double[] merged = LoRAAdapter.combine(method).add(ones, 1).density(0.25).seed(7).rank(30).build().deltaWeight("fc1")
                .dup('c').data().asDouble();

        assertThat(Arrays.stream(merged).boxed())
                .allSatisfy(value -> assertThat(Math.min(Math.abs(value), Math.abs(value - 4))).isLessThan(1e-12));
        assertThat(Arrays.stream(merged).average().orElseThrow()).isCloseTo(1, within(0.2));
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void divergedAdaptersAreRefusedBesideOthers(Method method) {
        LoRAAdapter adapter = Adapters.of(2, 1, Scaling.ALPHA, 1);
        adapter.content().delta("fc2").b().putScalar(0, Double.NaN);
        Combination combination = LoRAAdapter.combine(method).add(Adapters.of(2, 1, Scaling.ALPHA, 5), 1).add(adapter, 1);

        assertThatThrownBy((method.needsDensity() ? combination.density(0.5) : combination)::build)
                .isInstanceOf(IllegalStateException.class).hasMessageContaining("\"fc2\"").hasMessageContaining("diverged");
    }

    @Test
    void settingsOfNoUseAreRefusedNamingTheMethodsThatHaveOne() {
        LoRAAdapter adapter = three.get(0);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.MAGNITUDE_PRUNE).add(adapter, 1)
                .density(0.5).majoritySign(MajoritySign.TOTAL).build())
                .withMessage("MAGNITUDE_PRUNE does not use majoritySign(TOTAL); these methods do: TIES, TIES_SVD, DARE_TIES, "
                        + "DARE_TIES_SVD");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.SVD).add(adapter, 1).density(1).build())
                .withMessageEndingWith("MAGNITUDE_PRUNE_SVD");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAAdapter.combine(Method.MAGNITUDE_PRUNE).add(adapter, 1).build())
                .withMessageContaining("needs a density");
    }

    private static double[] ties(MajoritySign majority, LoRAAdapter... adapters) {
        Combination combination = LoRAAdapter.combine(Method.TIES).density(1).majoritySign(majority);
        for (LoRAAdapter adapter : adapters) {
            combination.add(adapter, 1);
        }
        return combination.build().deltaWeight("fc1").reshape(2).toDoubleVector();
    }

    /** ΔW is the row, times 1. */
    private static LoRAAdapter ofRow(double... row) {
        return Adapters.adapter(Map.of("fc1", new Delta(Nd4j.create(new double[][] {row}).transpose(),
                Nd4j.ones(DataType.DOUBLE, 1, 1), 1, Scaling.ALPHA, null)), Map.of(), 0);
    }

    /** @param majority null: all values are added */
    private static RealMatrix merged(List<RealMatrix> changes, MajoritySign majority) {
        List<RealMatrix> kept = changes.stream().map(CombinationMethodsTest::pruned).toList();
        RealMatrix merged = new Array2DRowRealMatrix(changes.get(0).getRowDimension(), changes.get(0).getColumnDimension());
        for (int row = 0; row < merged.getRowDimension(); row++) {
            for (int column = 0; column < merged.getColumnDimension(); column++) {
                merged.setEntry(row, column, merged(kept, majority, row, column));
            }
        }
        return merged;
    }

    private static double merged(List<RealMatrix> kept, MajoritySign majority, int row, int column) {
        double votes = kept.stream().mapToDouble(change -> change.getEntry(row, column))
                .map(value -> majority == MajoritySign.FREQUENCY ? Math.signum(value) : value).sum();
        double sum = 0;
        int voters = 0;
        for (int i = 0; i < kept.size(); i++) {
            double value = kept.get(i).getEntry(row, column);
            if (majority == null || value != 0 && value > 0 == votes >= 0) {
                sum += WEIGHTS[i] * value;
                voters++;
            }
        }
        return majority == null ? sum : sum / Math.max(1, voters);
    }

    /** The larger 45 percent of the values. */
    private static RealMatrix pruned(RealMatrix change) {
        List<Double> magnitudes = new ArrayList<>();
        for (double[] row : change.getData()) {
            for (double value : row) {
                magnitudes.add(Math.abs(value));
            }
        }
        magnitudes.sort(Comparator.reverseOrder());
        double smallest = magnitudes.get((int) (0.45 * magnitudes.size()) - 1);
        RealMatrix kept = change.copy();
        for (int row = 0; row < kept.getRowDimension(); row++) {
            for (int column = 0; column < kept.getColumnDimension(); column++) {
                kept.setEntry(row, column, Math.abs(kept.getEntry(row, column)) < smallest ? 0 : kept.getEntry(row, column));
            }
        }
        return kept;
    }

    private static RealMatrix truncated(RealMatrix matrix, int rank) {
        SingularValueDecomposition svd = new SingularValueDecomposition(matrix);
        return svd.getU().getSubMatrix(0, matrix.getRowDimension() - 1, 0, rank - 1)
                .multiply(svd.getS().getSubMatrix(0, rank - 1, 0, rank - 1))
                .multiply(svd.getVT().getSubMatrix(0, rank - 1, 0, matrix.getColumnDimension() - 1));
    }
}
