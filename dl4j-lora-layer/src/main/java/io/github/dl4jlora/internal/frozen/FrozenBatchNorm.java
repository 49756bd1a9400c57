package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.broadcast.BroadcastMulOp;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * A batch normalisation in test mode, with the backward pass for it that DL4J lacks. With running statistics the layer is
 * an affine map per channel, y = (x − mean) · gamma / √(var + ε) + beta, so dL/dx = dL/dy · gamma / √(var + ε).
 */
final class FrozenBatchNorm extends FrozenArithmetic {

    FrozenBatchNorm(BatchNormalization stock) {
        super(stock);
    }

    @Override
    public void setStock(boolean stock) {
        // The forward pass is always the stock layer's.
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        return underlying.activate(false, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        BatchNormalization layer = (BatchNormalization) underlying;
        org.deeplearning4j.nn.conf.layers.BatchNormalization conf = layer.layerConf();
        INDArray slope = Transforms.pow(variance(layer).add(conf.getEps()), -0.5, false);
        if (conf.isLockGammaBeta()) {
            slope.muli(conf.getGamma());
        } else {
            slope.muli(layer.getParam(BatchNormalizationParamInitializer.GAMMA));
        }
        int channels = epsilon.rank() == 2 || conf.getCnn2DFormat() == CNN2DFormat.NCHW ? 1 : epsilon.rank() - 1;
        INDArray result = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, epsilon.dataType(), epsilon.shape(),
                epsilon.ordering());
        return new Pair<>(new DefaultGradient(), Nd4j.getExecutioner().exec(
                new BroadcastMulOp(epsilon, slope.castTo(epsilon.dataType()), result, channels)));
    }

    private static INDArray variance(BatchNormalization layer) {
        if (!layer.layerConf().isUseLogStd()) {
            return layer.getParam(BatchNormalizationParamInitializer.GLOBAL_VAR);
        }
        INDArray log10Std = layer.getParam(BatchNormalizationParamInitializer.GLOBAL_LOG_STD);
        return Transforms.pow(Nd4j.valueArrayOf(log10Std.shape(), 10.0, log10Std.dataType()), log10Std.mul(2));
    }
}
