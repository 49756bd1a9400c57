package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.kernel.LentInputs;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A stock layer that is computed by this library's arithmetic, because its weights do not change; it may be inside wrappers for
 * time. It needs no array for weight gradients.
 */
abstract class FrozenArithmetic extends BaseWrapperLayer implements OwnArithmetic {

    FrozenArithmetic(Layer stock) {
        super(stock);
    }

    /**
     * Puts the arithmetic in place of the layer, or of the layer inside its wrappers, if there is any for it.
     *
     * @param builder of the layer
     */
    static Layer into(Layer layer, FrozenParameters parameters, FrozenPart.Builder<Layer> builder) {
        if (layer instanceof BatchNormalization norm) {
            return new FrozenBatchNorm(norm, !parameters.isEmbedded());
        }
        if (parameters.areQuantized() && layer instanceof IOutputLayer) {
            return FrozenOutputs.of(layer, new FrozenMatrices(layer, parameters, builder));
        }
        FrozenProduct product = FrozenProduct.of(layer, () -> new FrozenMatrices(layer, parameters, builder));
        if (product != null) {
            return new FrozenKernel(layer, product);
        }
        if (layer instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(into(wrapper.getUnderlying(), parameters, builder));
        }
        return layer;
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaces) {
        super.setInput(input, LentInputs.of(input, workspaces));
    }

    @Override
    public final INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        setInput(input, workspaces);
        return activate(training, workspaces);
    }
}
