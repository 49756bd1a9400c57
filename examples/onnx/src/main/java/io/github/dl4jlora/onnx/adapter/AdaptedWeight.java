package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.onnx.adapter.Input.Matrix;
import io.github.dl4jlora.onnx.adapter.Pick.Factors;
import org.jspecify.annotations.Nullable;

import java.util.Map;

/**
 * A weight of the base with values that adapters change.
 *
 * @param matrix  whose rows and columns it is; null for any other
 * @param factors which they are
 * @param picks   of any other, what its values are by input
 */
record AdaptedWeight(@Nullable Matrix matrix, @Nullable Factors factors, Map<Input, Pick> picks) {

    /** @param picks at least one; only what is needed of them is kept, since they are as large as the weight, or larger */
    static AdaptedWeight of(Map<Input, Pick> picks) {
        Map.Entry<Input, Pick> first = picks.entrySet().iterator().next();
        Factors factors = picks.size() == 1 && first.getKey() instanceof Matrix matrix
                ? first.getValue().factors((int) matrix.nOut()) : null;
        return factors == null ? new AdaptedWeight(null, null, picks)
                : new AdaptedWeight((Matrix) first.getKey(), factors, Map.of());
    }

    /** {@return the name of an input that it has values of} */
    String name() {
        return matrix != null ? matrix.name() : picks.keySet().iterator().next().name();
    }
}
