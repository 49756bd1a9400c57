package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseGraphVertex;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.VertexIndices;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.reflect.Field;
import java.util.Arrays;

/** A vertex without parameters whose last input is the token ids {@code [minibatch, tokens]}. */
@SuppressWarnings("overrides")
abstract class TokenVertex extends BaseGraphVertex {

    private static final long serialVersionUID = 1L;

    private static final Field WRAPPED = wrapped();

    private final int padding;

    TokenVertex(ComputationGraph graph, String name, int index, int padding, DataType type) {
        super(graph, name, index, null, null, type);
        this.padding = padding;
    }

    private static Field wrapped() {
        try {
            Field field = BaseWrapperVertex.class.getDeclaredField("underlying");
            field.setAccessible(true);
            return field;
        } catch (NoSuchFieldException e) {
            throw new IllegalStateException(e);
        }
    }

    /** {@return the vertex inside DL4J's and the library's freezing wrappers, which do not tell it} */
    static GraphVertex inside(GraphVertex vertex) {
        try {
            return vertex instanceof BaseWrapperVertex ? inside((GraphVertex) WRAPPED.get(vertex)) : vertex;
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Token ids; the other inputs have minibatch times tokens rows. */
    final INDArray checkedIds() {
        INDArray ids = inputs[inputs.length - 1];
        if (ids.rank() != 2 || ids.length() != inputs[0].size(0)) {
            throw new IllegalStateException("Vertex \"" + vertexName + "\": its last input has shape "
                    + Arrays.toString(ids.shape())
                    + ", expected token ids [minibatch, tokens] for the " + inputs[0].size(0) + " rows of its first");
        }
        return ids;
    }

    /**
     * The tokens that are no padding, by the ids and the mask of features that the network has for them.
     *
     * @throws IllegalArgumentException if a text has none
     */
    final KeptTokens kept() {
        INDArray ids = checkedIds();
        String where = "(vertex name: " + vertexName + ")";
        return KeptTokens.of(WholeNumbers.in(ids, "Token id", where), (int) ids.size(1), padding, mask(), where);
    }

    /**
     * The mask of features that the network has for the ids; null for none. Read in each pass, since DL4J does not tell a vertex
     * that masks were cleared, and hands on no mask of an input that {@link #getInputVertices} leaves out.
     */
    final INDArray mask() {
        INDArray[] masks = graph.getInputMaskArrays();
        VertexIndices[] all = super.getInputVertices();
        if (masks == null || all == null) {
            return null;
        }
        int from = all[all.length - 1].getVertexIndex();
        return graph.getVertices()[from].isInputVertex() ? masks[from] : null;
    }

    /**
     * Without the ids while inputs are set: ids get no gradient, and DL4J keeps a vertex's gradients until the first of its
     * inputs is reached, which for the ids is at the end of the backward pass.
     */
    @Override
    public final VertexIndices[] getInputVertices() {
        VertexIndices[] all = super.getInputVertices();
        return all == null || !canDoForward() ? all : Arrays.copyOf(all, all.length - 1);
    }

    @Override
    public final boolean hasLayer() {
        return false;
    }

    @Override
    public final org.deeplearning4j.nn.api.Layer getLayer() {
        return null;
    }

    @Override
    public final void setBackpropGradientsViewArray(INDArray view) {
        if (view != null) {
            throw new IllegalStateException("Vertex \"" + vertexName + "\" has no parameters, so no gradients to write");
        }
    }

    /** A mask of the ids is for {@link #kept}: rows have none of their own. The embeddings have compared it with the ids. */
    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray[] masks, MaskState state, int minibatch) {
        return null;
    }

    @Override
    public final String toString() {
        return getClass().getSimpleName() + "(\"" + vertexName + "\")";
    }
}
