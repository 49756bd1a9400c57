package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Token ids beside their types, for {@link TokenEmbeddings} that are typed, since a layer has one input.
 *
 * <pre>
 * inputs  types      [minibatch, tokens], 0 for the tokens of a first text, 1 for those of a second
 *         token ids  [minibatch, tokens]
 * output             [minibatch, 2·tokens], the ids and, on their right, the types
 * </pre>
 *
 * <p>A mask of the ids goes on to the embeddings. Types have none.
 */
public final class TypedIds extends RowsVertex {

    public TypedIds() {
        super(2, 0);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... types) {
        return types[0] instanceof InputType.InputTypeFeedForward first
                && types[1] instanceof InputType.InputTypeFeedForward second
                ? InputType.feedForward(first.getSize() + second.getSize()) : types[1];
    }

    @Override
    public Footprint footprint(Passage passage) {
        return new Footprint(passage.out(), 0, 0, 0);
    }

    @Override
    public TypedIds clone() {
        return new TypedIds();
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new TypedIdsRuntime(graph, name, index, type);
    }
}
