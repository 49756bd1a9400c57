package io.github.dl4jlora.models.retrieval;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

@Tag("minilm")
class RankingTest {

    private static final INDArray DOCUMENTS = Nd4j.createFromArray(new float[][]{{1, 0}, {0.8f, 0.6f}, {0, 1}, {-1, 0}});
    private static final List<String> GROUPS = List.of("right", "right", "up", "left");

    @Test
    void theFirstDocumentThatAnswersCounts() {
        INDArray queries = Nd4j.createFromArray(new float[][]{{1, 0}, {0, 1}, {0.6f, 0.8f}, {1, 0}});
        Ranking ranking = Ranking.of(queries, List.of("right", "up", "up", "left"), DOCUMENTS, GROUPS);

        assertThat(ranking.ranks()).containsExactly(1, 1, 2, 4);
        assertThat(ranking.recallAt(1)).isEqualTo(0.5);
        assertThat(ranking.recallAt(2)).isEqualTo(0.75);
        assertThat(ranking.recallAt(4)).isEqualTo(1);
        // Of "right" there are two documents, which the first query finds first and second.
        double third = 1 / (Math.log(3) / Math.log(2));
        assertThat(ranking.gains()).containsExactly(new double[] {1, 1, third, 1 / (Math.log(5) / Math.log(2))}, within(1e-12));
        assertThat(ranking.mrr()).isCloseTo((1 + 1 + 0.5 + 0.25) / 4, within(1e-12));
    }

    @Test
    void whoGivesAllTextsOneEmbeddingOrNoneThatCountsFindsNothing() {
        INDArray same = Nd4j.createFromArray(new float[][]{{1, 0}, {1, 0}, {1, 0}, {1, 0}});
        INDArray query = Nd4j.createFromArray(new float[][]{{1, 0}});
        assertThat(Ranking.of(query, List.of("up"), same, GROUPS).ranks()).containsExactly(4);
        INDArray none = Nd4j.createFromArray(new float[][]{{Float.NaN, Float.NaN}});
        assertThat(Ranking.of(none, List.of("up"), DOCUMENTS, GROUPS).ranks()).containsExactly(4);
    }

    @Test
    void whatIsHigherUpIsCountedEitherWay() {
        Ranking base = new Ranking(new int[]{1, 5, 5, 2}, new double[4]);
        Ranking adapted = new Ranking(new int[]{1, 3, 4, 7}, new double[4]);
        assertThat(adapted.above(base)).isEqualTo(2);
        assertThat(base.above(adapted)).isEqualTo(1);
    }
}
