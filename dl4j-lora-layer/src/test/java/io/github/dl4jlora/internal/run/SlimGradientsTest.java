package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.blas.Route;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Against products of whole matrices by ND4J. */
class SlimGradientsTest {

    private static final double GARBAGE = 7;

    @BeforeEach
    void seed() {
        Nd4j.getRandom().setSeed(5);
    }

    /**
     * @param rows    of which a block has 2¹⁷ / columns
     * @param special columns of the first B that have no column in dz
     * @param ranks   of the matrices
     * @param trains  A, B or AB for each matrix
     */
    @ParameterizedTest
    @CsvSource({
            "FLOAT, 700, 1024, 0, 8, AB",
            "FLOAT, 700, 1024, 0, 8 8, AB AB",
            "FLOAT, 700, 1024, 3, 8 4, AB AB",
            "FLOAT, 700, 1024, 0, 3 5 2, AB AB AB",
            "FLOAT, 513, 1024, 0, 8 1, A B",
            "FLOAT, 513, 1024, 0, 8 8, B B",
            "FLOAT, 513, 1024, 0, 8 8, A AB",
            "FLOAT, 1, 16, 3, 1 2, AB AB",
            "FLOAT, 5, 1, 0, 1 1, AB AB",
            "FLOAT, 3, 200000, 0, 2 2, AB AB",
            "DOUBLE, 300, 1024, 3, 8 4, AB AB",
            "DOUBLE, 40, 12, 0, 4, A"})
    void areThoseOfWholeMatrices(DataType type, int rows, int columns, int special, String ranks, String trains) {
        INDArray dz = random(type, 'c', rows, columns);
        List<SlimGradients.Part> parts = new ArrayList<>();
        for (int i = 0; i < ranks.split(" ").length; i++) {
            int rank = Integer.parseInt(ranks.split(" ")[i]);
            int nIn = 6 + 5 * i;
            INDArray b = random(type, i == 2 ? 'c' : 'f', rank, columns + (i == 0 ? special : 0));
            Route path = new Route(0, rows, random(type, 'f', nIn, rank), b, 0.5 + i);
            String trained = trains.split(" ")[i];
            parts.add(new SlimGradients.Part(path, random(type, 'c', rows, nIn),
                    trained.contains("A") ? Nd4j.valueArrayOf(new long[] {nIn, rank}, GARBAGE, type).dup('f') : null,
                    trained.contains("B") ? Nd4j.valueArrayOf(b.shape(), GARBAGE, type).dup('f') : null));
        }

        SlimGradients.compute(parts, dz);

        for (SlimGradients.Part part : parts) {
            Route path = part.path();
            if (part.dA() != null) {
                INDArray whole = part.x().transpose().mmul(dz.mmul(first(path.b(), columns).transpose())).mul(path.factor());
                assertClose(part.dA(), whole, type);
            }
            if (part.dB() != null) {
                INDArray whole = part.x().mmul(path.a()).transpose().mmul(dz).mul(path.factor());
                assertClose(first(part.dB(), columns), whole, type);
                for (long column = columns; column < part.dB().size(1); column++) {
                    assertThat(part.dB().getColumn(column).toDoubleVector()).containsOnly(GARBAGE);
                }
            }
        }
    }

    private static INDArray random(DataType type, char order, long... shape) {
        return Nd4j.randn(shape).castTo(type).dup(order);
    }

    private static INDArray first(INDArray matrix, long columns) {
        return matrix.get(NDArrayIndex.all(), NDArrayIndex.interval(0, columns));
    }

    private static void assertClose(INDArray actual, INDArray expected, DataType type) {
        double difference = actual.sub(expected).norm2Number().doubleValue();
        double most = type == DataType.FLOAT ? 3e-6 : 1e-13;
        assertThat(difference).isLessThanOrEqualTo(most * expected.norm2Number().doubleValue());
    }
}
