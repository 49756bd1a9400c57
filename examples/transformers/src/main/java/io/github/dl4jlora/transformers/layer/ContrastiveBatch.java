package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The loss of {@link InBatchNegatives} on the embeddings of one batch, and its gradient. All in DOUBLE: beside an encoder it
 * costs next to nothing.
 */
final class ContrastiveBatch {

    /** Less than any cosine times a scale; softmax makes an exact 0 of it. */
    private static final double NEVER = -1e30;
    /** A vector of length 0 has cosine 0 to all, and no gradient. */
    private static final double SHORTEST = 1e-12;

    private final int pairs;
    private final double scale;
    /** {@code [rows, hidden]}, of length 1. */
    private final INDArray unit;
    /** Of the embeddings, {@code [rows, 1]}. */
    private final INDArray lengths;
    /** Logarithms of the softmax, {@code [query, document or hard negative]}. */
    private final INDArray ofQueries;
    /** The same the other way, {@code [document, query]}; null if queries alone look for documents. */
    private final INDArray ofDocuments;

    /**
     * @param embeddings {@code [rows, hidden]}: queries, their documents, and their first, second and further hard negatives
     * @param groups     of the rows
     */
    ContrastiveBatch(INDArray embeddings, double[] groups, int pairs, double scale, boolean symmetric) {
        this.pairs = pairs;
        this.scale = scale;
        lengths = Transforms.max(embeddings.norm2(true, 1), SHORTEST, false);
        unit = embeddings.divColumnVector(lengths);
        INDArray scores = Nd4j.gemm(queries(), candidates(), false, true).muli(scale);
        leaveOut(scores, groups, pairs);
        ofQueries = Nd4j.nn().logSoftmax(scores.dup('c'), 1);
        ofDocuments = symmetric ? Nd4j.nn().logSoftmax(ofPairs(scores).transpose().dup('c'), 1) : null;
    }

    private INDArray queries() {
        return rows(unit, 0, pairs);
    }

    private INDArray candidates() {
        return rows(unit, pairs, unit.size(0));
    }

    private static INDArray rows(INDArray matrix, long from, long to) {
        return matrix.get(NDArrayIndex.interval(from, to), NDArrayIndex.all()).dup('c');
    }

    private INDArray ofPairs(INDArray scores) {
        return scores.get(NDArrayIndex.all(), NDArrayIndex.interval(0, pairs));
    }

    /** Of a query and a candidate of one group, that are not a pair. */
    private static void leaveOut(INDArray scores, double[] groups, int pairs) {
        Map<Double, List<Integer>> queries = new HashMap<>();
        for (int query = 0; query < pairs; query++) {
            queries.computeIfAbsent(key(groups[query]), group -> new ArrayList<>()).add(query);
        }
        for (int candidate = 0; candidate < groups.length - pairs; candidate++) {
            for (int query : queries.getOrDefault(key(groups[pairs + candidate]), List.of())) {
                if (query != candidate) {
                    scores.putScalar(query, candidate, NEVER);
                }
            }
        }
    }

    /** One for 0 and -0. */
    private static double key(double group) {
        return group + 0.0;
    }

    /** {@return the loss of each query and, if they look for queries, of each document; 0 for other rows; {@code [rows, 1]}} */
    INDArray losses() {
        INDArray losses = Nd4j.zeros(unit.dataType(), unit.size(0), 1);
        for (int pair = 0; pair < pairs; pair++) {
            losses.putScalar(pair, 0, -ofQueries.getDouble(pair, pair));
            if (ofDocuments != null) {
                losses.putScalar(pairs + pair, 0, -ofDocuments.getDouble(pair, pair));
            }
        }
        return losses;
    }

    /** {@return the gradient of the sum of all losses with respect to the embeddings, {@code [rows, hidden]}} */
    INDArray gradient() {
        // The gradient of −log softmax(s)[i] is softmax(s), minus 1 at i; a score of a pair's is in a row and in a column.
        INDArray ofScores = Transforms.exp(ofQueries, true);
        if (ofDocuments != null) {
            ofPairs(ofScores).addi(Transforms.exp(ofDocuments, true).transpose());
        }
        double matches = ofDocuments == null ? 1 : 2;
        for (int pair = 0; pair < pairs; pair++) {
            ofScores.putScalar(pair, pair, ofScores.getDouble(pair, pair) - matches);
        }
        ofScores.muli(scale);
        INDArray ofUnit = Nd4j.concat(0, Nd4j.gemm(ofScores, candidates(), false, false),
                Nd4j.gemm(ofScores, queries(), true, false));
        // A change along a vector does not change its cosines.
        INDArray along = unit.mul(ofUnit).sum(true, 1);
        INDArray gradient = ofUnit.subi(unit.mulColumnVector(along)).diviColumnVector(lengths);
        for (long row = 0; row < lengths.length(); row++) {
            if (lengths.getDouble(row) <= SHORTEST) {
                gradient.getRow(row).assign(0);
            }
        }
        return gradient;
    }
}
