package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A stock layer that is computed by this library's arithmetic, because its weights do not change; it may be inside wrappers for
 * time. It needs no array for weight gradients.
 */
abstract class FrozenArithmetic extends BaseWrapperLayer implements OwnArithmetic {

    /** What the names of DL4J's workspaces for a forward pass without a backward pass begin with. */
    private static final String FORWARD = "WS_LAYER_ACT_";
    /** For each such workspace one that leaves its arrays where they are. */
    private static final Map<String, LayerWorkspaceMgr> LENDERS = new ConcurrentHashMap<>();

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

    /**
     * Takes the input as it is where DL4J would have each layer copy it: between the layers of a forward pass alone, whose
     * outputs live until all that read them have been computed.
     */
    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaces) {
        super.setInput(input, isOfForwardPass(input, workspaces) ? LENDERS.computeIfAbsent(
                input.data().getParentWorkspace().getId(), FrozenArithmetic::lender) : workspaces);
    }

    private static boolean isOfForwardPass(@Nullable INDArray input, LayerWorkspaceMgr workspaces) {
        return input != null && input.isAttached() && input.data().getParentWorkspace().getId().startsWith(FORWARD)
                && workspaces.hasConfiguration(ArrayType.INPUT) && !workspaces.isScopedOut(ArrayType.INPUT)
                && workspaces.getWorkspaceName(ArrayType.INPUT).startsWith(FORWARD);
    }

    private static LayerWorkspaceMgr lender(String workspace) {
        LayerWorkspaceMgr lender = LayerWorkspaceMgr.noWorkspaces();
        lender.setNoLeverageOverride(workspace);
        return lender;
    }

    @Override
    public final INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        setInput(input, workspaces);
        return activate(training, workspaces);
    }
}
