package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * What tokens score as the first and as the last of an answer, text by text.
 *
 * <pre>
 * inputs  scores     [minibatch · tokens, 2], as the first token and as the last
 *         token ids  [minibatch, tokens]; the last input, as it has no gradient
 * output             [minibatch, 2·tokens], scores of all tokens as the first, then as the last; padding scores {@link #NEVER}
 * </pre>
 */
public final class AnswerScores extends RowsVertex {

    /** What padding scores: e to its power is 0, and it is within the range of half precision. */
    public static final double NEVER = -3e4;

    /**
     * @param padding the token id that is padding
     */
    public AnswerScores(@JsonProperty("padding") int padding) {
        super(2, padding);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... types) {
        return types[1] instanceof InputType.InputTypeFeedForward ids ? InputType.feedForward(2 * ids.getSize()) : types[1];
    }

    /** The errors are copied. */
    @Override
    public Footprint footprint(Passage passage) {
        return new Footprint(passage.out(), 0, passage.out(), passage.input().values());
    }

    @Override
    public AnswerScores clone() {
        return new AnswerScores(getPadding());
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new AnswerScoresRuntime(graph, name, index, getPadding(), type);
    }
}
