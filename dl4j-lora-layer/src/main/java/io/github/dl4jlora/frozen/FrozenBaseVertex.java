package io.github.dl4jlora.frozen;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.frozen.FrozenParameters;
import io.github.dl4jlora.internal.frozen.FrozenVertexRuntime;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.WrapperVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.util.Objects;

/**
 * A vertex of the base network that is no layer, frozen: one with parameters (AttentionVertex), or one without, below which
 * nothing trains, or of which DL4J's clone would lose settings (MergeVertex). {@link FrozenBaseLayer} for vertices.
 */
public final class FrozenBaseVertex extends WrapperVertex {

    private static final long serialVersionUID = 1L;

    private final boolean stopsGradient;
    private final @Nullable FrozenReference frozen;

    /**
     * Freezes a vertex of a base.
     *
     * @param origin        the vertex as the base configures it, possibly in DL4J's own FrozenVertex
     * @param stopsGradient true where nothing upstream trains
     * @param frozen        its parameters; null if it has none, or if they stay inside the vector
     */
    public FrozenBaseVertex(@JsonProperty("origin") GraphVertex origin, @JsonProperty("stopsGradient") boolean stopsGradient,
                            @JsonProperty("frozen") @Nullable FrozenReference frozen) {
        super(origin);
        this.stopsGradient = stopsGradient;
        this.frozen = frozen;
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
    public @Nullable FrozenReference getFrozen() {
        return frozen;
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        FrozenParameters parameters = FrozenParameters.of(frozen, name, type, stockVertex().numParams(true), view,
                !StockLayers.isKnown(stockVertex()), FrozenLayers.takesQuantized(stockVertex(), type));
        return FrozenVertexRuntime.of(stockVertex(), graph, parameters, (values, fresh) ->
                stockVertex().instantiate(graph, name, index, values, fresh, type), initialize, stopsGradient);
    }

    @Override
    public GraphVertex clone() {
        return new FrozenBaseVertex(StockLayers.copy(origin), stopsGradient, frozen);
    }

    @Override
    public long numParams(boolean backprop) {
        return frozen == null ? stockVertex().numParams(backprop) : 0;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof FrozenBaseVertex that && stopsGradient == that.stopsGradient
                && origin.equals(that.origin) && Objects.equals(frozen, that.frozen);
    }

    @Override
    public int hashCode() {
        return Objects.hash(origin, stopsGradient, frozen);
    }
}
