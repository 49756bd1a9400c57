package io.github.dl4jlora.internal.blas;

import io.github.dl4jlora.Networks;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import static org.assertj.core.api.Assertions.assertThat;

/** Rows by their indexes, of a matrix that is a part of a vector, as an adapter's is. */
class IndexedRowsTest {

    private static final int[] WHICH = {4, 0, 4, 2};

    private static INDArray matrix(DataType type, char order, int columns) {
        INDArray vector = Networks.random(type, 1, 3 + 5 * columns);
        return vector.get(NDArrayIndex.interval(3, vector.length())).reshape(order, 5, columns);
    }

    @ParameterizedTest
    @CsvSource({"FLOAT, f, 3", "FLOAT, c, 3", "FLOAT, f, 1", "DOUBLE, f, 3", "BFLOAT16, f, 3"})
    void rowsAreLookedUp(DataType type, char order, int columns) {
        INDArray matrix = matrix(type, order, columns);
        INDArray rows = Nd4j.valueArrayOf(new long[] {WHICH.length, columns}, Double.NaN, type);

        IndexedRows.pull(matrix, WHICH, rows);

        for (int i = 0; i < WHICH.length; i++) {
            assertThat(rows.getRow(i)).isEqualTo(matrix.getRow(WHICH[i]));
        }
    }

    @ParameterizedTest
    @CsvSource({"FLOAT, f, 3", "FLOAT, c, 3", "FLOAT, f, 1", "DOUBLE, f, 3"})
    void whatIsAddedTwiceToARowCountsTwice(DataType type, char order, int columns) {
        INDArray matrix = matrix(type, order, columns);
        INDArray expected = matrix.dup();
        INDArray rows = Networks.random(type, 2, WHICH.length, columns);
        for (int i = 0; i < WHICH.length; i++) {
            expected.getRow(WHICH[i]).addi(rows.getRow(i));
        }

        IndexedRows.add(rows, WHICH, matrix);

        assertThat(Networks.difference(matrix, expected)).isLessThan(1e-6);
    }
}
