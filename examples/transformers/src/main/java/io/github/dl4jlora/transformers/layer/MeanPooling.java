package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The mean of a text's token vectors, padding left out.
 *
 * <pre>
 * inputs  rows       [minibatch · tokens, hidden]
 *         token ids  [minibatch, tokens], zeros at the end are padding; the last input, as it has no gradient
 * output             [minibatch, hidden]
 * </pre>
 */
public final class MeanPooling extends RowsVertex {

    public MeanPooling() {
        super(2);
    }

    @Override
    public MeanPooling clone() {
        return new MeanPooling();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof MeanPooling;
    }

    @Override
    public int hashCode() {
        return MeanPooling.class.hashCode();
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new MeanPoolingRuntime(graph, name, index, type);
    }
}
