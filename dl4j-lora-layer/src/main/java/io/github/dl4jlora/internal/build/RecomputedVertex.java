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
 * Stands in a graph's list of vertices, in the place of one of a stretch that is computed again, of one that is computed between
 * those of a stretch, or of one whose output a stretch starts from, which is kept.
 */
final class RecomputedVertex extends BaseWrapperVertex implements Recomputed {

    private static final long serialVersionUID = 1L;

    private final transient @Nullable RecomputedStretch stretch;

    /** @param stretch null for one that a stretch starts from */
    RecomputedVertex(GraphVertex original, @Nullable RecomputedStretch stretch) {
        super(original);
        this.stretch = stretch;
    }

    @Override
    public GraphVertex original() {
        return underlying;
    }

    @Override
    public @Nullable RecomputedStretch stretch() {
        return stretch;
    }

    @Override
    public void setInput(int number, INDArray input, LayerWorkspaceMgr workspaces) {
        if (stretch == null) {
            underlying.setInput(number, input, workspaces);
        } else {
            stretch.closedOnFailure(() -> {
                underlying.setInput(number, input, workspaces);
                return input;
            });
        }
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
