package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.untrusted.StandIn;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the header of a {@link MappedFile} says of one layer's weights.
 *
 * @param id        that they claim
 * @param signature of the original values
 * @param form      how they are kept; null for an array
 * @param errors    what quantising lost of each matrix, by key
 * @param sections  where each piece lies: one for an array, else one for each part
 */
record MappedLayer(@JsonProperty("id") String id, @JsonProperty("signature") String signature,
                   @JsonProperty("form") StoredForm form, @JsonProperty("errors") Map<String, Double> errors,
                   @JsonProperty("sections") List<Section> sections) {

    /** What every section begins at a multiple of, in bytes: a cache line. */
    static final int ALIGNMENT = 64;

    /** A piece of the file, in bytes after the header. */
    record Section(@JsonProperty("offset") long offset, @JsonProperty("length") long length) {

        /** Where the next one may begin. */
        long end() {
            return aligned(offset + length);
        }
    }

    /** Gives memory of the file. */
    @FunctionalInterface
    interface Mapping {
        ByteBuffer of(Section section) throws IOException;
    }

    /**
     * @throws IllegalArgumentException if something is missing, or form, signature and sections tell of different values
     */
    MappedLayer {
        if (id == null || signature == null || errors == null || sections == null || sections.contains(null)) {
            throw new IllegalArgumentException("an entry of weights lacks id, signature, errors or sections: " + id + ", "
                    + signature);
        }
        errors = Map.copyOf(errors);
        sections = List.copyOf(sections);
        List<Long> lengths = lengths(signature, form);
        if (!sections.stream().map(Section::length).toList().equals(lengths)) {
            throw new IllegalArgumentException("the weights " + id + " (" + signature + ") take " + lengths
                    + " bytes, but lie in " + sections);
        }
    }

    static MappedLayer of(FrozenWeights weights, long from) {
        List<Section> sections = new ArrayList<>();
        long at = from;
        for (long length : lengths(weights.signature(), weights.form())) {
            sections.add(new Section(at, length));
            at = sections.get(sections.size() - 1).end();
        }
        return new MappedLayer(weights.id(), weights.signature(), weights.form(), weights.errors(), sections);
    }

    static long aligned(long position) {
        return (position + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** The bytes of each piece. */
    private static List<Long> lengths(String signature, StoredForm form) {
        DataType type = FrozenWeights.type(signature);
        if (form != null) {
            FrozenWeights.requireLike(form, signature);
            return form.bytes(type);
        }
        long length = 0;
        for (long[] shape : FrozenWeights.shapesByKey(signature).values()) {
            length = Math.addExact(length, QuantizedStorage.product(shape));
        }
        if (!type.isFPType() || length < 1) {
            throw new IllegalArgumentException("\"" + signature + "\" describes no layer's parameters");
        }
        return List.of(Math.multiplyExact(length, (long) type.width()));
    }

    /** Where what comes after it may begin. */
    long end() {
        return sections.get(sections.size() - 1).end();
    }

    /**
     * The weights where they lie. Of arrays and codes nothing is read.
     *
     * @throws IllegalArgumentException for scales that no matrix has
     */
    FrozenWeights on(Mapping mapping) throws IOException {
        DataType type = FrozenWeights.type(signature);
        if (form == null) {
            INDArray values = StandIn.on(mapping.of(sections.get(0)), type);
            return FrozenWeights.claimed(ArrayStorage.mapped(values), signature, id);
        }
        Map<String, QuantizedMatrix> matrices = new LinkedHashMap<>();
        Map<String, INDArray> rest = new LinkedHashMap<>();
        for (int i = 0; i < sections.size(); i++) {
            StoredForm.Part part = form.parts().get(i);
            ByteBuffer memory = mapping.of(sections.get(i));
            if (part.isQuantized()) {
                matrices.put(part.key(), QuantizedMatrix.of(form.scheme(), part.lines(), part.length(), memory));
            } else {
                rest.put(part.key(), StandIn.on(memory, type));
            }
        }
        Map<String, long[]> shapes = FrozenWeights.shapesByKey(signature);
        return FrozenWeights.claimed(new QuantizedStorage(form, type, shapes, matrices, rest, errors), signature, id);
    }
}
