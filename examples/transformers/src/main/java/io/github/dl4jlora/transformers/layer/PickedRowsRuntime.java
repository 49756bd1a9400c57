package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.stream.IntStream;

/** Runs {@link PickedToken} and {@link PickedRows}: forward it looks rows up, backward it adds errors up where they came from. */
@SuppressWarnings("overrides")
final class PickedRowsRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    private final PickedToken.Which which;

    /**
     * @param which token; null for those whose positions are an input
     */
    PickedRowsRuntime(ComputationGraph graph, String name, int index, int padding, PickedToken.Which which, DataType type) {
        super(graph, name, index, padding, type);
        this.which = which;
    }

    private int[] picked() {
        INDArray ids = checkedIds();
        int tokens = (int) ids.size(1);
        if (which == null) {
            return atPositions(inputs[1], (int) ids.size(0), tokens);
        }
        KeptTokens texts = kept();
        return IntStream.range(0, texts.texts()).map(text -> text * tokens + switch (which) {
            case FIRST -> texts.first(text);
            case LAST -> texts.last(text);
            case LAST_KEPT -> texts.end(text) - 1;
        }).toArray();
    }

    private int[] atPositions(INDArray positions, int texts, int tokens) {
        if (positions.rank() != 2 || positions.size(0) != texts) {
            throw new IllegalArgumentException("Vertex \"" + vertexName + "\": positions have shape "
                    + Arrays.toString(positions.shape()) + ", expected [" + texts + ", k] for the " + texts
                    + " texts of the minibatch");
        }
        int[] picked = WholeNumbers.in(positions, "Position", "(vertex name: " + vertexName + ")");
        int each = (int) positions.size(1);
        for (int i = 0; i < picked.length; i++) {
            if (picked[i] < 0 || picked[i] >= tokens) {
                throw new IllegalArgumentException("Vertex \"" + vertexName + "\": position " + picked[i] + " of text " + i / each
                        + " is outside its " + tokens + " tokens, which are counted from 0");
            }
            picked[i] += i / each * tokens;
        }
        return picked;
    }

    /** @throws IllegalArgumentException if positions are masked */
    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArrays(INDArray[] masks, MaskState state, int minibatch) {
        INDArray mask = which == null && masks != null ? masks[1] : null;
        if (mask != null && !(mask.minNumber().doubleValue() == 1 && mask.maxNumber().doubleValue() == 1)) {
            throw new IllegalArgumentException("Vertex \"" + vertexName + "\": its positions have a mask, of shape "
                    + Arrays.toString(mask.shape()) + ", that is not 1 everywhere. Give no mask of positions: in a text with "
                    + "fewer positions, repeat any token, with the label " + TiedDecoder.IGNORED);
        }
        return super.feedForwardMaskArrays(masks, state, minibatch);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        int[] picked = picked();
        INDArray rows = inputs[0].castTo(dataType);
        INDArray output = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{picked.length, rows.size(1)}, 'c');
        Nd4j.pullRows(rows.ordering() == 'c' ? rows : rows.dup('c'), output, 1, picked);
        return output;
    }

    @Override
    @SuppressWarnings("deprecation")
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        INDArray dRows = workspaces.create(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        INDArray errors = epsilon.ordering() == 'c' ? epsilon : epsilon.dup('c');
        Nd4j.getExecutioner().scatterUpdate(ScatterUpdate.UpdateOp.ADD, dRows, Nd4j.createFromArray(picked()), errors,
                new int[]{1});
        INDArray[] all = new INDArray[inputs.length];
        all[0] = dRows;
        return new Pair<>(null, all);
    }
}
