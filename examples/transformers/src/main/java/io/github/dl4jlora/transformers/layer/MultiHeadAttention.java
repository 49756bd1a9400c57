package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonInclude;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.List;
import java.util.Objects;

/**
 * Scaled dot-product attention in several heads (Vaswani et al. 2017, arXiv:1706.03762), without weights of its own: for every
 * text and head {@code O = softmax(Q·Kᵀ / √d) · V}, d = hidden / heads, where the softmax leaves out padding and, if it is
 * causal, later tokens. With a {@link RelativeAttentionBias}, the softmax is that of {@code Q·Kᵀ / √d + bias}.
 *
 * <pre>
 * inputs  Q, K, V    [minibatch · tokens, hidden], head h in columns h·d to (h+1)·d; or, joint, one input that has the three
 *                    side by side, [minibatch · tokens, 3 · hidden]
 *         token ids  [minibatch, tokens], with padding anywhere; the last input, as it has no gradient
 * output  O          [minibatch · tokens, hidden]
 * </pre>
 *
 * <p>Padding is where the ids are the padding id, or where the mask of features of these ids is 0. Memory grows with the number
 * of tokens, not with its square.
 */
public final class MultiHeadAttention extends RowsVertex {

    private final int heads;
    private final boolean causal;
    private final boolean joint;
    private final String bias;

    /**
     * @param causal  whether a token sees only itself and those before it
     * @param joint   whether queries, keys and values come as one input
     * @param padding the token id that is padding
     */
    public MultiHeadAttention(int heads, boolean causal, boolean joint, int padding) {
        this(heads, causal, joint, padding, null);
    }

    /**
     * @param causal  whether a token sees only itself and those before it
     * @param joint   whether queries, keys and values come as one input
     * @param padding the token id that is padding
     * @param bias    the name of the {@link RelativeAttentionBias}, which must be below the inputs; null for none
     */
    @JsonCreator
    public MultiHeadAttention(@JsonProperty("heads") int heads, @JsonProperty("causal") boolean causal,
                              @JsonProperty("joint") boolean joint, @JsonProperty("padding") int padding,
                              @JsonProperty("bias") String bias) {
        super(joint ? 2 : 4, padding);
        this.heads = heads;
        this.causal = causal;
        this.joint = joint;
        this.bias = bias;
    }

    public int getHeads() {
        return heads;
    }

    public boolean isCausal() {
        return causal;
    }

    public boolean isJoint() {
        return joint;
    }

    /**
     * {@return how many scores are in memory at a time, whatever the minibatch}
     *
     * @param tokens   of the longest text, padding included
     * @param training whether there are gradients too
     */
    long scoresInMemory(int tokens, boolean training) {
        return (training ? 2 : 1) * BlockwiseAttention.scores(heads, tokens, causal);
    }

    /** {@return the name of the layer that has what is added to scores by distance; null for none} */
    @JsonInclude(JsonInclude.Include.NON_NULL)
    public String getBias() {
        return bias;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... types) {
        return joint && types[0] instanceof InputType.InputTypeFeedForward wide ? InputType.feedForward(wide.getSize() / 3)
                : types[0];
    }

    /** {@return a row for each token} */
    @Override
    public long rows(List<Rows> all) {
        return all.get(0).number();
    }

    /** {@return its output, some blocks of scores, and gradients of queries, keys and values} */
    @Override
    public Footprint footprint(Passage passage) {
        List<Rows> projected = passage.inputs().subList(0, inputsInBackward(passage.inputs().size()));
        int tokens = (int) passage.inputs().get(projected.size()).rowLength();
        // Dense layers give few rows column by column, gradients too; attention makes a copy of these.
        long copied = projected.stream().filter(rows -> DenseArithmetic.resultOrder(rows.number(), rows.rowLength()) == 'f')
                .mapToLong(Rows::values).sum();
        long rows = projected.get(0).number();
        long copiedGradient = DenseArithmetic.resultOrder(rows, passage.out() / rows) == 'f' ? passage.out() : 0;
        return new Footprint(0, copied + scoresInMemory(tokens, false),
                copied + copiedGradient + scoresInMemory(tokens, true),
                projected.stream().mapToLong(Rows::values).sum()).passing(passage.out());
    }

    @Override
    public MultiHeadAttention clone() {
        return new MultiHeadAttention(heads, causal, joint, getPadding(), bias);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof MultiHeadAttention that && heads == that.heads && causal == that.causal && joint == that.joint
                && getPadding() == that.getPadding() && Objects.equals(bias, that.bias);
    }

    @Override
    public int hashCode() {
        return Objects.hash(heads, causal, joint, getPadding(), bias);
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new MultiHeadAttentionRuntime(graph, name, index, this, type);
    }
}
