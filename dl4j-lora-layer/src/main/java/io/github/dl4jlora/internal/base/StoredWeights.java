package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a file says of one layer's weights.
 *
 * @param signature of the original values
 * @param form      how they are kept; null for an array
 * @param errors    what quantising lost of each matrix: ‖W − Q(W)‖ / ‖W‖, by key
 */
public record StoredWeights(@JsonProperty("signature") String signature, @JsonProperty("form") @Nullable StoredForm form,
                            @JsonProperty("errors") Map<String, Double> errors) {

    /** The source of pieces, which are asked for in their order. */
    interface Pieces {

        QuantizedMatrix matrix(Quantization scheme, StoredForm.Part part) throws IOException;

        /** Shape {@code [length]}. */
        INDArray array(DataType type, long length) throws IOException;
    }

    /**
     * @throws IllegalArgumentException if one is missing, or they describe different parameters
     */
    public StoredWeights {
        if (signature == null || errors == null) {
            throw new IllegalArgumentException("weights without signature or errors: " + signature);
        }
        if (form == null) {
            Signature.of(signature);
        } else {
            Signature.of(signature).requireOf(form);
        }
        errors = Map.copyOf(errors);
    }

    public static StoredWeights of(FrozenWeights weights) {
        return new StoredWeights(weights.signature(), weights.form(), weights.errors());
    }

    /**
     * The bytes of each piece: one for an array, else one for each part.
     *
     * @throws ArithmeticException if they cannot be counted
     */
    List<Long> lengths() {
        Signature of = Signature.of(signature);
        return form == null ? List.of(of.bytes())
                : form.parts().stream().map(part -> part.bytes(form.scheme(), of.type())).toList();
    }

    /**
     * Bytes of all values.
     *
     * @throws ArithmeticException if they cannot be counted
     */
    public long bytes() {
        return lengths().stream().reduce(0L, Math::addExact);
    }

    /**
     * Reads the weights, one piece after the other.
     *
     * @param id that they must have
     * @throws IllegalArgumentException if they are damaged
     * @throws IOException              if they end early, or go on
     */
    public FrozenWeights read(InputStream in, String id) throws IOException {
        Pieces pieces = new Pieces() {
            @Override
            public QuantizedMatrix matrix(Quantization scheme, StoredForm.Part part) throws IOException {
                return QuantizedMatrix.read(scheme, part.lines(), part.length(), in);
            }

            @Override
            public INDArray array(DataType type, long length) throws IOException {
                return RawValues.read(in, type, length);
            }
        };
        Storage storage;
        try {
            storage = form == null ? new ArrayStorage(whole(pieces), true) : quantized(form, pieces);
        } catch (EOFException e) {
            throw new IOException("the frozen weights \"" + signature + "\" end early: " + e.getMessage(), e);
        }
        if (in.read() >= 0) {
            storage.discard();
            throw new IOException("the frozen weights \"" + signature + "\" are followed by surplus data");
        }
        return FrozenWeights.read(storage, signature, id);
    }

    /**
     * A storage on the pieces where they lie. Nothing is read of arrays and codes.
     *
     * @throws IllegalArgumentException for scales that no matrix has
     */
    Storage mapped(Pieces pieces) throws IOException {
        return form == null ? ArrayStorage.mapped(whole(pieces)) : quantized(form, pieces);
    }

    private INDArray whole(Pieces pieces) throws IOException {
        Signature of = Signature.of(signature);
        return pieces.array(of.type(), of.length());
    }

    private Storage quantized(StoredForm kept, Pieces pieces) throws IOException {
        Signature of = Signature.of(signature);
        Map<String, QuantizedMatrix> matrices = new LinkedHashMap<>();
        Map<String, INDArray> rest = new LinkedHashMap<>();
        for (StoredForm.Part part : kept.parts()) {
            if (part.isQuantized()) {
                matrices.put(part.key(), pieces.matrix(kept.scheme(), part));
            } else {
                rest.put(part.key(), pieces.array(of.type(), part.length()));
            }
        }
        return new QuantizedStorage(kept, of, matrices, rest, errors);
    }
}
