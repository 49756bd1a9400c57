package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;

/** Runs {@link TypedIds}. Neither ids nor types have a gradient. */
@SuppressWarnings("overrides")
final class TypedIdsRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    TypedIdsRuntime(ComputationGraph graph, String name, int index, DataType type) {
        super(graph, name, index, 0, type);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray types = inputs[0];
        INDArray ids = inputs[1];
        if (ids.rank() != 2 || !types.equalShapes(ids)) {
            throw new IllegalArgumentException("Token types have shape " + Arrays.toString(types.shape()) + ", and token ids "
                    + Arrays.toString(ids.shape()) + ", but both must be [minibatch, tokens]: give the type of each token, 0 in "
                    + "a first text and 1 in a second (vertex name: " + vertexName + ")");
        }
        // Before ids of whole numbers cut fractions off.
        WholeNumbers.in(types, "Token type", "(vertex name: " + vertexName + ")");
        long tokens = ids.size(1);
        // Of the ids' data type, since that of the network may be too short for them.
        INDArray both = workspaces.createUninitialized(ArrayType.ACTIVATIONS, ids.dataType(),
                new long[]{ids.size(0), 2 * tokens}, 'c');
        both.get(NDArrayIndex.all(), NDArrayIndex.interval(0, tokens)).assign(ids);
        both.get(NDArrayIndex.all(), NDArrayIndex.interval(tokens, 2 * tokens)).assign(types);
        return both;
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        return new Pair<>(null, new INDArray[inputs.length]);
    }

    /**
     * Of the ids, which the embeddings compare it with.
     *
     * @throws IllegalArgumentException if types have another mask
     */
    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray[] masks, MaskState state, int minibatch) {
        INDArray ofTypes = masks == null ? null : masks[0];
        INDArray ofIds = mask();
        if (ofTypes != null && !ofTypes.equals(ofIds)) {
            throw new IllegalArgumentException("Token types have a mask, of shape " + Arrays.toString(ofTypes.shape())
                    + ", that is not the mask of the token ids: give a mask of the ids only, or none (vertex name: " + vertexName
                    + ")");
        }
        return ofIds == null ? null : new Pair<>(ofIds, MaskState.Active);
    }
}
