package io.github.dl4jlora.internal.build;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.impl.LayerVertex;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A {@link RecomputedVertex} around a layer. DL4J takes each vertex with a layer for its own type. */
@SuppressWarnings("overrides")
final class RecomputedLayerVertex extends LayerVertex implements Recomputed {

    private static final long serialVersionUID = 1L;

    private final RecomputedVertex recomputed;

    RecomputedLayerVertex(LayerVertex original, RecomputedVertex recomputed) {
        super(original.getGraph(), original.getVertexName(), original.getVertexIndex(), original.getInputVertices(),
                original.getOutputVertices(), original.getLayer(), original.getLayerPreProcessor(), original.isOutputVertex(),
                original.getDataType());
        this.recomputed = recomputed;
    }

    @Override
    public GraphVertex original() {
        return recomputed.original();
    }

    @Override
    public @Nullable RecomputedStretch stretch() {
        return recomputed.stretch();
    }

    @Override
    public Layer getLayer() {
        return original().getLayer();
    }

    @Override
    public void setLayerAsFrozen() {
        recomputed.setLayerAsFrozen();
    }

    @Override
    public void setInput(int number, INDArray input, LayerWorkspaceMgr workspaces) {
        recomputed.setInput(number, input, workspaces);
    }

    @Override
    public INDArray[] getInputs() {
        return recomputed.getInputs();
    }

    @Override
    public void setInputs(INDArray... inputs) {
        recomputed.setInputs(inputs);
    }

    @Override
    public void applyPreprocessorAndSetInput(LayerWorkspaceMgr workspaces) {
        ((LayerVertex) original()).applyPreprocessorAndSetInput(workspaces);
    }

    @Override
    public INDArray getEpsilon() {
        return recomputed.getEpsilon();
    }

    @Override
    public void setEpsilon(INDArray epsilon) {
        recomputed.setEpsilon(epsilon);
    }

    @Override
    public boolean canDoForward() {
        return recomputed.canDoForward();
    }

    @Override
    public boolean canDoBackward() {
        return recomputed.canDoBackward();
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        return recomputed.doForward(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        return recomputed.doBackward(tbptt, workspaces);
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray[] masks, MaskState state, int minibatch) {
        return recomputed.feedForwardMaskArrays(masks, state, minibatch);
    }

    @Override
    public double computeScore(double regularization, boolean training, LayerWorkspaceMgr workspaces) {
        return ((LayerVertex) original()).computeScore(regularization, training, workspaces);
    }

    @Override
    public INDArray computeScoreForExamples(double regularization, LayerWorkspaceMgr workspaces) {
        return ((LayerVertex) original()).computeScoreForExamples(regularization, workspaces);
    }

    @Override
    public void clear() {
        recomputed.clear();
    }

    @Override
    public void clearVertex() {
        recomputed.clearVertex();
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }

    @Override
    public String toString() {
        return recomputed.toString();
    }
}
