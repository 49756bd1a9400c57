package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.kernel.PassingOutput;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Stands in a graph's list of vertices, in the place of one of a stretch that is computed again, or of one whose output such a
 * stretch starts from, which is kept.
 */
final class RecomputedVertex extends BaseWrapperVertex {

    private static final long serialVersionUID = 1L;

    private final transient @Nullable RecomputedStretch stretch;

    /** @param stretch null for one that a stretch starts from */
    RecomputedVertex(GraphVertex original, @Nullable RecomputedStretch stretch) {
        super(original);
        this.stretch = stretch;
    }

    GraphVertex original() {
        return underlying;
    }

    /** Null for one that a stretch starts from. */
    @Nullable RecomputedStretch stretch() {
        return stretch;
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        if (stretch != null) {
            return stretch.forward(underlying, training, workspaces);
        }
        INDArray output = underlying.doForward(training, workspaces);
        return PassingOutput.isOfAStep(training, workspaces) && !output.isAttached()
                ? workspaces.dup(ArrayType.ACTIVATIONS, output, output.ordering()) : output;
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        return stretch == null ? underlying.doBackward(tbptt, workspaces) : stretch.backward(underlying, tbptt, workspaces);
    }

    @Override
    public String toString() {
        return underlying.toString();
    }
}
