package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * Scaled dot-product attention in several heads (Vaswani et al. 2017, arXiv:1706.03762), without weights of its own:
 * for every text and head {@code O = softmax(Q·Kᵀ / √d) · V}, d = hidden / heads, tokens that are padding left out of the
 * softmax.
 *
 * <pre>
 * inputs  Q, K, V    [minibatch · tokens, hidden], head h in columns h·d to (h+1)·d
 *         token ids  [minibatch, tokens], zeros at the end are padding; the last input, as it has no gradient
 * output  O          [minibatch · tokens, hidden]
 * </pre>
 */
public final class MultiHeadAttention extends RowsVertex {

    private final int heads;

    public MultiHeadAttention(@JsonProperty("heads") int heads) {
        super(4);
        this.heads = heads;
    }

    public int getHeads() {
        return heads;
    }

    @Override
    public MultiHeadAttention clone() {
        return new MultiHeadAttention(heads);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof MultiHeadAttention that && heads == that.heads;
    }

    @Override
    public int hashCode() {
        return heads;
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new MultiHeadAttentionRuntime(graph, name, index, heads, type);
    }
}
