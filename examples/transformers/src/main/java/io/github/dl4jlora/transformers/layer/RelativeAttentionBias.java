package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * Keeps what every {@link MultiHeadAttention} above it adds to its scores, by the distance of two tokens, and passes its input
 * on. Distances share values in buckets (Raffel et al. 2020, arXiv:1910.10683, section 2.1, in both directions, up to a distance
 * of 128), as in MPNet (Song et al. 2020, arXiv:2004.09297).
 *
 * <pre>
 * input, output  rows  [rows, hidden]
 * W              bias  [buckets, heads]
 * </pre>
 */
public final class RelativeAttentionBias extends MatrixConfiguration {

    /** Rows of the bias: half of them for tokens before, half for tokens after. */
    public static final int BUCKETS = 32;
    /** Key of the bias. */
    public static final String BIAS = "W";

    private static final long serialVersionUID = 1L;
    /** Distances below have a bucket of their own. */
    private static final int EXACT = BUCKETS / 4;

    private int heads;

    RelativeAttentionBias() {
        // For JSON.
    }

    /**
     * @param hidden width of the rows
     * @param heads  of each attention above
     */
    public RelativeAttentionBias(long hidden, int heads) {
        super(hidden, hidden);
        this.heads = heads;
    }

    public int getHeads() {
        return heads;
    }

    /**
     * {@return the row of the bias} Of distances of at least 8, {@code 8 + ⌊8 · log(n / 8) / log(128 / 8)⌋}, which is
     * {@code 2 + ⌊log₂ n²⌋}, up to the last bucket.
     *
     * @param distance from the token that looks to the token that is looked at; negative if that comes before
     */
    public static int bucket(int distance) {
        int n = Math.abs(distance);
        int bucket = n < EXACT ? n : (int) Math.min(BUCKETS / 2 - 1, 65 - Long.numberOfLeadingZeros((long) n * n));
        return distance > 0 ? BUCKETS / 2 + bucket : bucket;
    }

    @Override
    public Map<String, long[]> matrices() {
        return Map.of(BIAS, new long[]{BUCKETS, heads});
    }

    @Override
    void fill(Map<String, INDArray> matrices) {
        TokenEmbeddings.start(matrices.get(BIAS));
    }

    @Override
    MatrixLayer<?> runtime(NeuralNetConfiguration conf, DataType type) {
        return new KeptParameters(conf, type);
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof RelativeAttentionBias that && heads == that.heads;
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + heads;
    }
}
