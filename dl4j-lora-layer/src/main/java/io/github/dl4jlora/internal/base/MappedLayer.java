package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.stored.ValuesElsewhere;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
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
                   @JsonProperty("form") @Nullable StoredForm form, @JsonProperty("errors") Map<String, Double> errors,
                   @JsonProperty("sections") List<Section> sections) {

    /** Every section begins at a multiple of this many bytes: a cache line. */
    static final int ALIGNMENT = 64;

    /** A piece of the file, in bytes after the header. */
    record Section(@JsonProperty("offset") long offset, @JsonProperty("length") long length) {

        /** Where the next section may begin. */
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
     * @throws IllegalArgumentException if something is missing, or form, signature and sections do not fit each other
     */
    MappedLayer {
        if (id == null || signature == null || errors == null || sections == null || sections.contains(null)) {
            throw new IllegalArgumentException("an entry of weights lacks id, signature, errors or sections: " + id + ", "
                    + signature);
        }
        errors = Map.copyOf(errors);
        sections = List.copyOf(sections);
        List<Long> lengths = new StoredWeights(signature, form, errors).lengths();
        if (!sections.stream().map(Section::length).toList().equals(lengths)) {
            throw new IllegalArgumentException("the weights " + id + " (" + signature + ") take " + lengths
                    + " bytes, but the sections are " + sections);
        }
    }

    static MappedLayer of(FrozenWeights weights, long from) {
        List<Section> sections = new ArrayList<>();
        long at = from;
        for (long length : StoredWeights.of(weights).lengths()) {
            sections.add(new Section(at, length));
            at = sections.get(sections.size() - 1).end();
        }
        return new MappedLayer(weights.id(), weights.signature(), weights.form(), weights.errors(), sections);
    }

    static long aligned(long position) {
        return (position + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** Where the next layer may begin. */
    long end() {
        return sections.get(sections.size() - 1).end();
    }

    /**
     * The weights where they lie. Nothing is read of arrays and codes.
     *
     * @throws IllegalArgumentException for scales that no matrix has
     */
    FrozenWeights on(Mapping mapping) throws IOException {
        Iterator<Section> next = sections.iterator();
        StoredWeights.Pieces pieces = new StoredWeights.Pieces() {
            @Override
            public QuantizedMatrix matrix(Quantization scheme, StoredForm.Part part) throws IOException {
                return QuantizedMatrix.of(scheme, part.lines(), part.length(), mapping.of(next.next()));
            }

            @Override
            public INDArray array(DataType type, long length) throws IOException {
                return ValuesElsewhere.on(mapping.of(next.next()), type);
            }
        };
        return FrozenWeights.claimed(new StoredWeights(signature, form, errors).mapped(pieces), signature, id);
    }
}
