package io.github.dl4jlora.start;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.internal.blas.Decomposition;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** The strongest terms of a decomposition are those of the whole one. */
class DecompositionTest {

    private static final int COUNT = 5;

    @ParameterizedTest
    @CsvSource({"120, 90, 90", "90, 120, 90", "20, 200, 20", "150, 100, 3"})
    void theStrongestTermsAreThoseOfTheWhole(int rows, int columns, int rank) {
        INDArray spread = Nd4j.createFromArray(IntStream.range(0, rank).mapToDouble(i -> Math.pow(0.8, i)).toArray());
        INDArray matrix = Networks.random(DataType.DOUBLE, 1, rows, rank).muliRowVector(spread)
                .mmul(Networks.random(DataType.DOUBLE, 2, rank, columns));
        INDArray before = matrix.dup();
        Decomposition all = Decomposition.of(matrix);

        Decomposition some = Decomposition.leading(matrix, COUNT);

        for (int i = 0; i < Math.min(COUNT, rank); i++) {
            assertThat(some.values()[i]).isCloseTo(all.values()[i], within(1e-6 * all.values()[0]));
            assertThat(Math.abs(some.u().getColumn(i).mul(all.u().getColumn(i)).sumNumber().doubleValue()))
                    .isCloseTo(1, within(1e-6));
            assertThat(Math.abs(some.v().getColumn(i).mul(all.v().getColumn(i)).sumNumber().doubleValue()))
                    .isCloseTo(1, within(1e-6));
        }
        INDArray u = some.u().get(NDArrayIndex.all(), NDArrayIndex.interval(0, COUNT));
        assertThat(Networks.difference(u.transpose().mmul(u), Nd4j.eye(COUNT))).isLessThan(1e-9);
        assertThat(matrix).isEqualTo(before);
    }
}
