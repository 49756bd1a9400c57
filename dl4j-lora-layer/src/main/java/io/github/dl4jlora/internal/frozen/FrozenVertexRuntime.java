package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.impl.FrozenVertex;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/** Runs a stock vertex as a frozen one that passes gradients through, as {@link FrozenRuntime} does for layers. */
public final class FrozenVertexRuntime extends BaseWrapperVertex {

    private final FrozenPart<GraphVertex> part;

    private FrozenVertexRuntime(FrozenPart<GraphVertex> part) {
        super(part.stock());
        this.part = part;
    }

    /**
     * @param stops whether backpropagation ends here, since nothing upstream trains
     */
    public static GraphVertex of(FrozenPart<GraphVertex> part, boolean stops) {
        FrozenVertexRuntime runtime = new FrozenVertexRuntime(part);
        return stops ? new FrozenVertex(runtime) : runtime;
    }

    private void bind() {
        underlying = part.bound((standIn, found) -> {
            found.setInputVertices(standIn.getInputVertices());
            found.setOutputVertices(standIn.getOutputVertices());
            found.setOutputVertex(standIn.isOutputVertex());
        });
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
