package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.layers.samediff.SameDiffGraphVertex;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;

/** Runs a stock vertex as a frozen one that passes gradients through; see {@link FrozenRuntime}. */
public final class FrozenVertexRuntime extends BaseWrapperVertex {

    /** Makes the stock vertex on the given parameters. */
    @FunctionalInterface
    public interface Builder {
        GraphVertex build(INDArray values, boolean initialize);
    }

    private final FrozenParameters parameters;
    private final Builder builder;
    private boolean bound;
    private SameDiffBackprop sameDiff = new SameDiffBackprop();

    public FrozenVertexRuntime(FrozenParameters parameters, Builder builder, boolean initialize) {
        super(builder.build(parameters.initial(), initialize));
        this.parameters = parameters;
        this.builder = builder;
        this.bound = parameters.hadValues();
    }

    /** Replaces the vertex that stands on zeros once its weights have been attached. */
    private void bind() {
        if (bound) {
            return;
        }
        GraphVertex found;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            found = builder.build(parameters.values(), false);
        }
        found.setInputVertices(underlying.getInputVertices());
        found.setOutputVertices(underlying.getOutputVertices());
        found.setOutputVertex(underlying.isOutputVertex());
        underlying = found;
        bound = true;
        sameDiff = new SameDiffBackprop();
    }

    @Override
    public void setInput(int number, INDArray input, LayerWorkspaceMgr workspaces) {
        bind();
        underlying.setInput(number, input, workspaces);
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray[] masks, MaskState state, int minibatch) {
        bind();
        return underlying.feedForwardMaskArrays(masks, state, minibatch);
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        INDArray scratch = parameters.scratchGradient(workspaces);
        if (scratch != null) {
            underlying.setBackpropGradientsViewArray(scratch);
        }
        if (underlying instanceof SameDiffGraphVertex) {
            return sameDiff.run(underlying.getEpsilon(), corrected -> {
                underlying.setEpsilon(corrected);
                return new Pair<>(null, underlying.doBackward(tbptt, workspaces).getSecond());
            });
        }
        return new Pair<>(null, underlying.doBackward(tbptt, workspaces).getSecond());
    }

    @Override
    public void clear() {
        underlying.clear();
        if (underlying instanceof SameDiffGraphVertex) {
            // It keeps the masks of the last batch otherwise and applies them to one that has none.
            underlying.feedForwardMaskArrays(null, MaskState.Active, 0);
        }
    }

    @Override
    public long numParams() {
        return parameters.isEmbedded() ? underlying.numParams() : 0;
    }

    @Override
    public INDArray params() {
        return parameters.isEmbedded() ? underlying.params() : null;
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        Map<String, INDArray> table = parameters.isEmbedded() ? underlying.paramTable(backpropOnly) : null;
        return table == null ? Map.of() : table;
    }

    @Override
    public INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // Embedded parameters keep their slot at zero: the stock vertex never gets to write it.
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
