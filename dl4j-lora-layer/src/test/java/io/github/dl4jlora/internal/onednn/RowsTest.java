package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.NormalizedByFormula;
import io.github.dl4jlora.internal.onednn.OneDnn.Use;
import io.github.dl4jlora.internal.processor.Processor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** What oneDNN computes of rows is what the formulas give in double precision. */
class RowsTest {

    private static final double TOLERANCE = 5e-6;

    @BeforeEach
    void oneDnnComputesWhateverItCan() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        OneDnn.use(Use.ALWAYS);
        Nd4j.getRandom().setSeed(28);
    }

    @AfterEach
    void computeAsUsual() {
        OneDnn.use(Use.WHERE_IT_GAINS);
    }

    private static INDArray random(long... shape) {
        return Nd4j.rand(DataType.FLOAT, shape).subi(0.5).muli(12);
    }

    private static INDArray exact(INDArray array) {
        return array.castTo(DataType.DOUBLE);
    }

    private static void assertSame(INDArray actual, INDArray expected) {
        assertThat(exact(actual).distance2(expected)).isLessThan(TOLERANCE * (1 + expected.norm2Number().doubleValue()));
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "1, 7", "3, 16", "5, 33", "64, 128", "200, 1", "17, 1000"})
    void softmaxAndItsGradientAreTheFormulas(int rows, int columns) {
        INDArray memory = random((long) rows * columns + 3);
        INDArray behind = memory.get(NDArrayIndex.interval((long) rows * columns, memory.length())).dup();
        INDArray scores = exact(memory.get(NDArrayIndex.interval(0, (long) rows * columns)).reshape('c', rows, columns));
        INDArray p = Transforms.exp(scores.subColumnVector(scores.max(true, 1)));
        p.diviColumnVector(p.sum(true, 1));
        INDArray gradient = random(rows, columns);
        INDArray expected = exact(gradient);
        expected.subiColumnVector(p.mul(expected).sum(true, 1)).muli(p);

        assertThat(Rows.softmax(memory, rows, columns)).isTrue();
        boolean hasGradient = computesGradient(memory, gradient, rows, columns);

        assertSame(memory.get(NDArrayIndex.interval(0, (long) rows * columns)).reshape('c', rows, columns), p);
        if (hasGradient) {
            assertSame(gradient, expected);
        }
        assertThat(memory.get(NDArrayIndex.interval((long) rows * columns, memory.length()))).isEqualTo(behind);
    }

    /**
     * Computes the gradient if oneDNN has something for it here: without AVX-512 it has nothing that would be faster than loops.
     *
     * @return whether that was done; if not, nothing was written
     */
    private static boolean computesGradient(INDArray p, INDArray gradient, int rows, int columns) {
        float[] before = gradient.dup().data().asFloat();
        boolean done = Rows.softmaxGradient(p, gradient, rows, columns);
        assertThat(done || Processor.here().vectors() != Processor.Vectors.AVX_512).isTrue();
        if (!done) {
            assertThat(gradient.dup().data().asFloat()).containsExactly(before);
        }
        return done;
    }

    /** oneDNN's softmax makes zero of NaN. */
    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void softmaxOfWhatIsNoNumberIsLeftToOthers(float value) {
        INDArray scores = random(200, 100).putScalar(199, 99, value);
        float[] before = scores.toFloatMatrix()[199];

        assertThat(Rows.softmax(scores, 200, 100)).isFalse();
        assertThat(Rows.softmax(scores, 199, 100)).isTrue();
        assertThat(scores.toFloatMatrix()[199]).containsExactly(before);
    }

    @Test
    void gradientsAndNormalisationKeepNaNInItsRow() {
        INDArray p = random(2, 40);
        INDArray gradient = random(2, 40).putScalar(0, 3, Float.NaN);
        INDArray x = random(2, 40).putScalar(0, 3, Float.NaN);
        INDArray gain = random(1, 40);
        INDArray y = Nd4j.create(DataType.FLOAT, 2, 40);
        INDArray dx = Nd4j.create(DataType.FLOAT, 2, 40);

        boolean hasGradient = computesGradient(p, gradient, 2, 40);
        assertThat(Rows.normalize(x, gain, gain, y, 1e-5)).isTrue();
        assertThat(Rows.normalizeGradient(x, gain, p, dx, gain.dup(), gain.dup(), 1e-5)).isTrue();

        for (INDArray result : hasGradient ? List.of(gradient, y, dx) : List.of(y, dx)) {
            assertThat(result.getRow(0).isNaN().all()).isTrue();
            assertThat(result.getRow(1).isNaN().any()).isFalse();
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 2", "1, 384", "3, 17", "40, 64", "200, 384"})
    void layerNormalisationAndItsGradientsAreTheFormulas(int rows, int columns) {
        double epsilon = 1e-5;
        INDArray x = random(rows, columns).addi(3);
        INDArray gain = random(1, columns);
        INDArray shift = random(1, columns);
        INDArray dy = random(rows, columns);
        NormalizedByFormula expected = NormalizedByFormula.of(x, gain, shift, dy, epsilon);
        INDArray y = Nd4j.create(DataType.FLOAT, rows, columns);
        INDArray dx = Nd4j.create(DataType.FLOAT, rows, columns);
        INDArray dGain = Nd4j.create(DataType.FLOAT, 1, columns);
        INDArray dShift = Nd4j.create(DataType.FLOAT, 1, columns);

        assertThat(Rows.normalize(x, gain, shift, y, epsilon)).isTrue();
        assertThat(Rows.normalizeGradient(x, gain, dy, dx, dGain, dShift, epsilon)).isTrue();

        assertSame(y, expected.y());
        assertSame(dx, expected.dx());
        assertSame(dGain, expected.dGain());
        assertSame(dShift, expected.dShift());
    }

    @Test
    void otherTypesGapsAndOrdersAreLeftToOthers() {
        INDArray doubles = exact(random(4, 4));
        INDArray byColumns = random(4, 4).dup('f');
        INDArray withGaps = random(4, 8).get(NDArrayIndex.all(), NDArrayIndex.interval(0, 4));
        for (INDArray array : new INDArray[] {doubles, byColumns, withGaps}) {
            INDArray before = array.dup();
            assertThat(Rows.softmax(array, 4, 4)).isFalse();
            assertThat(Rows.softmaxGradient(random(4, 4), array, 4, 4)).isFalse();
            assertThat(Rows.normalize(array, random(1, 4), random(1, 4), array, 1e-5)).isFalse();
            assertThat(array).isEqualTo(before);
        }
    }

    @Test
    void whatIsSmallIsLeftToLoops() {
        OneDnn.use(Use.WHERE_IT_GAINS);

        assertThat(Rows.softmax(random(100), 10, 10)).isFalse();
        assertThat(Rows.softmax(random(10_000), 100, 100)).isTrue();
    }

    @Test
    void lengthsThatChangeAreCompiledForWithinTheLimit() {
        for (int columns = 1; columns <= 2 * Calls.MOST; columns++) {
            Rows.softmax(random(2L * columns), 2, columns);
        }

        assertThat(Calls.kept()).isLessThanOrEqualTo(Calls.MOST);
    }
}
