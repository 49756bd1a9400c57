package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A stock layer that is computed by arithmetic of ours because its weights are at rest, wherever it is in wrappers for
 * time. It needs no array for weight gradients.
 */
abstract class FrozenArithmetic extends BaseWrapperLayer {

    FrozenArithmetic(Layer stock) {
        super(stock);
    }

    /**
     * Puts the arithmetic in the place of the layer, or of the one inside its wrappers, if there is any for it.
     *
     * @param embedded whether the weights may be overwritten where they are
     */
    static Layer into(Layer layer, boolean embedded) {
        if (layer instanceof BatchNormalization norm) {
            return new FrozenBatchNorm(norm);
        }
        FrozenProduct product = FrozenProduct.of(layer, embedded);
        if (product != null) {
            return new FrozenKernel(layer, product);
        }
        if (layer instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(into(wrapper.getUnderlying(), embedded));
        }
        return layer;
    }

    /** The arithmetic inside the layer's wrappers; null if it is all stock. */
    static FrozenArithmetic in(Layer layer) {
        return layer instanceof FrozenArithmetic found ? found
                : layer instanceof BaseWrapperLayer wrapper ? in(wrapper.getUnderlying()) : null;
    }

    /**
     * @param stock whether the layer shall compute what the base's layer computes, bit for bit
     */
    abstract void setStock(boolean stock);

    @Override
    public final INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        setInput(input, workspaces);
        return activate(training, workspaces);
    }
}
