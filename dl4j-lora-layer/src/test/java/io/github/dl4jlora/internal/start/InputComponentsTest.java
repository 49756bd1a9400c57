package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.Networks;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;
import org.apache.commons.math3.stat.correlation.Covariance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Components that come batch by batch are those of all rows at once. */
class InputComponentsTest {

    private static final int WIDTH = 6;

    /** Of a mean that is not zero, and of spread that differs from direction to direction. */
    private static INDArray rows(int count, long seed) {
        INDArray spread = Nd4j.createFromArray(3.0, 2, 1, 0.5, 0.25, 0.1);
        INDArray turned = Networks.random(DataType.DOUBLE, 5, WIDTH, WIDTH);
        return Networks.random(DataType.DOUBLE, seed, count, WIDTH).muliRowVector(spread).mmul(turned)
                .addiRowVector(Nd4j.createFromArray(4.0, -2, 0, 1, 7, 0));
    }

    private static InputComponents of(INDArray rows, int batch, int most) {
        InputComponents components = new InputComponents(most);
        for (int from = 0; from < rows.size(0); from += batch) {
            components.add(rows.get(NDArrayIndex.interval(from, Math.min(from + batch, rows.size(0))), NDArrayIndex.all()).dup());
        }
        return components;
    }

    @ParameterizedTest
    @ValueSource(ints = {60, 20, 7, 1})
    void theyAreTheEigenvectorsOfTheCovarianceWhateverTheBatches(int batch) {
        INDArray rows = rows(60, 3);
        InputComponents components = of(rows, batch, WIDTH);
        EigenDecomposition expected = new EigenDecomposition(new Covariance(new Array2DRowRealMatrix(rows.toDoubleMatrix()))
                .getCovarianceMatrix());
        double total = Arrays.stream(expected.getRealEigenvalues()).sum();

        INDArray found = components.strongest(WIDTH);

        for (int i = 0; i < WIDTH; i++) {
            INDArray vector = Nd4j.createFromArray(expected.getEigenvector(i).toArray());
            assertThat(Math.abs(found.getColumn(i).mul(vector).sumNumber().doubleValue())).isCloseTo(1, within(1e-9));
            assertThat(components.explained()[i]).isCloseTo(expected.getRealEigenvalue(i) / total, within(1e-9));
        }
    }

    @Test
    void fewerAreKeptThanThereAreAndTheStrongestSurvive() {
        INDArray rows = rows(400, 3);

        InputComponents some = of(rows, 20, 3);

        assertThat(some.explained()).hasSize(3);
        assertThat(Math.abs(some.strongest(1).getColumn(0).mul(of(rows, 400, WIDTH).strongest(1).getColumn(0)).sumNumber()
                .doubleValue())).isGreaterThan(0.999);
    }

    @Test
    void theyConvergeOnlyOnceASecondBatchChangesThemNoMore() {
        InputComponents components = new InputComponents(2);
        components.add(rows(200, 1));
        assertThat(components.hasConverged(2)).isFalse();

        components.add(rows(200, 2));

        assertThat(components.hasConverged(2)).isTrue();
        INDArray other = Nd4j.create(DataType.DOUBLE, 3000, WIDTH);
        other.getColumn(5).assign(Networks.random(DataType.DOUBLE, 9, 3000).mul(50));
        components.add(other);
        assertThat(components.hasConverged(1)).isFalse();
    }

    @Test
    void whereInputsVaryInFewDirectionsTheOthersAreOrthonormal() {
        INDArray rows = Networks.random(DataType.DOUBLE, 1, 30, 2).mmul(Networks.random(DataType.DOUBLE, 2, 2, WIDTH));
        InputComponents components = of(rows.dup(), 10, 4);

        INDArray found = components.strongest(4);

        assertThat(components.directions()).isEqualTo(2);
        assertThat(Networks.difference(found.transpose().mmul(found), Nd4j.eye(4))).isLessThan(1e-9);
        INDArray left = rows.subRowVector(rows.mean(0));
        left = left.sub(left.mmul(found.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 2)))
                .mmul(found.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 2)).transpose()));
        assertThat(left.norm2Number().doubleValue()).isLessThan(1e-9);
    }

    @Test
    void inputsThatAreAlwaysTheSameHaveNone() {
        InputComponents components = of(Nd4j.ones(DataType.DOUBLE, 20, WIDTH).mul(3), 5, 2);

        assertThat(components.directions()).isZero();
        assertThat(components.explained()).isEmpty();
    }

    @Test
    void ranksGoToTheComponentsThatExplainMostAndTiesToTheLayerUpstream() {
        Map<String, double[]> explained = new LinkedHashMap<>();
        explained.put("fc1", new double[] {0.5, 0.2, 0.1});
        explained.put("fc2", new double[] {0.9, 0.05});
        explained.put("fc3", new double[] {0.2});

        assertThat(RankBudget.distribute(explained, 3)).containsExactly(Map.entry("fc1", 2), Map.entry("fc2", 1),
                Map.entry("fc3", 0));
        assertThat(RankBudget.distribute(explained, 50)).containsExactly(Map.entry("fc1", 3), Map.entry("fc2", 2),
                Map.entry("fc3", 1));
    }

    /** A mean of so many tenths is not a tenth. */
    @Test
    void roundingIsNoVariation() {
        assertThat(of(Nd4j.valueArrayOf(new long[] {61, WIDTH}, 0.1, DataType.DOUBLE), 7, 2).directions()).isZero();
        INDArray besides = Nd4j.valueArrayOf(new long[] {61, WIDTH}, 1e8, DataType.DOUBLE);
        besides.getColumn(2).assign(Networks.random(DataType.DOUBLE, 1, 61));
        assertThat(of(besides, 7, 2).directions()).as("what varies beside a large constant").isEqualTo(1);
    }

    @Test
    void nothingHasConvergedBeforeTheInputsVary() {
        InputComponents components = of(Nd4j.zeros(DataType.DOUBLE, 20, WIDTH), 5, 2);
        assertThat(components.hasConverged(2)).isFalse();

        components.add(rows(40, 1));
        components.add(rows(40, 1));

        assertThat(components.hasConverged(2)).isTrue();
    }
}
