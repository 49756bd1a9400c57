package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Runs a layer that keeps parameters for vertices above it, and passes its input on. */
final class KeptParameters extends MatrixLayer<MatrixConfiguration> {

    KeptParameters(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        beginPass(workspaces);
        return workspaces.dup(ArrayType.ACTIVATIONS, input, 'c');
    }

    /** Those who use the parameters have written the gradients. */
    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        layerConf().matrices().keySet().forEach(this::sumOf);
        return new Pair<>(gradients(), workspaces.dup(ArrayType.ACTIVATION_GRAD, epsilon, 'c'));
    }
}
