package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.NormalizedByFormula;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** In FLOAT on the CPU, loops in Java and BLAS take the place of ND4J's operations, which DOUBLE goes through. */
class FloatsAgreeWithDoublesTest {

    private static final double TOLERANCE = 2e-5;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    @Test
    void attentionHeadsOfAnyCutAgree() {
        headsAgree(5, 12, 1);
        headsAgree(5, 12, 3);
        headsAgree(5, 12, 12);
    }

    /** So many multiplications that BLAS would copy its operands. */
    @Test
    void productsThatAreComputedInPiecesAgree() {
        headsAgree(131, 64, 1);
    }

    private static void headsAgree(int tokens, int width, int heads) {
        headsAgree(tokens, width, new ScoreBlock(1, 0, heads, 0, tokens, tokens), heads);
        headsAgree(tokens, width, new ScoreBlock(0, heads - 1, 1, tokens - 2, 2, tokens - 1), heads);
        headsAgree(tokens, width, new ScoreBlock(1, heads / 2, heads - heads / 2, 1, tokens / 2, tokens / 2 + 1), heads);
    }

    private static void headsAgree(int tokens, int width, ScoreBlock block, int heads) {
        int texts = 2;
        INDArray x = Nd4j.rand(DataType.FLOAT, texts * tokens, width);
        INDArray y = Nd4j.rand(DataType.FLOAT, texts * tokens, width);
        HeadProducts blas = new BlasHeadProducts(texts, heads, x);
        HeadProducts permuted = new PermutedHeadProducts(texts, heads);
        INDArray scores = Nd4j.create(DataType.FLOAT, block.length() + 3);
        INDArray expectedScores = scores.like();
        blas.outer(block, x, y, scores, 0.7);
        permuted.outer(block, x, y, expectedScores, 0.7);
        assertThat(relative(scores, expectedScores)).isLessThan(TOLERANCE);
        INDArray rows = Nd4j.ones(DataType.FLOAT, x.shape());
        INDArray expectedRows = rows.dup();
        for (boolean add : new boolean[]{false, true}) {
            blas.apply(block, scores, y, rows, 1.5);
            permuted.apply(block, scores, y, expectedRows, 1.5);
            assertThat(relative(rows, expectedRows)).isLessThan(TOLERANCE);
            blas.applyTransposed(block, scores, x, rows, 0.5, add);
            permuted.applyTransposed(block, scores, x, expectedRows, 0.5, add);
            assertThat(relative(rows, expectedRows)).isLessThan(TOLERANCE);
        }
    }

    /** Code here would read and write where the array was. */
    @Test
    void anArrayThatWasClosedIsLeftToNd4jWhichSaysSo() {
        INDArray closed = Nd4j.rand(DataType.FLOAT, 3, 4);
        assertThat(HostFloats.reaches(closed)).isTrue();
        assertThat(HostFloats.reachesRows(closed)).isTrue();

        closed.close();

        assertThat(HostFloats.reaches(closed)).isFalse();
        assertThat(HostFloats.reachesRows(closed)).isFalse();
        assertThatThrownBy(() -> new ErfGelu().getActivation(closed, false)).isInstanceOf(IllegalStateException.class);
    }

    /**
     * Of heads in one piece, of pieces that end in the midst of a head, and of rows that are longer than a piece; of so few
     * scores that loops compute them, and of more.
     */
    @ParameterizedTest
    @CsvSource({"1, 1, false, 3", "7, 5, true, 2", "30, 30, false, 5", "70, 70, false, 3", "70, 41, true, 3", "128, 100, true, 2",
            "2100, 2000, false, 1", "2100, 2100, true, 1"})
    void softmaxAgreesHoweverItsPiecesLie(int tokens, int length, boolean causal, int heads) {
        // The last rows, which are longest where a text is causal.
        int rows = Math.min(tokens, 130);
        int[] right = new int[tokens];
        Arrays.fill(right, 0, length, 1);
        softmaxAgrees(right, new ScoreBlock(0, 0, heads, tokens - rows, rows, length), causal);
        int[] left = new int[tokens];
        Arrays.fill(left, tokens - length, tokens, 1);
        softmaxAgrees(left, new ScoreBlock(0, 0, heads, tokens - rows, rows, tokens), causal);
        int[] gaps = left.clone();
        for (int i = tokens - length; i < tokens - 1; i += 3) {
            gaps[i] = 0;
        }
        softmaxAgrees(gaps, new ScoreBlock(0, heads - 1, 1, tokens - (rows + 1) / 2, (rows + 1) / 2, tokens), causal);
    }

    private static void softmaxAgrees(int[] ids, ScoreBlock block, boolean causal) {
        KeptTokens texts = KeptTokens.of(ids, ids.length, 0, null, "");
        INDArray scores = Nd4j.rand(DataType.FLOAT, block.length()).subi(0.5).muli(12);
        INDArray expected = scores.castTo(DataType.DOUBLE);
        MaskedSoftmax.forward(block, texts, causal, expected);
        MaskedSoftmax.forward(block, texts, causal, scores);
        assertThat(scores.castTo(DataType.DOUBLE).sub(expected).amaxNumber().doubleValue()).isLessThan(2e-6);

        INDArray errors = Nd4j.rand(DataType.FLOAT, scores.shape());
        INDArray expectedErrors = errors.castTo(DataType.DOUBLE);
        MaskedSoftmax.backward(block, expected, expectedErrors);
        MaskedSoftmax.backward(block, scores, errors);
        assertThat(errors.castTo(DataType.DOUBLE).sub(expectedErrors).amaxNumber().doubleValue()).isLessThan(2e-6);
    }

    /** Of so few rows that loops compute them, and of more. */
    @ParameterizedTest
    @CsvSource({"1, 8", "5, 300", "3, 2500", "40, 384"})
    void layerNormalisationAgrees(int rows, int size) {
        INDArray x = Nd4j.rand(DataType.FLOAT, rows, size).addi(2);
        INDArray gain = Nd4j.rand(DataType.FLOAT, 1, size);
        INDArray bias = Nd4j.rand(DataType.FLOAT, 1, size);
        INDArray dy = Nd4j.rand(DataType.FLOAT, rows, size).subi(0.5);
        NormalizedByFormula expected = NormalizedByFormula.of(x, gain, bias, dy, 1e-12);
        INDArray y = Nd4j.create(DataType.FLOAT, rows, size);
        INDArray dx = Nd4j.create(DataType.FLOAT, rows, size);
        INDArray dGain = Nd4j.create(DataType.FLOAT, 1, size);
        INDArray dBias = Nd4j.create(DataType.FLOAT, 1, size);

        NormalizedRows.forward(x, gain, bias, y, 1e-12);
        NormalizedRows.backward(x, gain, dy, dx, dGain, dBias, 1e-12);

        assertThat(relative(y.castTo(DataType.DOUBLE), expected.y())).isLessThan(TOLERANCE);
        assertThat(relative(dx.castTo(DataType.DOUBLE), expected.dx())).isLessThan(TOLERANCE);
        assertThat(relative(dGain.castTo(DataType.DOUBLE), expected.dGain())).isLessThan(TOLERANCE);
        assertThat(relative(dBias.castTo(DataType.DOUBLE), expected.dShift())).isLessThan(TOLERANCE);
    }

    private static double relative(INDArray actual, INDArray expected) {
        return actual.distance2(expected) / expected.norm2Number().doubleValue();
    }

    @Test
    void eitherGeluIsExactToFloatRoundingFromTailToTail() {
        INDArray x = Nd4j.linspace(DataType.DOUBLE, -12, 24.0 / 10_000, 10_001);
        INDArray one = Nd4j.ones(DataType.DOUBLE, x.shape());
        for (IActivation gelu : new IActivation[]{new ErfGelu(), new TanhGelu()}) {
            INDArray value = gelu.getActivation(x.castTo(DataType.FLOAT), true).castTo(DataType.DOUBLE);
            INDArray slope = gelu.backprop(x.castTo(DataType.FLOAT), one.castTo(DataType.FLOAT)).getFirst()
                    .castTo(DataType.DOUBLE);

            INDArray expectedSlope = gelu.backprop(x.dup(), one).getFirst();
            INDArray expectedValue = gelu.getActivation(x.dup(), true);
            assertThat(value.sub(expectedValue).amaxNumber().doubleValue()).as(gelu.toString()).isLessThan(2e-6);
            assertThat(slope.sub(expectedSlope).amaxNumber().doubleValue()).as(gelu.toString()).isLessThan(2e-6);
        }
    }

    /** In blocks that are full, even and odd. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 2048, 2049, 10_001})
    void packedSlopesOfEitherGeluAreThoseToTheLastOf16Bits(int length) {
        INDArray x = length == 1 ? Nd4j.createFromArray(0.3f) : Nd4j.linspace(DataType.FLOAT, -12, 24.0 / (length - 1), length);
        INDArray error = Nd4j.rand(DataType.FLOAT, length);
        for (BlockActivation gelu : new BlockActivation[]{new ErfGelu(), new TanhGelu()}) {
            INDArray value = x.dup();
            INDArray slopes = Nd4j.create(DataType.INT, (length + 1) / 2);
            INDArray delta = Nd4j.create(DataType.FLOAT, length);
            gelu.activate(value, slopes);
            gelu.backprop(slopes, error, delta);

            assertThat(value).as(gelu.toString()).isEqualTo(gelu.getActivation(x.dup(), true));
            INDArray difference = delta.sub(gelu.backprop(x.dup(), error).getFirst()).divi(error);
            assertThat(difference.amaxNumber().doubleValue()).as(gelu.toString()).isLessThan(1.01 / (1 << 16) + 1e-6);
        }
    }

    @Test
    void slopesOfEitherGeluAre0And1HoweverFarOut() {
        INDArray x = Nd4j.createFromArray(-3e38f, -1e20f, -1e13f, -1e6f, -1e4f, -1e3f, 1e3f, 1e4f, 1e6f, 1e13f, 1e20f, 3e38f);
        INDArray expected = Nd4j.createFromArray(0f, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1);
        INDArray one = Nd4j.ones(DataType.FLOAT, x.length());
        for (BlockActivation gelu : new BlockActivation[]{new ErfGelu(), new TanhGelu()}) {
            INDArray slopes = Nd4j.create(DataType.INT, x.length() / 2);
            INDArray unpacked = Nd4j.create(DataType.FLOAT, x.length());
            gelu.activate(x.dup(), slopes);
            gelu.backprop(slopes, one, unpacked);

            assertThat(unpacked).as(gelu.toString()).isEqualTo(expected);
            INDArray value = gelu.getActivation(x.dup(), true);
            assertThat(value.get(NDArrayIndex.interval(0, 6)).amaxNumber().doubleValue()).as(gelu.toString()).isLessThan(1e-11);
            assertThat(value.get(NDArrayIndex.interval(6, 12))).as(gelu.toString())
                    .isEqualTo(x.get(NDArrayIndex.interval(6, 12)));
            INDArray slope = gelu.backprop(x.dup(), one).getFirst();
            assertThat(slope.sub(expected).amaxNumber().doubleValue()).as(gelu.toString()).isLessThan(1e-6);
        }
    }

    @Test
    void geluByTanhIsThatOfTheFormula() {
        for (double x : new double[]{-3, -0.7, 0, 0.4, 2.5}) {
            double formula = 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * Math.pow(x, 3))));

            assertThat(new TanhGelu().getActivation(Nd4j.createFromArray(x), true).getDouble(0))
                    .isCloseTo(formula, within(1e-14));
        }
    }
}
