package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Rows;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;

/**
 * The vectors of some tokens of each text, so that the layers above do not compute all others.
 *
 * <pre>
 * inputs  rows       [minibatch · tokens, hidden]
 *         positions  [minibatch, k], counted from 0 in each text; the same may occur twice
 *         token ids  [minibatch, tokens]; the last input, as it has no gradient
 * output             [minibatch · k, hidden]
 * </pre>
 */
public final class PickedRows extends RowsVertex {

    public PickedRows() {
        super(3, 0);
    }

    /** {@return a row for each position} */
    @Override
    public long rows(List<Rows> all) {
        return all.get(1).values();
    }

    @Override
    public PickedRows clone() {
        return new PickedRows();
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new PickedRowsRuntime(graph, name, index, getPadding(), null, type);
    }
}
