package io.github.dl4jlora.internal.attention;

import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.jspecify.annotations.Nullable;

/**
 * What a stock layer or vertex computes.
 *
 * @param heads how many
 * @param size  of each
 */
public record AttentionForm(int heads, int size) {

    /**
     * The form of a layer; null for one that kernels do not compute. By exact types: a user's subclass may compute something
     * other than what it inherits.
     */
    public static @Nullable AttentionForm of(Layer layer) {
        return layer.getClass() == SelfAttentionLayer.class && ((SelfAttentionLayer) layer).isProjectInput()
                ? new AttentionForm(((SelfAttentionLayer) layer).getNHeads(),
                        Math.toIntExact(((SelfAttentionLayer) layer).getHeadSize())) : null;
    }

    /** As {@link #of(Layer)}. */
    public static @Nullable AttentionForm of(GraphVertex vertex) {
        return vertex.getClass() == AttentionVertex.class && ((AttentionVertex) vertex).isProjectInput()
                ? new AttentionForm(((AttentionVertex) vertex).getNHeads(),
                        Math.toIntExact(((AttentionVertex) vertex).getHeadSize())) : null;
    }

    /** Columns of a projection. */
    public long width() {
        return (long) heads * size;
    }
}
