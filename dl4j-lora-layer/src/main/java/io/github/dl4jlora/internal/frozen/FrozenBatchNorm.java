package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.blas.Lie;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.OneDnn;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.broadcast.BroadcastMulOp;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * A batch normalisation in test mode, with the backward pass for it that DL4J lacks. With running statistics the layer is
 * an affine map per channel, y = (x − mean) · gamma / √(var + ε) + beta, so dL/dx = dL/dy · gamma / √(var + ε).
 */
final class FrozenBatchNorm extends FrozenArithmetic {

    /** Of a mean that is so many standard deviations away from 0, a third of FLOAT's digits cancels. */
    private static final double LARGEST = 256;

    private final boolean areKept;
    private boolean stock;
    private @Nullable Affine affine;

    /**
     * y = x · scale + shift.
     *
     * @param cancels whether both terms are so large that the digits of y are lost in their sum
     */
    private record Affine(INDArray scale, INDArray shift, boolean cancels) {
    }

    /** @param areKept whether the parameters are arrays that nobody may write to */
    FrozenBatchNorm(BatchNormalization stock, boolean areKept) {
        super(stock);
        this.areKept = areKept;
    }

    @Override
    public void setStock(boolean asStock) {
        stock = asStock;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray x = underlying.input();
        if (!stock && x != null && x.dataType() == DataType.FLOAT && takes(x)) {
            INDArray y = workspaces.createUninitialized(ArrayType.ACTIVATIONS, x.dataType(), x.shape(), 'c');
            Affine map = affine();
            if (!map.cancels() && Convolutions.scale(x, map.scale(), map.shift(), y)) {
                return y;
            }
        }
        return underlying.activate(false, workspaces);
    }

    /** Whether channels are the second dimension, as many as there are parameters, and lie as oneDNN reads them. */
    private boolean takes(INDArray x) {
        org.deeplearning4j.nn.conf.layers.BatchNormalization conf = ((BatchNormalization) underlying).layerConf();
        DataType ofNetwork = underlying.getParam(BatchNormalizationParamInitializer.GLOBAL_MEAN).dataType();
        return OneDnn.isUsed() && ofNetwork == DataType.FLOAT && Lie.isPlain(x) && !conf.isLockGammaBeta()
                && x.size(1) == conf.getNOut()
                && (x.rank() == 2 || x.rank() == 4 && conf.getCnn2DFormat() == CNN2DFormat.NCHW);
    }

    /** y = x · gamma / √(var + ε) + (beta − mean · gamma / √(var + ε)). */
    private Affine affine() {
        if (affine == null || !areKept) {
            BatchNormalization layer = (BatchNormalization) underlying;
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                INDArray scale = slope(layer).castTo(DataType.FLOAT);
                INDArray middle = layer.getParam(BatchNormalizationParamInitializer.GLOBAL_MEAN).mul(scale);
                INDArray shift = layer.getParam(BatchNormalizationParamInitializer.BETA).sub(middle).castTo(DataType.FLOAT);
                affine = new Affine(scale, shift, middle.amaxNumber().doubleValue() > LARGEST);
            }
        }
        return affine;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        BatchNormalization layer = (BatchNormalization) underlying;
        org.deeplearning4j.nn.conf.layers.BatchNormalization conf = layer.layerConf();
        INDArray slope = slope(layer);
        int channels = epsilon.rank() == 2 || conf.getCnn2DFormat() == CNN2DFormat.NCHW ? 1 : epsilon.rank() - 1;
        INDArray result = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, epsilon.dataType(), epsilon.shape(),
                epsilon.ordering());
        return new Pair<>(new DefaultGradient(), Nd4j.getExecutioner().exec(
                new BroadcastMulOp(epsilon, slope.castTo(epsilon.dataType()), result, channels)));
    }

    private static INDArray slope(BatchNormalization layer) {
        org.deeplearning4j.nn.conf.layers.BatchNormalization conf = layer.layerConf();
        INDArray slope = Transforms.pow(variance(layer).add(conf.getEps()), -0.5, false);
        if (!conf.isLockGammaBeta()) {
            return slope.muli(layer.getParam(BatchNormalizationParamInitializer.GAMMA));
        }
        // DL4J's forward pass multiplies by a locked gamma only beside a locked beta that is not zero.
        return conf.getBeta() == 0 ? slope : slope.muli(conf.getGamma());
    }

    private static INDArray variance(BatchNormalization layer) {
        if (!layer.layerConf().isUseLogStd()) {
            return layer.getParam(BatchNormalizationParamInitializer.GLOBAL_VAR);
        }
        INDArray log10Std = layer.getParam(BatchNormalizationParamInitializer.GLOBAL_LOG_STD);
        return Transforms.pow(Nd4j.valueArrayOf(log10Std.shape(), 10.0, log10Std.dataType()), log10Std.mul(2));
    }
}
