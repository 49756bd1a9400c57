package io.github.dl4jlora.transformers.layer;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Attention in blocks against the formulas on whole matrices. */
@Tag("heavy")
class BlockwiseAttentionTest {

    private static final int TEXTS = 3;
    private static final int HEADS = 3;
    private static final int WIDTH = 4;
    private static final double SCALE = 0.5;
    private static final int LONGEST = 700;
    private static final INDArray DISTANCES = allDistances();

    /** What the formulas give, with the scores of each text and head as one matrix. */
    private static final class Whole {
        private final INDArray output;
        private final INDArray dQuery;
        private final INDArray dKey;
        private final INDArray dValue;
        private final INDArray dBias = Nd4j.zeros(DataType.DOUBLE, HEADS);

        Whole(INDArray[] x, KeptTokens texts, boolean causal, double[] bias) {
            output = x[0].like();
            dQuery = x[0].like();
            dKey = x[0].like();
            dValue = x[0].like();
            int tokens = texts.tokens();
            for (int text = 0; text < TEXTS; text++) {
                INDArray seen = seen(texts, text, causal);
                for (int head = 0; head < HEADS; head++) {
                    INDArrayIndex[] at = {NDArrayIndex.interval(text * tokens, (text + 1) * tokens),
                            NDArrayIndex.interval(head * WIDTH, (head + 1) * WIDTH)};
                    INDArray q = x[0].get(at);
                    INDArray k = x[1].get(at);
                    INDArray v = x[2].get(at);
                    INDArray dO = x[3].get(at);
                    INDArray scores = q.mmul(k.transpose()).mul(SCALE).addi(distances(tokens).mul(bias[head]));
                    INDArray p = Transforms.exp(scores).mul(seen);
                    p.diviColumnVector(p.sum(true, 1).addi(1e-300));
                    output.put(at, p.mmul(v));
                    dValue.put(at, p.transpose().mmul(dO));
                    INDArray dP = dO.mmul(v.transpose());
                    INDArray dS = dP.subColumnVector(p.mul(dP).sum(true, 1)).mul(p);
                    dQuery.put(at, dS.mmul(k).mul(SCALE));
                    dKey.put(at, dS.transpose().mmul(q).mul(SCALE));
                    dBias.putScalar(head, dBias.getDouble(head) + dS.mul(distances(tokens)).sumNumber().doubleValue());
                }
            }
        }

        private static INDArray seen(KeptTokens texts, int text, boolean causal) {
            double[][] seen = new double[texts.tokens()][texts.tokens()];
            for (int row = 0; row < seen.length; row++) {
                for (int column = 0; column < seen.length; column++) {
                    seen[row][column] = texts.isKept(text, column) && (!causal || column <= row) ? 1 : 0;
                }
            }
            return Nd4j.createFromArray(seen);
        }
    }

    /** How far a row and a column are apart, in hundreds: something to learn a factor of. */
    private static INDArray distances(int from, int to, int columns) {
        return DISTANCES.get(NDArrayIndex.interval(from, to), NDArrayIndex.interval(0, columns));
    }

    private static INDArray distances(int tokens) {
        return distances(0, tokens, tokens);
    }

    private static INDArray allDistances() {
        double[][] distances = new double[LONGEST][LONGEST];
        for (int row = 0; row < LONGEST; row++) {
            for (int column = 0; column < LONGEST; column++) {
                distances[row][column] = (column - row) / 100.0;
            }
        }
        return Nd4j.createFromArray(distances);
    }

    /** Of a factor for each head. */
    private static final class Slopes implements ScoreBias {
        private final double[] slopes;
        private final INDArray gradient = Nd4j.zeros(DataType.DOUBLE, HEADS);

        Slopes(double[] slopes) {
            this.slopes = slopes;
        }

        @Override
        public void add(ScoreBlock block, INDArray scores) {
            for (int head = 0; head < block.heads(); head++) {
                INDArrayIndex[] at = at(block, head);
                scores.put(at, scores.get(at).add(distances(block).castTo(scores.dataType())
                        .muli(slopes[block.head() + head])));
            }
        }

        @Override
        public void backward(ScoreBlock block, INDArray dScores) {
            for (int head = 0; head < block.heads(); head++) {
                double sum = dScores.get(at(block, head)).castTo(DataType.DOUBLE).mul(distances(block)).sumNumber().doubleValue();
                gradient.putScalar(block.head() + head, gradient.getDouble(block.head() + head) + sum);
            }
        }

        private static INDArrayIndex[] at(ScoreBlock block, int head) {
            return new INDArrayIndex[]{NDArrayIndex.interval(head * block.rows(), (head + 1) * block.rows()), NDArrayIndex.all()};
        }

        private static INDArray distances(ScoreBlock block) {
            return BlockwiseAttentionTest.distances(block.row(), block.row() + block.rows(), block.columns()).dup();
        }
    }

    /**
     * Of one token, of one block, and of so many tokens that a head has several blocks of rows: 131 and 300 if causal, and 371,
     * in blocks of 186 and 185 rows, if not.
     */
    @ParameterizedTest
    @CsvSource({"1, false, 1", "1, true, 2", "2, true, 3", "9, false, 4", "9, true, 5", "40, false, 6", "40, true, 7",
            "131, true, 8", "371, false, 9", "300, true, 10"})
    void blocksComputeWhatWholeMatricesDoWhereverPaddingIs(int tokens, boolean causal, int seed) {
        Nd4j.getRandom().setSeed(seed);
        KeptTokens texts = texts(tokens, new Random(seed));
        INDArray[] x = new INDArray[4];
        for (int i = 0; i < x.length; i++) {
            x[i] = Nd4j.randn(DataType.DOUBLE, TEXTS * tokens, HEADS * WIDTH);
        }
        for (double[] slopes : new double[][]{{0, 0, 0}, {0.7, -1.3, 0.2}}) {
            Whole whole = new Whole(x, texts, causal, slopes);
            agrees(x, DataType.DOUBLE, texts, causal, slopes, whole, 1e-11);
            agrees(x, DataType.FLOAT, texts, causal, slopes, whole, 2e-5);
            agrees(sideBySide(Nd4j.concat(1, x)), DataType.DOUBLE, texts, causal, slopes, whole, 1e-11);
            agrees(sideBySide(Nd4j.concat(1, x).castTo(DataType.FLOAT)), DataType.FLOAT, texts, causal, slopes, whole, 2e-5);
        }
    }

    @ParameterizedTest
    @CsvSource({LONGEST + ", false, 11", LONGEST + ", true, 12"})
    void ofLongTextsTheyDoToo(int tokens, boolean causal, int seed) {
        blocksComputeWhatWholeMatricesDoWhereverPaddingIs(tokens, causal, seed);
    }

    /** Views of columns, as of queries, keys and values that come as one input. */
    private static INDArray[] sideBySide(INDArray wide) {
        return IntStream.range(0, 4).mapToObj(i -> wide.get(NDArrayIndex.all(),
                NDArrayIndex.interval(i * HEADS * WIDTH, (i + 1) * HEADS * WIDTH))).toArray(INDArray[]::new);
    }

    /** One text with padding on the right, one with padding on the left, one with gaps. */
    private static KeptTokens texts(int tokens, Random random) {
        int[] ids = new int[TEXTS * tokens];
        int right = 1 + random.nextInt(tokens);
        int left = random.nextInt(tokens);
        int sure = random.nextInt(tokens);
        for (int i = 0; i < tokens; i++) {
            ids[i] = i < right ? 1 : 0;
            ids[tokens + i] = i < left ? 0 : 1;
            ids[2 * tokens + i] = i == sure || random.nextBoolean() ? 1 : 0;
        }
        return KeptTokens.of(ids, tokens, 0, null, "");
    }

    private static void agrees(INDArray[] given, DataType type, KeptTokens texts, boolean causal, double[] slopes, Whole whole,
                               double tolerance) {
        INDArray[] x = Stream.of(given).map(array -> array.dataType() == type ? array : array.castTo(type))
                .toArray(INDArray[]::new);
        Slopes bias = new Slopes(slopes);
        BlockwiseAttention attention = new BlockwiseAttention(HeadProducts.of(x[0], TEXTS, HEADS), texts, HEADS, SCALE, causal,
                bias);
        INDArray[] memory = {memory(type, texts, causal), memory(type, texts, causal)};
        INDArray output = garbage(x[0]);

        attention.forward(x[0], x[1], x[2], output, memory[0]);
        assertThat(relative(output, whole.output)).isLessThan(tolerance);

        INDArray[] gradients = sideBySide(Nd4j.zeros(type, x[0].size(0), 4 * x[0].size(1)));
        INDArray dQuery = gradients[0].assign(Double.NaN);
        INDArray dKey = gradients[1];
        INDArray dValue = gradients[2];
        attention.backward(x[0], x[1], x[2], x[3], dQuery, dKey, dValue, memory[0], memory[1]);
        assertThat(relative(dQuery, whole.dQuery)).isLessThan(tolerance);
        assertThat(relative(dKey, whole.dKey)).isLessThan(tolerance);
        assertThat(relative(dValue, whole.dValue)).isLessThan(tolerance);
        assertThat(relative(bias.gradient, whole.dBias)).isLessThan(10 * tolerance);
    }

    private static INDArray memory(DataType type, KeptTokens texts, boolean causal) {
        return Nd4j.valueArrayOf(new long[]{BlockwiseAttention.scores(HEADS, texts.tokens(), causal)}, Double.NaN, type);
    }

    private static INDArray garbage(INDArray like) {
        return Nd4j.valueArrayOf(like.shape(), Double.NaN, like.dataType());
    }

    private static double relative(INDArray actual, INDArray expected) {
        return actual.castTo(DataType.DOUBLE).distance2(expected) / Math.max(1e-6, expected.norm2Number().doubleValue());
    }

    @Test
    void memoryGrowsWithTheNumberOfTokensNotWithItsSquare() {
        for (boolean causal : new boolean[]{false, true}) {
            MultiHeadAttention attention = new MultiHeadAttention(12, causal, false, 0);
            for (int tokens = 1; tokens < 10_000; tokens = 2 * tokens + 1) {
                long scores = attention.scoresInMemory(tokens, false);
                assertThat(scores).isBetween(Math.min(1000, tokens) * 1L, Math.max(1 << 17, 16L * tokens));
                assertThat(attention.scoresInMemory(tokens, true)).isEqualTo(2 * scores);
            }
            assertThat(attention.scoresInMemory(1 << 17, false)).isEqualTo(2 * attention.scoresInMemory(1 << 16, false));
        }
    }
}
