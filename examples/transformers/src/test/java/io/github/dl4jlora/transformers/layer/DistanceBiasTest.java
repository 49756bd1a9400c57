package io.github.dl4jlora.transformers.layer;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class DistanceBiasTest {

    private static final int HEADS = 3;
    private static final int TOKENS = 150;

    /** Where PyTorch's formula, in its float32, begins another bucket. */
    @Test
    void distancesHaveTheBucketsOfPyTorch() {
        int[] starts = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91};
        for (int bucket = 0; bucket < starts.length; bucket++) {
            int end = bucket + 1 < starts.length ? starts[bucket + 1] : 8000;
            int expected = bucket;
            assertThat(IntStream.range(starts[bucket], end)).allMatch(n -> RelativeAttentionBias.bucket(-n) == expected);
            assertThat(IntStream.range(Math.max(1, starts[bucket]), end))
                    .allMatch(n -> RelativeAttentionBias.bucket(n) == expected + 16);
        }
        assertThat(RelativeAttentionBias.bucket(Integer.MAX_VALUE)).isEqualTo(31);
    }

    /** In blocks of rows, as attention may compute scores. */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "DOUBLE"})
    void eachScoreGetsTheValueOfItsHeadAndDistanceAndGivesItsGradientBack(DataType type) {
        Nd4j.getRandom().setSeed(4);
        INDArray table = Nd4j.randn(type, RelativeAttentionBias.BUCKETS, HEADS);
        INDArray expected = Nd4j.zeros(type, RelativeAttentionBias.BUCKETS, HEADS);
        INDArray gradient = Nd4j.zeros(type, RelativeAttentionBias.BUCKETS, HEADS);
        DistanceBias bias = new DistanceBias(table, TOKENS, Nd4j.zeros(type, 1));
        for (ScoreBlock block : List.of(new ScoreBlock(0, 0, 2, 0, 64, TOKENS), new ScoreBlock(0, 1, 2, 64, 86, TOKENS - 9),
                new ScoreBlock(1, 2, 1, TOKENS - 1, 1, 3))) {
            INDArray scores = Nd4j.randn(type, block.heads() * block.rows(), block.columns());
            INDArray before = scores.dup();
            bias.backward(block, before);
            bias.add(block, scores);
            INDArray added = scores.sub(before);
            for (int row = 0; row < scores.rows(); row++) {
                int head = block.head() + row / block.rows();
                for (int token = 0; token < block.columns(); token++) {
                    int bucket = RelativeAttentionBias.bucket(token - block.row() - row % block.rows());
                    assertThat(added.getDouble(row, token)).isCloseTo(table.getDouble(bucket, head), within(1e-5));
                    expected.putScalar(bucket, head, expected.getDouble(bucket, head) + before.getDouble(row, token));
                }
            }
        }
        bias.addGradientTo(gradient);
        assertThat(gradient.distance2(expected)).isLessThan(1e-4 * expected.norm2Number().doubleValue());
    }
}
