package io.github.dl4jlora.variant;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAInit;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** What PiSSA, OLoRA and the orthogonal start put into A and B, by the algebra. */
class StartsTest {

    private record Start(INDArray w, INDArray a, INDArray b) {

        static Start taken(LoRAInit init, int nIn, int nOut, int rank, double factor, int iterations) {
            Start start = new Start(Networks.random(DataType.DOUBLE, 3, nIn, nOut), Nd4j.create(DataType.DOUBLE, nIn, rank),
                    Nd4j.create(DataType.DOUBLE, rank, nOut));
            init.take(start.w, start.a, start.b, factor, iterations, new Random(7));
            return start;
        }

        double[] residualSpectrum(double factor) {
            return spectrum(w.sub(a.mmul(b).mul(factor)));
        }
    }

    private static double[] spectrum(INDArray matrix) {
        return new SingularValueDecomposition(new Array2DRowRealMatrix(matrix.toDoubleMatrix())).getSingularValues();
    }

    @ParameterizedTest
    @CsvSource({"9, 6, 3, 0.5", "6, 9, 3, 2", "7, 7, 7, 1", "5, 8, 1, 4"})
    void pissaTakesTheLargestSingularValuesAndLeavesTheOthers(int nIn, int nOut, int rank, double factor) {
        Start start = Start.taken(LoRAInit.PISSA, nIn, nOut, rank, factor, 0);

        double[] all = spectrum(start.w);
        double[] taken = spectrum(start.a.mmul(start.b).mul(factor));
        double[] left = start.residualSpectrum(factor);
        for (int i = 0; i < all.length; i++) {
            assertThat(taken[i]).isCloseTo(i < rank ? all[i] : 0, within(1e-12));
            assertThat(left[i]).isCloseTo(i < all.length - rank ? all[i + rank] : 0, within(1e-12));
        }
        assertThat(start.a.norm2(0).toDoubleVector()).containsExactly(start.b.norm2(1).toDoubleVector(), within(1e-12));
    }

    @Test
    void randomisedPissaComesCloserWithEveryIteration() {
        double exact = norm(Start.taken(LoRAInit.PISSA, 60, 40, 4, 1, 0).residualSpectrum(1));
        double one = norm(Start.taken(LoRAInit.PISSA, 60, 40, 4, 1, 1).residualSpectrum(1));
        double many = norm(Start.taken(LoRAInit.PISSA, 60, 40, 4, 1, 30).residualSpectrum(1));

        assertThat(one).isGreaterThan(exact + 1e-6).isLessThan(1.05 * exact);
        assertThat(many).isCloseTo(exact, within(1e-6));
    }

    private static double norm(double[] spectrum) {
        double sum = 0;
        for (double value : spectrum) {
            sum += value * value;
        }
        return Math.sqrt(sum);
    }

    @ParameterizedTest
    @CsvSource({"9, 6, 3", "6, 9, 3", "7, 7, 7", "5, 8, 1"})
    void oloraTakesTheFirstTermsOfTheQrDecomposition(int nIn, int nOut, int rank) {
        Start start = Start.taken(LoRAInit.OLORA, nIn, nOut, rank, 0.3, 0);

        RealMatrix q = matrix(start.b).transpose();
        assertThat(matrix(start.b).multiply(q).subtract(identity(rank)).getFrobeniusNorm()).isLessThan(1e-12);
        // R is upper triangular with a diagonal, and Q·R is Wᵀ in its first columns.
        RealMatrix r = matrix(start.a).transpose();
        RealMatrix product = q.multiply(r);
        for (int column = 0; column < rank; column++) {
            for (int row = column + 1; row < rank; row++) {
                assertThat(r.getEntry(row, column)).isCloseTo(0, within(1e-12));
            }
            assertThat(product.getColumnVector(column).getDistance(matrix(start.w).getRowVector(column))).isLessThan(1e-12);
        }
    }

    private static RealMatrix matrix(INDArray array) {
        return new Array2DRowRealMatrix(array.toDoubleMatrix());
    }

    private static RealMatrix identity(int size) {
        return org.apache.commons.math3.linear.MatrixUtils.createRealIdentityMatrix(size);
    }

    @Test
    void orthogonalStartsAreAwayFromZeroAndTheirProductIsZero() {
        INDArray a = Nd4j.create(DataType.DOUBLE, 50, 6);
        INDArray b = Nd4j.create(DataType.DOUBLE, 6, 40);

        LoRAInit.ORTHOGONAL.fill(a, b, new Random(3));

        assertThat(a.mmul(b).norm2Number().doubleValue()).isLessThan(1e-12);
        // Of an orthonormal half: N(0, 1) / 10 in rank / 2 directions.
        assertThat(a.norm2Number().doubleValue()).isCloseTo(Math.sqrt(50 * 3) / 10, within(0.15));
        assertThat(b.norm2Number().doubleValue()).isCloseTo(Math.sqrt(40 * 3) / 10, within(0.15));
    }

    @Test
    void rankDeficientWeightsStillGiveAnOrthonormalB() {
        INDArray w = Nd4j.zeros(DataType.DOUBLE, 5, 4);
        INDArray a = Nd4j.ones(DataType.DOUBLE, 5, 2);
        INDArray b = Nd4j.create(DataType.DOUBLE, 2, 4);

        LoRAInit.OLORA.take(w, a, b, 1, 0, new Random(1));

        assertThat(a.norm2Number().doubleValue()).isZero();
        assertThat(b.mmul(b.transpose())).isEqualTo(Nd4j.eye(2).castTo(DataType.DOUBLE));
    }

    @Test
    void whatCannotBeIsRefusedWithTheReason() {
        INDArray w = Networks.random(DataType.DOUBLE, 1, 5, 4);
        INDArray a = Nd4j.create(DataType.DOUBLE, 5, 5);
        INDArray b = Nd4j.create(DataType.DOUBLE, 5, 4);

        assertThatThrownBy(() -> LoRAInit.OLORA.take(w, a, b, 1, 0, new Random(1)))
                .hasMessageContainingAll("[5, 4]", "at most 4", "is 5");
        assertThatThrownBy(() -> LoRAInit.PISSA.take(w, a, b, 1, 0, new Random(1)))
                .hasMessageContainingAll("[5, 4]", "at most 4", "is 5");
        assertThatThrownBy(() -> LoRAInit.PISSA.take(w, a.get(org.nd4j.linalg.indexing.NDArrayIndex.all(),
                org.nd4j.linalg.indexing.NDArrayIndex.interval(0, 2)), b, -1, 0, new Random(1)))
                .hasMessageContaining("factor is -1");
        assertThatThrownBy(() -> LoRAInit.ORTHOGONAL.fill(a, b, new Random(1))).hasMessageContainingAll("rank is 5", "even");
        assertThatThrownBy(() -> LoRAInit.GAUSSIAN.take(w, a, b, 1, 0, new Random(1))).hasMessageContaining("not taken from W");
        assertThatThrownBy(() -> LoRAInit.PISSA.fill(a, b, new Random(1))).hasMessageContaining("take");
    }
}
