package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Runs {@link AnswerScores}. */
@SuppressWarnings("overrides")
final class AnswerScoresRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    AnswerScoresRuntime(ComputationGraph graph, String name, int index, int padding, DataType type) {
        super(graph, name, index, padding, type);
    }

    /** {@code [minibatch, 2, tokens]} */
    private static INDArray byText(INDArray scores, INDArray ids) {
        return scores.reshape('c', ids.size(0), ids.size(1), 2).permute(0, 2, 1);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray ids = checkedIds();
        long tokens = ids.size(1);
        INDArray output = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{ids.size(0), 2 * tokens}, 'c');
        INDArray parts = output.reshape('c', ids.size(0), 2, tokens).assign(byText(rows(inputs[0]), ids));
        leaveOut(parts, ids, AnswerScores.NEVER);
        return output;
    }

    private static INDArray rows(INDArray scores) {
        return scores.ordering() == 'c' ? scores : scores.dup('c');
    }

    /** Sets what padding has. */
    private void leaveOut(INDArray parts, INDArray ids, double value) {
        KeptTokens texts = kept();
        for (int text = 0; text < texts.texts(); text++) {
            for (int token : texts.gaps(text, (int) ids.size(1))) {
                parts.get(NDArrayIndex.point(text), NDArrayIndex.all(), NDArrayIndex.interval(token, token + 1)).assign(value);
            }
        }
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        INDArray ids = checkedIds();
        INDArray errors = epsilon.dup('c').reshape('c', ids.size(0), 2, ids.size(1));
        leaveOut(errors, ids, 0);
        INDArray dScores = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        dScores.reshape('c', ids.size(0), ids.size(1), 2).assign(errors.permute(0, 2, 1));
        return new Pair<>(null, new INDArray[]{dScores, null});
    }
}
