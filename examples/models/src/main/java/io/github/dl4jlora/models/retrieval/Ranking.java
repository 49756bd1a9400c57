package io.github.dl4jlora.models.retrieval;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How far up the documents that answer a query are, when all are ordered by cosine.
 *
 * @param ranks of each query's first document that answers it, 1 at best
 */
record Ranking(int[] ranks) {

    /**
     * @param queries        {@code [queries, hidden]}, of length 1
     * @param ofQueries      the group of each
     * @param documents      {@code [documents, hidden]}, of length 1
     * @param ofDocuments    the group of each; of every query's, there is at least one
     */
    static Ranking of(INDArray queries, List<String> ofQueries, INDArray documents, List<String> ofDocuments) {
        INDArray cosines = queries.mmul(documents.transpose());
        int[] ranks = new int[ofQueries.size()];
        for (int query = 0; query < ranks.length; query++) {
            ranks[query] = rank(cosines.getRow(query).toFloatVector(), ofQueries.get(query), ofDocuments);
        }
        return new Ranking(ranks);
    }

    private static int rank(float[] cosines, String group, List<String> ofDocuments) {
        float best = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < cosines.length; i++) {
            best = ofDocuments.get(i).equals(group) ? Math.max(best, cosines[i]) : best;
        }
        int rank = 1;
        for (int i = 0; i < cosines.length; i++) {
            // Ties and NaN count as lost: an encoder that gives all texts the same embedding, or NaN, finds nothing.
            rank += !ofDocuments.get(i).equals(group) && !(cosines[i] < best) ? 1 : 0;
        }
        return rank;
    }

    /** {@return the share of queries that have a document that answers them among the first k} */
    double recallAt(int k) {
        return Arrays.stream(ranks).filter(rank -> rank <= k).count() / (double) ranks.length;
    }

    /** {@return the mean of 1/rank} */
    double mrr() {
        return Arrays.stream(ranks).mapToDouble(rank -> 1.0 / rank).average().orElse(Double.NaN);
    }

    /** {@return how many queries have their answer higher up here than there} */
    long above(Ranking other) {
        return IntStream.range(0, ranks.length).filter(query -> ranks[query] < other.ranks[query]).count();
    }
}
