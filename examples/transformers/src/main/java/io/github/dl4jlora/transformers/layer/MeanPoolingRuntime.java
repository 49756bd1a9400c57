package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Runs {@link MeanPooling} as a product with the weights of each text's tokens. */
@SuppressWarnings("overrides")
final class MeanPoolingRuntime extends TokenVertex {

    private static final long serialVersionUID = 1L;

    private final MeanPooling.Weights weights;

    MeanPoolingRuntime(ComputationGraph graph, String name, int index, int padding, MeanPooling.Weights weights,
                       DataType type) {
        super(graph, name, index, padding, type);
        this.weights = weights;
    }

    /** {@code [minibatch, 1, tokens]} */
    private INDArray shares() {
        KeptTokens texts = kept();
        double[][][] shares = new double[texts.texts()][1][texts.tokens()];
        for (int text = 0; text < texts.texts(); text++) {
            int[] tokens = texts.of(text);
            for (int i = 0; i < tokens.length; i++) {
                shares[text][0][tokens[i]] = weights.of(i, tokens.length);
            }
        }
        return Nd4j.createFromArray(shares).castTo(dataType);
    }

    @Override
    public INDArray doForward(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray shares = shares();
        INDArray rows = inputs[0].reshape('c', shares.size(0), shares.size(2), inputs[0].size(1));
        INDArray means = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{shares.size(0), inputs[0].size(1)}, 'c');
        return means.assign(Nd4j.matmul(shares, rows).reshape(means.shape()));
    }

    @Override
    public Pair<Gradient, INDArray[]> doBackward(boolean tbptt, LayerWorkspaceMgr workspaces) {
        INDArray shares = shares();
        INDArray dRows = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, inputs[0].shape(), 'c');
        INDArray column = shares.reshape('c', shares.size(0), shares.size(2), 1);
        INDArray error = epsilon.dup('c').reshape('c', epsilon.size(0), 1, epsilon.size(1));
        return new Pair<>(null, new INDArray[]{dRows.assign(Nd4j.matmul(column, error).reshape(dRows.shape())), null});
    }
}
