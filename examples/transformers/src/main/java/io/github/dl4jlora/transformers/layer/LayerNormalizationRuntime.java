package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.kernel.PassingOutput;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Runs {@link LayerNormalization}. With n = (x - mean) / σ and e = g · dL/dy, per row:
 *
 * <pre>
 * dL/dx = (e - mean(e) - n · mean(e · n)) / σ      dL/dg = Σ_rows dL/dy · n      dL/db = Σ_rows dL/dy
 * </pre>
 */
final class LayerNormalizationRuntime extends MatrixLayer<LayerNormalization> implements PassingOutput.Maker {

    private PassingOutput place;

    LayerNormalizationRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public void setPassingOutput(PassingOutput output) {
        place = output;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        INDArray x = input.castTo(dataType);
        INDArray y = PassingOutput.create(place, training, workspaces, dataType, x.shape(), 'c');
        INDArray gain = getParam(LayerNormalization.GAIN);
        INDArray bias = getParam(LayerNormalization.BIAS);
        if (isFast(x)) {
            NormalizedRows.forward(x, gain, bias, y, layerConf().getEpsilon());
            return y;
        }
        normalize(x, y);
        return y.muliRowVector(gain).addiRowVector(bias);
    }

    private boolean isFast(INDArray x) {
        return HostFloats.reaches(x, getParam(LayerNormalization.GAIN), getParam(LayerNormalization.BIAS)) && x.ordering() == 'c';
    }

    /** Writes n, and returns σ as a column. */
    private INDArray normalize(INDArray x, INDArray n) {
        n.assign(x);
        n.subiColumnVector(n.mean(true, 1));
        INDArray deviation = Transforms.sqrt(n.mul(n).mean(true, 1).addi(layerConf().getEpsilon()), false);
        n.diviColumnVector(deviation);
        return deviation;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        INDArray x = input.castTo(dataType);
        INDArray gain = getParam(LayerNormalization.GAIN);
        INDArray dGain = gradientViews.get(LayerNormalization.GAIN);
        INDArray dBias = gradientViews.get(LayerNormalization.BIAS);
        INDArray dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, x.shape(), 'c');
        INDArray dy = epsilon.ordering() == 'c' ? epsilon : epsilon.dup('c');
        if (isFast(x) && HostFloats.reaches(dy, dGain, dBias)) {
            NormalizedRows.backward(x, gain, dy, dx, dGain, dBias, layerConf().getEpsilon());
            return new Pair<>(gradients(), dx);
        }
        INDArray n = x.dup('c');
        INDArray deviation = normalize(x, n);
        dGain.assign(dy.mul(n).sum(true, 0));
        dBias.assign(dy.sum(true, 0));
        dx.assign(dy).muliRowVector(gain);
        INDArray projection = dx.mul(n).mean(true, 1);
        dx.subiColumnVector(dx.mean(true, 1)).subi(n.muliColumnVector(projection)).diviColumnVector(deviation);
        return new Pair<>(gradients(), dx);
    }
}
