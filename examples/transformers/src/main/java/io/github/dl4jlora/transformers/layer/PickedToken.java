package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Objects;

/**
 * The vector of one token of each text.
 *
 * <pre>
 * inputs  rows       [minibatch · tokens, hidden]
 *         token ids  [minibatch, tokens], with padding anywhere; the last input, as it has no gradient
 * output             [minibatch, hidden]
 * </pre>
 */
public final class PickedToken extends RowsVertex {

    /** Which token. */
    public enum Which {
        /** BERT's [CLS]. */
        FIRST,
        /** The last that has another id than padding: what GPT-2's classifier reads. */
        LAST,
        /** The last that is kept: by the mask of the token ids, or, without one, that has another id than padding. */
        LAST_KEPT
    }

    private final Which which;

    /**
     * @param padding the token id that is padding
     */
    public PickedToken(@JsonProperty("which") Which which, @JsonProperty("padding") int padding) {
        super(2, padding);
        this.which = which;
    }

    public Which getWhich() {
        return which;
    }

    @Override
    public PickedToken clone() {
        return new PickedToken(which, getPadding());
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && which == ((PickedToken) other).which;
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), which);
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new PickedRowsRuntime(graph, name, index, getPadding(), which, type);
    }
}
