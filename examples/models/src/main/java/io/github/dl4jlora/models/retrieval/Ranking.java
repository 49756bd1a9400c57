package io.github.dl4jlora.models.retrieval;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How far up the documents that answer a query are, when all are ordered by cosine.
 *
 * @param ranks of each query's first document that answers it, 1 at best
 * @param gains each query's nDCG@10: Järvelin, Kekäläinen 2002, with gain 1 of each document that answers it
 */
record Ranking(int[] ranks, double[] gains) {

    private static final int FIRST = 10;

    /**
     * @param queries        {@code [queries, hidden]}, of length 1
     * @param ofQueries      the group of each
     * @param documents      {@code [documents, hidden]}, of length 1
     * @param ofDocuments    the group of each; of every query's, there is at least one
     */
    static Ranking of(INDArray queries, List<String> ofQueries, INDArray documents, List<String> ofDocuments) {
        INDArray cosines = queries.mmul(documents.transpose());
        int[] ranks = new int[ofQueries.size()];
        double[] gains = new double[ranks.length];
        for (int query = 0; query < ranks.length; query++) {
            int[] all = ranks(cosines.getRow(query).toFloatVector(), ofQueries.get(query), ofDocuments);
            ranks[query] = all[0];
            gains[query] = gain(Arrays.stream(all)) / gain(IntStream.rangeClosed(1, all.length));
        }
        return new Ranking(ranks, gains);
    }

    private static double gain(IntStream ranks) {
        return ranks.filter(rank -> rank <= FIRST).mapToDouble(rank -> Math.log(2) / Math.log(1 + rank)).sum();
    }

    /** Of all documents that answer a query, from the first on. */
    private static int[] ranks(float[] cosines, String group, List<String> ofDocuments) {
        double[] right = IntStream.range(0, cosines.length).filter(i -> ofDocuments.get(i).equals(group))
                .mapToDouble(i -> Float.isNaN(cosines[i]) ? Double.NEGATIVE_INFINITY : cosines[i]).sorted().toArray();
        int[] ranks = new int[right.length];
        for (int place = 0; place < right.length; place++) {
            double cosine = right[right.length - 1 - place];
            ranks[place] = place + 1;
            for (int i = 0; i < cosines.length; i++) {
                // Ties and NaN count as lost: an encoder that gives all texts the same embedding, or NaN, finds nothing.
                ranks[place] += !ofDocuments.get(i).equals(group) && !(cosines[i] < cosine) ? 1 : 0;
            }
        }
        return ranks;
    }

    /** {@return the share of queries that have a document that answers them among the first k} */
    double recallAt(int k) {
        return Arrays.stream(ranks).filter(rank -> rank <= k).count() / (double) ranks.length;
    }

    /** {@return the mean of the queries' nDCG@10} */
    double ndcg() {
        return Arrays.stream(gains).average().orElse(Double.NaN);
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
