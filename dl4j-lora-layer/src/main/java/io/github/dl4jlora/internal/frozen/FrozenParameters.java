package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.stock.Hollow;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Objects;

/**
 * Where the parameters of one frozen layer or vertex are: outside the network's vector, or a part of it.
 */
public final class FrozenParameters {

    private final @Nullable FrozenReference reference;
    private final String layer;
    private final DataType type;
    private final long length;
    private final @Nullable INDArray view;
    private final boolean mayWrite;
    private final boolean takesQuantized;

    private FrozenParameters(@Nullable FrozenReference reference, String layer, DataType type, long length,
                             @Nullable INDArray view, boolean mayWrite, boolean takesQuantized) {
        this.reference = reference;
        this.mayWrite = mayWrite;
        this.takesQuantized = takesQuantized;
        this.layer = layer;
        this.type = type;
        this.length = length;
        this.view = view;
    }

    /**
     * @param reference      to the values outside the vector; null if they are in it, or if there are none
     * @param layer          name for messages
     * @param type           the network's data type
     * @param length         how many values the stock layer has
     * @param view           the layer's part of the vector; null or empty if it has none
     * @param mayWrite       false if the layer is known never to write to its parameters; otherwise it gets a copy of values that
     *                       lie in a file, where a write would end the JVM
     * @param takesQuantized whether the layer runs on matrices in fewer bits; otherwise it gets values that are restored from
     *                       them
     */
    public static FrozenParameters of(@Nullable FrozenReference reference, String layer, DataType type, long length,
                                      @Nullable INDArray view, boolean mayWrite, boolean takesQuantized) {
        return new FrozenParameters(reference, layer, type, length, reference == null ? view : null, mayWrite, takesQuantized);
    }

    boolean isEmbedded() {
        return reference == null;
    }

    String layer() {
        return layer;
    }

    /** Whether the values are inside the vector, or outside it and here already. */
    boolean arePresent() {
        if (reference == null) {
            return true;
        }
        boolean here = reference.takeHold(layer, length);
        if (here) {
            leaveFile(reference);
        }
        return here;
    }

    private void leaveFile(FrozenReference outside) {
        if (mayWrite) {
            outside.bind(Objects.requireNonNull(outside.bound()).inMemory());
        }
    }

    /** Whether products use packed copies of matrices. */
    boolean arePacked() {
        return reference != null && reference.isPacked();
    }

    /** Whether matrices among the values are kept in fewer bits, and taken so. */
    boolean areQuantized() {
        return takesQuantized && reference != null && reference.scheme() != null;
    }

    /**
     * To be called only if the values are outside the vector.
     *
     * @throws FrozenWeightsMissingException if they cannot be found
     */
    void require() {
        FrozenReference outside = Objects.requireNonNull(reference);
        outside.weights(layer, length);
        leaveFile(outside);
    }

    DataType type() {
        return type;
    }

    long length() {
        return length;
    }

    /** Zeros, for a layer to stand on until the values are here; no pass ever uses them. */
    INDArray standIn() {
        return Hollow.standIn(type, length);
    }

    /**
     * @return the values; null if there are none
     * @throws FrozenWeightsMissingException if they cannot be found
     */
    @Nullable INDArray values() {
        return reference == null ? view : reference.values(layer, type, length);
    }

    /** The source of the values; null if they are inside the vector, or not here yet. */
    @Nullable FrozenWeights source() {
        return reference == null ? null : reference.bound();
    }

    /** Whether other values have been attached since. */
    boolean wereReplaced(@Nullable FrozenWeights source) {
        FrozenWeights now = source();
        return now != null && now != source;
    }

    /**
     * @throws IllegalStateException if the base was trained, overwritten or closed, as far as a quick look can tell
     */
    void requireUnmoved() {
        if (reference != null) {
            reference.requireUnmoved(layer);
        }
    }

    /**
     * @param values what the layer stands on
     * @throws IllegalStateException if they were closed, with the base network they are from
     */
    void requireOpen(INDArray values) {
        if (!isEmbedded()) {
            FrozenWeights.requireOpen(values, layer);
        }
    }

    /**
     * An array for weight gradients that the stock layer insists on computing and nobody reads; null if it has no parameters.
     */
    @Nullable INDArray scratchGradient(LayerWorkspaceMgr workspaces) {
        return length == 0 ? null : workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type, length);
    }
}
