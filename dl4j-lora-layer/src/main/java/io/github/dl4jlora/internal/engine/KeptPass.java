package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.KeptArrays;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/**
 * What a layer's training pass keeps for the backward pass. It is valid only for the identical input: it is dropped by a new
 * input, by an inference pass, by the backward pass that used it, and by everything that changes what the layer computes. Where
 * it is missing, it is computed again.
 */
final class KeptPass {

    /** What there is to keep. */
    enum Kept {
        /** The pre-activation. */
        Z,
        /** A copy of it, for the score that DL4J asks for after the gradient. */
        UNSCORED_Z,
        /** The product before layer normalisation. */
        UNNORMALISED,
        /** x·A. */
        U,
        /** The low-rank path's input after its dropout. */
        DROPPED_X
    }

    private final Map<Kept, @Nullable INDArray> arrays = new EnumMap<>(Kept.class);

    /** @param array null if it is not kept */
    void put(Kept what, @Nullable INDArray array) {
        arrays.put(what, array);
    }

    /** An array that has been kept. */
    INDArray get(Kept what) {
        return Objects.requireNonNull(arrays.get(what));
    }

    /** Whether an array is there and its memory is still its own. */
    boolean has(Kept what) {
        return KeptArrays.isUsable(arrays.get(what));
    }

    /** Whether the pre-activation and everything kept with it are still there. */
    boolean isWhole() {
        return arrays.containsKey(Kept.Z) && arrays.values().stream().allMatch(KeptArrays::isUsable);
    }

    void drop() {
        arrays.clear();
    }
}
