package io.github.dl4jlora.frozen;

import io.github.dl4jlora.internal.base.Replacement;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.frozen.FrozenParameters;
import io.github.dl4jlora.internal.frozen.FrozenPart;
import io.github.dl4jlora.internal.frozen.FrozenVertexRuntime;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.inputs.InvalidInputTypeException;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Objects;

/**
 * A vertex of the base network that is no layer, frozen: one with parameters (AttentionVertex), or one without below
 * which nothing trains. {@link FrozenBaseLayer} for vertices.
 */
public final class FrozenBaseVertex extends GraphVertex implements Replacement {

    private static final long serialVersionUID = 1L;

    private final GraphVertex origin;
    private final boolean stopsGradient;
    private final FrozenReference frozen;

    /**
     * Freezes a vertex of a base.
     *
     * @param origin        the vertex as the base configures it, possibly in DL4J's own FrozenVertex
     * @param stopsGradient true where nothing upstream trains
     * @param frozen        its parameters; null if it has none, or if they stay inside the vector
     */
    public FrozenBaseVertex(@JsonProperty("origin") GraphVertex origin, @JsonProperty("stopsGradient") boolean stopsGradient,
                            @JsonProperty("frozen") FrozenReference frozen) {
        this.origin = origin;
        this.stopsGradient = stopsGradient;
        this.frozen = frozen;
    }

    /** {@return the vertex as the base configures it} */
    public GraphVertex getOrigin() {
        return origin;
    }

    @Override
    public GraphVertex toStockVertex() {
        return StockLayers.copy(origin);
    }

    /** {@return whether backpropagation ends here; for Jackson} */
    public boolean isStopsGradient() {
        return stopsGradient;
    }

    @Override
    public boolean endsBackpropagation() {
        return stopsGradient;
    }

    @Override
    public FrozenReference getFrozen() {
        return frozen;
    }

    private GraphVertex inner() {
        return StockLayers.unwrap(origin);
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        FrozenParameters parameters = FrozenParameters.of(frozen, name, type, inner().numParams(true), view,
                !StockLayers.isKnown(inner()));
        return FrozenVertexRuntime.of(new FrozenPart<>(parameters, (values, fresh) ->
                inner().instantiate(graph, name, index, values, fresh, type), initialize), stopsGradient);
    }

    @Override
    public GraphVertex clone() {
        return new FrozenBaseVertex(StockLayers.copy(origin), stopsGradient, frozen);
    }

    @Override
    public long numParams(boolean backprop) {
        return frozen == null ? inner().numParams(backprop) : 0;
    }

    @Override
    public int minVertexInputs() {
        return inner().minVertexInputs();
    }

    @Override
    public int maxVertexInputs() {
        return inner().maxVertexInputs();
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... inputs) throws InvalidInputTypeException {
        return inner().getOutputType(layerIndex, inputs);
    }

    @Override
    public MemoryReport getMemoryReport(InputType... inputTypes) {
        return inner().getMemoryReport(inputTypes);
    }

    @Override
    public void setDataType(DataType dataType) {
        inner().setDataType(dataType);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof FrozenBaseVertex that && stopsGradient == that.stopsGradient
                && origin.equals(that.origin) && Objects.equals(frozen, that.frozen);
    }

    @Override
    public int hashCode() {
        return Objects.hash(origin, stopsGradient, frozen);
    }
}
