package io.github.dl4jlora.frozen;

import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import io.github.dl4jlora.internal.stock.TrainedReplacement;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.WrapperVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/** {@link TrainedSameDiffLayer} for a vertex that is no layer: an {@code AttentionVertex}, for one. */
public final class TrainedSameDiffVertex extends WrapperVertex implements TrainedReplacement.OfVertex {

    private static final long serialVersionUID = 1L;

    /**
     * Trains a vertex of a base in full.
     *
     * @param origin the vertex as the base configures it, with the updater that it trains with
     */
    public TrainedSameDiffVertex(@JsonProperty("origin") GraphVertex origin) {
        super(origin);
    }

    // As inherited; japicmp looks for the interface's methods in this class alone.
    @Override
    public GraphVertex getOrigin() {
        return origin;
    }

    @Override
    public TrainedSameDiffVertex clone() {
        return new TrainedSameDiffVertex(StockLayers.copy(origin));
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new Runtime(origin.instantiate(graph, name, index, view, initialize, type));
    }

    @Override
    public long numParams(boolean backprop) {
        return origin.numParams(backprop);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof TrainedSameDiffVertex that && origin.equals(that.origin);
    }

    @Override
    public int hashCode() {
        return origin.hashCode();
    }

    private static final class Runtime extends BaseWrapperVertex {

        private final SameDiffBackprop sameDiff = new SameDiffBackprop();

        Runtime(org.deeplearning4j.nn.graph.vertex.GraphVertex stock) {
            super(stock);
        }

        @Override
        public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
            return sameDiff.of(underlying, underlying.getEpsilon(), corrected -> {
                underlying.setEpsilon(corrected);
                return underlying.doBackward(tbptt, workspaces);
            });
        }

        @Override
        public void clear() {
            SameDiffBackprop.clear(underlying);
        }

        @Override
        public void clearVertex() {
            SameDiffBackprop.clearVertex(underlying);
        }
    }
}
