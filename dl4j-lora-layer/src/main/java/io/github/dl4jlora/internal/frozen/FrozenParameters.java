package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.frozen.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.base.FrozenReference;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The parameters of one frozen layer or vertex at run time: outside the network's vector or a view into it.
 */
public final class FrozenParameters {

    private final FrozenReference reference;
    private final String layer;
    private final DataType type;
    private final long length;
    private final INDArray view;
    private boolean hadValues;

    private FrozenParameters(FrozenReference reference, String layer, DataType type, long length, INDArray view) {
        this.reference = reference;
        this.layer = layer;
        this.type = type;
        this.length = length;
        this.view = view;
    }

    public static FrozenParameters shared(FrozenReference reference, String layer, DataType type, long length) {
        return new FrozenParameters(reference, layer, type, length, null);
    }

    /** @param view the layer's part of the vector; null for a layer without parameters */
    public static FrozenParameters embedded(INDArray view) {
        return new FrozenParameters(null, null, view == null ? null : view.dataType(), view == null ? 0 : view.length(), view);
    }

    boolean isEmbedded() {
        return reference == null;
    }

    /** Whether {@link #initial} gave out the values, not zeros. */
    boolean hadValues() {
        return hadValues;
    }

    /**
     * What a layer can be built on now: the values or, where they are still missing, zeros that no forward pass will
     * ever use.
     */
    public INDArray initial() {
        INDArray present = isEmbedded() ? view : reference.valuesHere(layer, type, length);
        hadValues = isEmbedded() || present != null;
        if (hadValues) {
            return present;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return Nd4j.create(type, length);
        }
    }

    /**
     * @throws FrozenWeightsMissingException if they cannot be found
     */
    INDArray values() {
        return isEmbedded() ? view : reference.values(layer, type, length);
    }

    /** An array for weight gradients that the stock layer insists on computing and nobody reads; null for no parameters. */
    INDArray scratchGradient(LayerWorkspaceMgr workspaces) {
        return length == 0 ? null : workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type, length);
    }
}
