package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/** Runs {@link MeanPooling} as a product with the weights 1/count of each text's tokens. */
@SuppressWarnings("overrides")
final class MeanPoolingRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    MeanPoolingRuntime(ComputationGraph graph, String name, int index, int padding, DataType type) {
        super(graph, name, index, padding, type);
    }

    /** {@code [minibatch, 1, tokens]} */
    private INDArray weights() {
        INDArray ids = checkedIds();
        int[] lengths = lengths(ids);
        double[][][] weights = new double[lengths.length][1][(int) ids.size(1)];
        for (int text = 0; text < lengths.length; text++) {
            Arrays.fill(weights[text][0], 0, lengths[text], 1.0 / lengths[text]);
        }
        return Nd4j.createFromArray(weights).castTo(dataType);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray weights = weights();
        INDArray rows = inputs[0].reshape('c', weights.size(0), weights.size(2), inputs[0].size(1));
        INDArray means = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{weights.size(0), inputs[0].size(1)}, 'c');
        return means.assign(Nd4j.matmul(weights, rows).reshape(means.shape()));
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        INDArray weights = weights();
        INDArray dRows = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        INDArray column = weights.reshape('c', weights.size(0), weights.size(2), 1);
        INDArray error = epsilon.dup('c').reshape('c', epsilon.size(0), 1, epsilon.size(1));
        return new Pair<>(null, new INDArray[]{dRows.assign(Nd4j.matmul(column, error).reshape(dRows.shape())), null});
    }
}
