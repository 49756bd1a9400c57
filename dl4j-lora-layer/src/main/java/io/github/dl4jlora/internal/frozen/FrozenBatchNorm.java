package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.broadcast.BroadcastMulOp;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * The backward pass of a batch normalisation in test mode, which DL4J lacks. With running statistics the layer is an
 * affine map per channel, y = (x − mean) · gamma / √(var + ε) + beta, so dL/dx = dL/dy · gamma / √(var + ε).
 */
public final class FrozenBatchNorm {

    private FrozenBatchNorm() {
    }

    static INDArray backprop(BatchNormalization layer, INDArray epsilon, LayerWorkspaceMgr workspaces) {
        org.deeplearning4j.nn.conf.layers.BatchNormalization conf = layer.layerConf();
        INDArray variance;
        if (conf.isUseLogStd()) {
            INDArray log10Std = layer.getParam(BatchNormalizationParamInitializer.GLOBAL_LOG_STD);
            variance = Transforms.pow(Nd4j.valueArrayOf(log10Std.shape(), 10.0, log10Std.dataType()), log10Std.mul(2));
        } else {
            variance = layer.getParam(BatchNormalizationParamInitializer.GLOBAL_VAR);
        }
        INDArray slope = Transforms.pow(variance.add(conf.getEps()), -0.5, false);
        if (conf.isLockGammaBeta()) {
            slope.muli(conf.getGamma());
        } else {
            slope.muli(layer.getParam(BatchNormalizationParamInitializer.GAMMA));
        }
        int channels = epsilon.rank() == 2 || conf.getCnn2DFormat() == CNN2DFormat.NCHW ? 1 : epsilon.rank() - 1;
        INDArray result = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, epsilon.dataType(), epsilon.shape(),
                epsilon.ordering());
        return Nd4j.getExecutioner().exec(new BroadcastMulOp(epsilon, slope.castTo(epsilon.dataType()), result, channels));
    }
}
