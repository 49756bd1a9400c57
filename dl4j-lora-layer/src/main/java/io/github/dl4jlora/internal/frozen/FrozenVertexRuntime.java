package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.attention.AttentionKernels;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.impl.FrozenVertex;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/** Runs a stock vertex as a frozen one that passes gradients through, as {@link FrozenRuntime} does for layers. */
public final class FrozenVertexRuntime extends BaseWrapperVertex implements Disableable {

    private final FrozenPart<GraphVertex> part;

    private FrozenVertexRuntime(FrozenPart<GraphVertex> part) {
        super(part.stock());
        this.part = part;
    }

    /**
     * Makes the runtime of a frozen vertex, with this library's arithmetic in place of the stock vertex's if there is any.
     *
     * @param vertex     its configuration in the base
     * @param builder    makes the stock vertex
     * @param initialize whether values inside the vector get a fresh start
     * @param stops      whether backpropagation ends here, since nothing upstream trains
     */
    public static GraphVertex of(org.deeplearning4j.nn.conf.graph.GraphVertex vertex, ComputationGraph graph,
                                 FrozenParameters parameters, FrozenPart.Builder<GraphVertex> builder, boolean initialize,
                                 boolean stops) {
        FrozenPart<GraphVertex> part = new FrozenPart<>(parameters, (values, fresh) ->
                into(vertex, builder.build(values, fresh), graph, parameters, stops), initialize);
        FrozenVertexRuntime runtime = new FrozenVertexRuntime(part);
        return stops ? new Stopped(runtime) : runtime;
    }

    private static GraphVertex into(org.deeplearning4j.nn.conf.graph.GraphVertex vertex, GraphVertex stock,
                                    ComputationGraph graph, FrozenParameters parameters, boolean stops) {
        return Kernels.exists(vertex, parameters.type())
                ? AttentionKernels.frozen((AttentionVertex) vertex, stock, graph,
                        new FrozenMatrices(stock, StockMatrices.of(vertex), parameters), parameters.type(), stops)
                : stock;
    }

    /** Ends backpropagation: the network tests for DL4J's type. */
    private static final class Stopped extends FrozenVertex implements Disableable {

        Stopped(FrozenVertexRuntime runtime) {
            super(runtime);
        }

        @Override
        public void disable() {
            ((FrozenVertexRuntime) underlying).disable();
        }

        @Override
        public void enable() {
            ((FrozenVertexRuntime) underlying).enable();
        }
    }

    private void bind() {
        underlying = part.bound((standIn, found) -> {
            found.setInputVertices(standIn.getInputVertices());
            found.setOutputVertices(standIn.getOutputVertices());
            found.setOutputVertex(standIn.isOutputVertex());
        });
    }

    @Override
    public void disable() {
        part.disable();
    }

    @Override
    public void enable() {
        part.enable();
    }

    @Override
    public void setInput(int number, INDArray input, LayerWorkspaceMgr workspaces) {
        bind();
        underlying.setInput(number, input, workspaces);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        if (training) {
            part.requireUnmoved();
        }
        return underlying.doForward(training, workspaces);
    }

    @Override
    public @Nullable Pair<INDArray, MaskState> feedForwardMaskArrays(@Nullable INDArray @Nullable [] masks,
                                                                     @Nullable MaskState state, int minibatch) {
        bind();
        return underlying.feedForwardMaskArrays(masks, state, minibatch);
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        return part.backward(underlying.getEpsilon(), workspaces, underlying::setBackpropGradientsViewArray, corrected -> {
            underlying.setEpsilon(corrected);
            return new Pair<>(null, underlying.doBackward(tbptt, workspaces).getSecond());
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

    @Override
    public long numParams() {
        return part.numParams();
    }

    @Override
    public @Nullable INDArray params() {
        return part.params();
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return part.paramTable(backpropOnly);
    }

    @Override
    public @Nullable INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // The slot of embedded parameters stays zero: the stock vertex never gets to write it.
    }

    @Override
    public TrainingConfig getConfig() {
        return new DummyConfig(getVertexName());
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return false;
    }
}
