package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.layers.samediff.SameDiffGraphVertex;
import org.deeplearning4j.nn.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.function.Function;

/**
 * The backward pass of a stock layer or vertex. If that is one of SameDiff's, epsilon is corrected, and the lines that the
 * first pass prints are held back. The first pass differentiates, for which it is outside workspaces: a vertex of DL4J's would
 * otherwise have the constants of its gradient in memory that is used again.
 */
public final class SameDiffBackprop {

    private boolean differentiated;

    /**
     * Whether the vertex, or the layer inside its wrappers, is run by DL4J's own SameDiff runtime; not by a subclass, which may
     * have its gradients corrected.
     */
    public static boolean isSameDiff(Trainable part) {
        return part instanceof BaseWrapperLayer wrapper ? isSameDiff(wrapper.getUnderlying())
                : part.getClass() == SameDiffLayer.class || part.getClass() == SameDiffGraphVertex.class;
    }

    /** The backward pass of a part that may be a SameDiff one. */
    public <T> T of(Trainable part, @Nullable INDArray epsilon, Function<@Nullable INDArray, T> backprop) {
        return isSameDiff(part) ? run(epsilon, backprop) : backprop.apply(epsilon);
    }

    /**
     * Clears a vertex. A SameDiff one would otherwise keep the masks of the last batch and apply them to a batch that has none.
     */
    public static void clear(GraphVertex vertex) {
        vertex.clear();
        dropMasks(vertex);
    }

    /** The same for what DL4J calls after a score. */
    public static void clearVertex(GraphVertex vertex) {
        vertex.clearVertex();
        dropMasks(vertex);
    }

    private static void dropMasks(GraphVertex vertex) {
        if (isSameDiff(vertex)) {
            try {
                vertex.feedForwardMaskArrays(null, MaskState.Active, 0);
            } catch (UnsupportedOperationException e) {
                // A vertex that knows no masks. DL4J's runtime has dropped them before it asks.
            }
        }
    }

    /** To be called for SameDiff layers only. */
    public <T> T run(@Nullable INDArray epsilon, Function<@Nullable INDArray, T> backprop) {
        INDArray corrected = SameDiffGradients.corrected(epsilon);
        T result = differentiated ? backprop.apply(corrected) : SameDiffGradients.quietly(() -> detached(corrected, backprop));
        differentiated = true;
        return result;
    }

    private static <T> T detached(@Nullable INDArray epsilon, Function<@Nullable INDArray, T> backprop) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return backprop.apply(epsilon);
        }
    }
}
