package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.StoredForm;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What the index of a file says of one layer's quantised weights.
 *
 * @param signature of the original values
 * @param form      how they are kept
 * @param errors    what quantising lost of each matrix: ‖W − Q(W)‖ / ‖W‖, by key
 */
record StoredWeights(@JsonProperty("signature") String signature, @JsonProperty("form") StoredForm form,
                     @JsonProperty("errors") Map<String, Double> errors) {

    /**
     * @throws IllegalArgumentException if one is missing, or they tell of different parameters
     */
    StoredWeights {
        if (signature == null || form == null || errors == null) {
            throw new IllegalArgumentException("quantised weights without signature, form or errors");
        }
        FrozenWeights.requireLike(form, signature);
        errors = Map.copyOf(errors);
    }

    static StoredWeights of(FrozenWeights weights) {
        return new StoredWeights(weights.signature(), weights.form(), weights.errors());
    }

    private DataType type() {
        return FrozenWeights.type(signature);
    }

    /**
     * Bytes of all values.
     *
     * @throws ArithmeticException if they cannot be counted
     */
    long bytes() {
        return form.bytes(type()).stream().reduce(0L, Math::addExact);
    }

    /**
     * @param id that they are to have
     * @return the weights
     * @throws IllegalArgumentException if they are damaged
     * @throws IOException              if they end early, or go on
     */
    FrozenWeights read(InputStream in, String id) throws IOException {
        Map<String, QuantizedMatrix> matrices = new LinkedHashMap<>();
        Map<String, INDArray> rest = new LinkedHashMap<>();
        for (StoredForm.Part part : form.parts()) {
            if (part.isQuantized()) {
                matrices.put(part.key(), QuantizedMatrix.read(form.scheme(), part.lines(), part.length(), in));
            } else {
                rest.put(part.key(), RawValues.readSome(in, type(), part.length()));
            }
        }
        if (in.read() >= 0) {
            throw new IOException("the frozen weights \"" + signature + "\" are followed by more than belongs to them");
        }
        return FrozenWeights.read(form, matrices, rest, errors, signature, id);
    }
}
