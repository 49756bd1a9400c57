package io.github.dl4jlora.transformers.layer;

import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.ILossFunction;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Arrays;
import java.util.Objects;

/**
 * Teaches an encoder to bring a query and its document together, and apart from the other documents and queries of the batch:
 * {@code MultipleNegativesSymmetricRankingLoss} of sentence-transformers, after Henderson et al. 2017, arXiv:1705.00652, section
 * 4.4, and with the cosine and both directions of Radford et al. 2021, arXiv:2103.00020, figure 3. With S = scale · cos(q, d),
 * the loss of query i is {@code −log softmax(row i of S)[i]}, that of document i the same of column i. The batch's loss is the
 * mean over queries, or the mean of the two means of both directions.
 *
 * <pre>
 * input   embeddings  [(2 + hard negatives)·pairs, hidden]: the queries; below them, in the same order, their documents; then the
 *                     first hard negative of each query, the second of each, and so on
 * labels  groups      [(2 + hard negatives)·pairs, 1], any numbers that the data type has exactly; a pair's two are equal, and
 *                     what is of a query's group, but not its own document, is no negative of that query
 * score   of a row    such that the mean over all rows, which is DL4J's score, is the batch's loss
 * </pre>
 *
 * <pre>{@code
 * InBatchNegatives.ofTemperature(0.05)                        // scale 20, both directions
 *         .withHardNegatives(1).oneDirection()                // MultipleNegativesRankingLoss with triples
 *         .withDimensions(384, 128, 64)                       // MatryoshkaLoss around it
 * }</pre>
 *
 * <p><b>Hard negatives</b> are passages that look like answers and are none. Queries alone look for them: S has a column for
 * each, and the other direction has pairs only. <b>Groups</b> keep texts from being their own negatives: let a group be the
 * number of a document, also for hard negatives, and a document that answers two queries is a negative of neither.
 * <b>Dimensions</b> are those of Kusupati et al. 2022, arXiv:2205.13147: the loss is the weighted sum of the losses of
 * embeddings cut to their first numbers, so that an index can store the first 64 numbers alone.
 *
 * <p>A batch of one pair without hard negatives has loss 0. Losses are computed in DOUBLE, whatever the network's type. It is a
 * loss for a {@code LossLayer}.
 */
public final class InBatchNegatives implements ILossFunction {

    private static final long serialVersionUID = 1L;
    private static final double MOST = 1e4;

    private final double scale;
    private final int hardNegatives;
    private final boolean symmetric;
    private final int[] dimensions;
    private final double[] weights;

    /**
     * Both directions, no hard negatives, embeddings in full.
     *
     * @param scale of the cosines, 20 in sentence-transformers: the larger, the more the nearest negatives count
     * @throws IllegalArgumentException if it is not above 0, or above 10,000
     */
    public InBatchNegatives(double scale) {
        this(scale, 0, true, null, null);
    }

    /** What is null was not yet there when the file was written. */
    @JsonCreator
    private InBatchNegatives(@JsonProperty("scale") double scale, @JsonProperty("hardNegatives") int hardNegatives,
                             @JsonProperty("symmetric") Boolean symmetric, @JsonProperty("dimensions") int[] dimensions,
                             @JsonProperty("weights") double[] weights) {
        if (!(scale > 0 && scale <= MOST)) {
            throw new IllegalArgumentException("scale is " + scale + ", but must be above 0, and at most 10,000; 20 is usual");
        }
        if (hardNegatives < 0) {
            throw new IllegalArgumentException("hardNegatives is " + hardNegatives + ", but must be 0 or more: the number of "
                    + "hard negatives of each query");
        }
        this.scale = scale;
        this.hardNegatives = hardNegatives;
        this.symmetric = !Boolean.FALSE.equals(symmetric);
        this.dimensions = dimensions == null ? new int[0] : dimensions.clone();
        this.weights = weights == null ? ones(this.dimensions.length) : weights.clone();
        requireDimensions();
    }

    private static double[] ones(int length) {
        double[] ones = new double[length];
        Arrays.fill(ones, 1);
        return ones;
    }

    private void requireDimensions() {
        if (weights.length != dimensions.length) {
            throw new IllegalArgumentException("There are " + dimensions.length + " dimensions, " + Arrays.toString(dimensions)
                    + ", but " + weights.length + " weights, " + Arrays.toString(weights) + ": give a weight for each");
        }
        for (int i = 0; i < dimensions.length; i++) {
            if (dimensions[i] < 1 || !(weights[i] > 0 && weights[i] <= MOST)) {
                throw new IllegalArgumentException("dimensions are " + Arrays.toString(dimensions) + " and their weights "
                        + Arrays.toString(weights) + ", but dimensions must be 1 or more, and weights above 0, and at most "
                        + "10,000");
            }
        }
    }

    /**
     * The loss of scale 1/temperature.
     *
     * @param temperature 0.05 in sentence-transformers, 0.01 to 0.02 for E5 and BGE
     * @throws IllegalArgumentException if it is below 0.0001, or not a finite number
     */
    public static InBatchNegatives ofTemperature(double temperature) {
        if (!(1 / temperature > 0 && 1 / temperature <= MOST)) {
            throw new IllegalArgumentException("temperature is " + temperature + ", but must be at least 0.0001, and finite; "
                    + "0.05 is usual");
        }
        return new InBatchNegatives(1 / temperature);
    }

    /**
     * The same with hard negatives.
     *
     * @param perQuery how many blocks of rows come below those of the documents
     * @throws IllegalArgumentException if it is below 0
     */
    public InBatchNegatives withHardNegatives(int perQuery) {
        return new InBatchNegatives(scale, perQuery, symmetric, dimensions, weights);
    }

    /** The same, but only queries look for documents: {@code MultipleNegativesRankingLoss} of sentence-transformers. */
    public InBatchNegatives oneDirection() {
        return new InBatchNegatives(scale, hardNegatives, false, dimensions, weights);
    }

    /**
     * The sum of losses of embeddings that are cut to their first numbers, each with weight 1: {@code MatryoshkaLoss} of
     * sentence-transformers around this loss. The full length counts only if it is one of them.
     *
     * @param lengths in numbers; none for embeddings in full
     * @throws IllegalArgumentException if one is below 1
     */
    public InBatchNegatives withDimensions(int... lengths) {
        return new InBatchNegatives(scale, hardNegatives, symmetric, lengths, null);
    }

    /**
     * The weighted sum of losses of embeddings that are cut to their first numbers.
     *
     * @param lengths   in numbers
     * @param ofLengths their weights
     * @throws IllegalArgumentException if a length is below 1, a weight not above 0, or if there are not as many of either
     */
    public InBatchNegatives withDimensions(int[] lengths, double[] ofLengths) {
        return new InBatchNegatives(scale, hardNegatives, symmetric, lengths, Objects.requireNonNull(ofLengths));
    }

    public double getScale() {
        return scale;
    }

    public int getHardNegatives() {
        return hardNegatives;
    }

    public boolean isSymmetric() {
        return symmetric;
    }

    /** {@return the lengths to which embeddings are cut; none if they are taken in full} */
    public int[] getDimensions() {
        return dimensions.clone();
    }

    /** {@return what the loss of each length counts} */
    public double[] getWeights() {
        return weights.clone();
    }

    /** What is added up: a loss of embeddings of some length, and what it counts. */
    @FunctionalInterface
    private interface Term {

        void add(ContrastiveBatch batch, int length, double factor);
    }

    private void forEachLength(INDArray labels, INDArray embeddings, INDArray mask, Term term) {
        if (mask != null) {
            throw new IllegalArgumentException("This loss takes no mask: leave out the pairs that should not count");
        }
        double[] groups = TextGroups.of(labels, embeddings, hardNegatives);
        int pairs = groups.length / (2 + hardNegatives);
        // DL4J divides by all rows.
        double factor = (double) groups.length / (pairs * (symmetric ? 2L : 1L));
        INDArray exact = embeddings.castTo(DataType.DOUBLE);
        int hidden = (int) embeddings.size(1);
        for (int dimension : dimensions) {
            if (dimension > hidden) {
                throw new IllegalArgumentException("The loss cuts embeddings to " + dimension + " numbers, but they have "
                        + hidden + ": give dimensions of at most that");
            }
        }
        for (int i = 0; i < Math.max(dimensions.length, 1); i++) {
            int length = dimensions.length == 0 ? hidden : dimensions[i];
            INDArray cut = length == hidden ? exact
                    : exact.get(NDArrayIndex.all(), NDArrayIndex.interval(0, length)).dup('c');
            term.add(new ContrastiveBatch(cut, groups, pairs, scale, symmetric), length,
                    dimensions.length == 0 ? factor : factor * weights[i]);
        }
    }

    @Override
    public double computeScore(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask, boolean average) {
        double sum = scores(labels, preOutput, activation, mask).sumNumber().doubleValue();
        return average ? sum / preOutput.size(0) : sum;
    }

    /** {@return the share of each row in the loss, {@code [(2 + hard negatives)·pairs, 1]}; that of hard negatives is 0} */
    @Override
    public INDArray computeScoreArray(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        return scores(labels, preOutput, activation, mask).castTo(preOutput.dataType());
    }

    private INDArray scores(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        INDArray scores = Nd4j.zeros(DataType.DOUBLE, preOutput.size(0), 1);
        forEachLength(labels, activation.getActivation(preOutput.dup(), true), mask,
                (batch, length, factor) -> scores.addi(batch.losses().muli(factor)));
        return scores;
    }

    @Override
    public INDArray computeGradient(INDArray labels, INDArray preOutput, IActivation activation, INDArray mask) {
        INDArray gradient = Nd4j.zeros(DataType.DOUBLE, preOutput.shape());
        forEachLength(labels, activation.getActivation(preOutput.dup(), true), mask,
                (batch, length, factor) -> add(batch, length, factor, gradient));
        return back(gradient, preOutput, activation);
    }

    private static void add(ContrastiveBatch batch, int length, double factor, INDArray gradient) {
        gradient.get(NDArrayIndex.all(), NDArrayIndex.interval(0, length)).addi(batch.gradient().muli(factor));
    }

    private static INDArray back(INDArray gradient, INDArray preOutput, IActivation activation) {
        return activation.backprop(preOutput.dup(), gradient.castTo(preOutput.dataType())).getFirst();
    }

    @Override
    public Pair<Double, INDArray> computeGradientAndScore(INDArray labels, INDArray preOutput, IActivation activation,
                                                          INDArray mask, boolean average) {
        INDArray gradient = Nd4j.zeros(DataType.DOUBLE, preOutput.shape());
        double[] sum = new double[1];
        forEachLength(labels, activation.getActivation(preOutput.dup(), true), mask, (batch, length, factor) -> {
            sum[0] += batch.losses().sumNumber().doubleValue() * factor;
            add(batch, length, factor, gradient);
        });
        return new Pair<>(average ? sum[0] / preOutput.size(0) : sum[0], back(gradient, preOutput, activation));
    }

    @Override
    public String name() {
        return toString();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof InBatchNegatives that && scale == that.scale && hardNegatives == that.hardNegatives
                && symmetric == that.symmetric && Arrays.equals(dimensions, that.dimensions)
                && Arrays.equals(weights, that.weights);
    }

    @Override
    public int hashCode() {
        return Objects.hash(scale, hardNegatives, symmetric, Arrays.hashCode(dimensions), Arrays.hashCode(weights));
    }

    @Override
    public String toString() {
        return "InBatchNegatives(scale=" + scale + (hardNegatives == 0 ? "" : ", hardNegatives=" + hardNegatives)
                + (symmetric ? "" : ", oneDirection") + (dimensions.length == 0 ? ""
                : ", dimensions=" + Arrays.toString(dimensions) + ", weights=" + Arrays.toString(weights)) + ")";
    }
}
