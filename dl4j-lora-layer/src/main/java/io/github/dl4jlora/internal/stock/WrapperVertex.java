package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.internal.base.Replacement;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.inputs.InvalidInputTypeException;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.nd4j.linalg.api.buffer.DataType;

/** A configuration in the place of a stock vertex: to DL4J it is that vertex, except for its parameters and for what runs it. */
public abstract class WrapperVertex extends GraphVertex implements Replacement {

    private static final long serialVersionUID = 1L;

    /** As the base configures it, possibly in DL4J's own FrozenVertex. */
    protected GraphVertex origin;

    /** For Jackson, which sets the origin. */
    @SuppressWarnings("NullAway.Init")
    protected WrapperVertex() {
    }

    protected WrapperVertex(GraphVertex origin) {
        this.origin = origin;
    }

    /** {@return the vertex as the base configures it} */
    public GraphVertex getOrigin() {
        return origin;
    }

    @Override
    public GraphVertex toStockVertex() {
        return StockLayers.copy(origin);
    }

    /** {@return the stock vertex, without DL4J's freezing wrappers} */
    public GraphVertex stockVertex() {
        return StockLayers.unwrap(origin);
    }

    @Override
    public int minVertexInputs() {
        return stockVertex().minVertexInputs();
    }

    @Override
    public int maxVertexInputs() {
        return stockVertex().maxVertexInputs();
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... inputs) throws InvalidInputTypeException {
        return stockVertex().getOutputType(layerIndex, inputs);
    }

    @Override
    public MemoryReport getMemoryReport(InputType... inputTypes) {
        return stockVertex().getMemoryReport(inputTypes);
    }

    @Override
    public void setDataType(DataType dataType) {
        stockVertex().setDataType(dataType);
    }
}
