package io.github.dl4jlora.internal.algebra;

import io.github.dl4jlora.Networks;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class SvdTest {

    @ParameterizedTest(name = "[{0}, {1}] of rank {2}")
    @CsvSource({"1, 1, 1", "1, 7, 1", "7, 1, 1", "6, 6, 6", "40, 5, 5", "5, 40, 5", "30, 20, 3", "2000, 3, 3"})
    void matricesOfAnyShapeHaveTheValuesOfAnotherDecompositionAndAreTheirFactors(int rows, int columns, int rank) {
        INDArray matrix = Networks.random(DataType.DOUBLE, 1, rows, rank)
                .mmul(Networks.random(DataType.DOUBLE, 2, rank, columns));
        INDArray before = matrix.dup();

        Svd svd = Svd.of(matrix);

        double[] known = new SingularValueDecomposition(new Array2DRowRealMatrix(matrix.toDoubleMatrix())).getSingularValues();
        for (int i = 0; i < known.length; i++) {
            assertThat(svd.values()[i]).isCloseTo(known[i], within(1e-13 * known[0]));
        }
        var product = svd.truncate(rank, DataType.DOUBLE, null, null);
        assertThat(Networks.difference(product.a().mmul(product.b()), matrix)).isLessThan(1e-13 * known[0]);
        assertThat(svd.rankKeeping(1)).isEqualTo(rank);
        assertThat(matrix).isEqualTo(before);
    }

    /** LAPACK would form a U of 1.2 TB. */
    @ParameterizedTest
    @CsvSource({"400000, 2", "2, 400000"})
    void theLongerSideCostsNoSquare(int rows, int columns) {
        INDArray matrix = Networks.random(DataType.DOUBLE, 1, rows, columns);

        assertThat(Svd.of(matrix).norm()).isCloseTo(matrix.norm2Number().doubleValue(), within(1e-8));
    }
}
