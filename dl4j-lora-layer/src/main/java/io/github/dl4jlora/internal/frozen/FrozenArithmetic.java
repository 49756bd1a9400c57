package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.attention.AttentionKernels;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.kernel.LentInputs;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import io.github.dl4jlora.internal.recurrent.RecurrentKernels;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

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
     * @param builder of the whole layer
     * @param stops   whether no backward pass follows
     */
    static Layer into(Layer layer, FrozenParameters parameters, FrozenPart.Builder<Layer> builder, boolean stops) {
        if (layer instanceof BatchNormalization norm) {
            return new FrozenBatchNorm(norm, !parameters.isEmbedded());
        }
        if (parameters.areQuantized() && layer instanceof IOutputLayer) {
            return FrozenOutputs.of(layer, FrozenMatrices.of(layer, parameters));
        }
        FrozenProduct product = FrozenProduct.of(layer, () -> FrozenMatrices.of(layer, parameters));
        if (product != null) {
            return new FrozenKernel(layer, product,
                    () -> parameters.areQuantized() ? restored(layer, parameters, builder) : layer);
        }
        if (layer instanceof BaseWrapperLayer wrapper) {
            wrapper.setUnderlying(into(wrapper.getUnderlying(), parameters, builder, stops));
            return layer;
        }
        return Kernels.haveSteps(layer.conf().getLayer(), parameters.type())
                ? ofSteps(layer, FrozenMatrices.of(layer, parameters), stops) : layer;
    }

    private static Layer ofSteps(Layer layer, FrozenMatrices weights, boolean stops) {
        return AttentionKernels.exist(layer.conf().getLayer()) ? AttentionKernels.frozen(layer, weights, weights.type(), stops)
                : RecurrentKernels.frozen(layer, weights, weights.type(), stops);
    }

    /** The innermost stock layer on a copy of its weights, for one pass. */
    private static Layer restored(Layer hollow, FrozenParameters parameters, FrozenPart.Builder<Layer> builder) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Layer whole = innermost(builder.build(parameters.values(), false));
            whole.setIndex(hollow.getIndex());
            whole.setMaskArray(hollow.getMaskArray());
            return whole;
        }
    }

    private static Layer innermost(Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper ? innermost(wrapper.getUnderlying()) : layer;
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
