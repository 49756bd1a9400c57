package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * The largest value of a text's token vectors in each place, padding left out.
 *
 * <pre>
 * inputs  rows       [minibatch · tokens, hidden]
 *         token ids  [minibatch, tokens], with padding anywhere; the last input, as it has no gradient
 * output             [minibatch, hidden]
 * </pre>
 *
 * The gradient of a place goes to the token that has the largest value, to the first of them if there are several.
 */
public final class MaxPooling extends RowsVertex {

    /**
     * @param padding the token id that is padding
     */
    public MaxPooling(@JsonProperty("padding") int padding) {
        super(2, padding);
    }

    /** The rows of each text are copied, on both ways. */
    @Override
    public Footprint footprint(Passage passage) {
        long rows = passage.input().values();
        return new Footprint(passage.out(), rows, rows, rows);
    }

    @Override
    public MaxPooling clone() {
        return new MaxPooling(getPadding());
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new MaxPoolingRuntime(graph, name, index, getPadding(), type);
    }
}
