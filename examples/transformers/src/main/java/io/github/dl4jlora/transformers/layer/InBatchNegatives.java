package io.github.dl4jlora.transformers.layer;

import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.ILossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Arrays;

/**
 * Teaches an encoder to bring a query and its document together, and apart from the other documents and queries of the batch:
 * {@code MultipleNegativesSymmetricRankingLoss} of sentence-transformers, after Henderson et al. 2017, arXiv:1705.00652, section
 * 4.4, and with the cosine and both directions of Radford et al. 2021, arXiv:2103.00020, figure 3. With S = scale · cos(q, d),
 * the loss of query i is {@code −log softmax(row i of S)[i]}, that of document i the same of column i.
 *
 * <pre>
 * input   embeddings  [2·pairs, hidden], the queries and, below them, in the same order, their documents
 * labels  groups      [2·pairs, 1], any numbers; a pair's two are equal, and pairs of one group are not negatives of each other
 * score   of a row    the loss of that query or document; their mean is sentence-transformers' loss
 * </pre>
 *
 * <p>The mean is that of DL4J, which divides score and gradient by the rows of a batch. A batch of one pair has loss 0.
 */
public final class InBatchNegatives implements ILossFunction {

    private static final long serialVersionUID = 1L;

    /** Less than any cosine can be, also once multiplied by a scale, and within the range of half precision. */
    private static final double NEVER = -3e4;
    private static final double MOST = 1e4;
    /** A vector of length 0 has cosine 0 to all, and no gradient that would break the rest. */
    private static final double SHORTEST = 1e-12;

    private final double scale;

    /**
     * @param scale of the cosines, 20 in sentence-transformers: the larger, the more the nearest negatives count
     * @throws IllegalArgumentException if it is not above 0, or above 10,000
     */
    public InBatchNegatives(@JsonProperty("scale") double scale) {
        if (!(scale > 0 && scale <= MOST)) {
            throw new IllegalArgumentException("scale is " + scale + ", but must be above 0, and at most 10,000; 20 is usual");
        }
        this.scale = scale;
    }

    public double getScale() {
        return scale;
    }

    /**
     * Intermediate values of a batch.
     *
     * @param queries     {@code [pairs, hidden]}, of length 1
     * @param documents   {@code [pairs, hidden]}, of length 1
     * @param lengths     of the embeddings, {@code [2·pairs, 1]}
     * @param ofQueries   logarithms of the softmax, {@code [query, document]}
     * @param ofDocuments the same the other way, {@code [document, query]}
     */
    private record Batch(INDArray queries, INDArray documents, INDArray lengths, INDArray ofQueries, INDArray ofDocuments) {
    }

    private Batch batch(INDArray labels, INDArray embeddings, INDArray mask) {
        requirePairs(labels, embeddings, mask);
        int pairs = (int) (embeddings.size(0) / 2);
        INDArray lengths = Transforms.max(embeddings.norm2(true, 1), SHORTEST, false);
        INDArray unit = embeddings.divColumnVector(lengths);
        INDArray queries = unit.get(NDArrayIndex.interval(0, pairs), NDArrayIndex.all());
        INDArray documents = unit.get(NDArrayIndex.interval(pairs, 2L * pairs), NDArrayIndex.all());
        INDArray scores = queries.mmul(documents.transpose()).muli(scale).addi(leftOut(labels, pairs)
                .castTo(embeddings.dataType()));
        return new Batch(queries, documents, lengths, Nd4j.nn().logSoftmax(scores.dup('c'), 1),
                Nd4j.nn().logSoftmax(scores.transpose().dup('c'), 1));
    }

    /** {@link #NEVER} where a query and a document are of one group, but not of one pair. */
    private static INDArray leftOut(INDArray labels, int pairs) {
        double[] groups = labels.dup('c').reshape(labels.length()).toDoubleVector();
        double[][] added = new double[pairs][pairs];
        for (int i = 0; i < pairs; i++) {
            for (int j = 0; j < pairs; j++) {
                added[i][j] = i != j && groups[i] == groups[j] ? NEVER : 0;
            }
        }
        return Nd4j.createFromArray(added);
    }

    private static void requirePairs(INDArray labels, INDArray embeddings, INDArray mask) {
        if (mask != null) {
            throw new IllegalArgumentException("This loss takes no mask: leave out the pairs that should not count");
        }
        long rows = embeddings.size(0);
        if (embeddings.rank() != 2 || rows % 2 != 0 || labels.size(0) != rows || labels.length() != rows) {
            throw new IllegalArgumentException("Embeddings of shape " + Arrays.toString(embeddings.shape())
                    + " and groups of shape " + Arrays.toString(labels.shape())
                    + ", but they must be [2·pairs, hidden], queries above their documents, and [2·pairs, 1]");
        }
        for (long i = 0; i < rows / 2; i++) {
            double query = labels.getDouble(i);
            double document = labels.getDouble(rows / 2 + i);
            if (query != document) {
                throw new IllegalArgumentException("Query " + i + " is of group " + query + ", but its document, "
                        + "row " + (rows / 2 + i) + ", is of group " + document + ": give both the same group, and keep "
                        + "documents in the order of their queries");
            }
        }
    }

    @Override
    public double computeScore(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask, boolean average) {
        double sum = computeScoreArray(labels, preOutput, activation, mask).sumNumber().doubleValue();
        return average ? sum / preOutput.size(0) : sum;
    }

    /** {@return the loss of each row, {@code [2·pairs, 1]}} */
    @Override
    public INDArray computeScoreArray(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        return scores(batch(labels, activation.getActivation(preOutput.dup(), true), mask));
    }

    private static INDArray scores(Batch batch) {
        INDArray both = Nd4j.concat(0, Nd4j.diag(batch.ofQueries), Nd4j.diag(batch.ofDocuments)).negi();
        return both.reshape(both.length(), 1);
    }

    @Override
    public INDArray computeGradient(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        Batch batch = batch(labels, activation.getActivation(preOutput.dup(), true), mask);
        return activation.backprop(preOutput.dup(), gradient(batch)).getFirst();
    }

    /** With respect to the embeddings, of the sum over all rows. */
    private INDArray gradient(Batch batch) {
        // The gradient of −log softmax(s)[i] is softmax(s), minus 1 at i; each score is in a row and in a column.
        INDArray ofScores = Transforms.exp(batch.ofQueries, true).addi(Transforms.exp(batch.ofDocuments, true).transpose())
                .subi(Nd4j.eye(batch.queries.size(0)).castTo(batch.queries.dataType()).muli(2)).muli(scale);
        INDArray unit = Nd4j.concat(0, batch.queries, batch.documents);
        INDArray ofUnit = Nd4j.concat(0, ofScores.mmul(batch.documents), ofScores.transpose().mmul(batch.queries));
        // A change along a vector does not change its cosines.
        INDArray along = unit.mul(ofUnit).sum(true, 1);
        return ofUnit.subi(unit.mulColumnVector(along)).diviColumnVector(batch.lengths);
    }

    @Override
    public Pair<Double, INDArray> computeGradientAndScore(INDArray labels, INDArray preOutput, IActivation activation,
                                                          INDArray mask, boolean average) {
        return new Pair<>(computeScore(labels, preOutput, activation, mask, average),
                computeGradient(labels, preOutput, activation, mask));
    }

    @Override
    public String name() {
        return toString();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof InBatchNegatives that && scale == that.scale;
    }

    @Override
    public int hashCode() {
        return Double.hashCode(scale);
    }

    @Override
    public String toString() {
        return "InBatchNegatives(scale=" + scale + ")";
    }
}
