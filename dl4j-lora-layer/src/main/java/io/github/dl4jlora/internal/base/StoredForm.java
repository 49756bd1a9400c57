package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonIgnore;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;

/**
 * What quantised weights were made of, and how: enough to make the same again from the original values.
 *
 * @param scheme of the matrices
 * @param baseId content id of the original values
 * @param parts  all parameters of the layer, in the order of the flat values, without gaps
 */
public record StoredForm(@JsonProperty("scheme") Quantization scheme, @JsonProperty("baseId") String baseId,
                         @JsonProperty("parts") List<Part> parts) implements Serializable {

    private static final long serialVersionUID = 1L;

    /**
     * One parameter.
     *
     * @param key         DL4J's
     * @param lines       into how many lines it is cut; 0 for a parameter that stays as it is
     * @param length      of a line; for a parameter that stays as it is, the number of its values
     * @param interleaved whether place i of line l is value {@code i · lines + l}; otherwise it is {@code l · length + i}
     */
    public record Part(@JsonProperty("key") String key, @JsonProperty("lines") long lines, @JsonProperty("length") long length,
                       @JsonProperty("interleaved") boolean interleaved) implements Serializable {

        private static final long serialVersionUID = 1L;

        /**
         * @throws IllegalArgumentException for a part without a key, or of a size out of range
         */
        public Part {
            if (key == null || lines < 0 || length < 1 || lines > Long.MAX_VALUE / Math.max(1, length)) {
                throw new IllegalArgumentException("a part \"" + key + "\" cannot have " + lines + " lines of "
                        + length + " values");
            }
        }

        /** Whether its values are in fewer bits. */
        @JsonIgnore
        public boolean isQuantized() {
            return lines > 0;
        }

        /** The number of values. */
        long size() {
            return Math.max(1, lines) * length;
        }

        /**
         * Bytes of its values as they are kept.
         *
         * @param type of parameters that stay as they are
         * @throws ArithmeticException if they cannot be counted
         */
        long bytes(Quantization scheme, DataType type) {
            return isQuantized() ? QuantizedMatrix.bytes(scheme, lines, length)
                    : Math.multiplyExact(length, (long) type.width());
        }
    }

    /**
     * @throws IllegalArgumentException if one is null, or the layer has more parameters than a layer has
     * @throws ArithmeticException      if it has more values than can be counted
     */
    public StoredForm {
        if (scheme == null || baseId == null || parts == null || parts.stream().anyMatch(Objects::isNull)) {
            throw new IllegalArgumentException("A description of quantised weights is damaged: scheme " + scheme + ", base "
                    + baseId + ", parts " + parts + ". Restore the configuration from its file, or adapt the base again");
        }
        Signature.requireFew(parts.size());
        parts = List.copyOf(parts);
        long sum = 0;
        for (Part part : parts) {
            // Throws where the sum is out of range.
            sum = Math.addExact(sum, part.size());
        }
    }

    /** The part of the content id's input that is not values. */
    String text() {
        StringBuilder text = new StringBuilder(scheme + " of " + baseId);
        parts.forEach(part -> text.append(' ').append(part.key).append('[').append(part.lines).append(',').append(part.length)
                .append(part.interleaved ? ",interleaved]" : "]"));
        return text.toString();
    }

    /** @throws NoSuchElementException if there is no part with that key */
    Part part(String key) {
        return parts.stream().filter(part -> part.key().equals(key)).findFirst().orElseThrow();
    }

    long length() {
        return parts.stream().mapToLong(Part::size).sum();
    }

    /**
     * The parts of a layer.
     *
     * @param flat     its values
     * @param table    its parameters, views of them
     * @param matrices those to quantise, each a view {@code [length, lines]} of its parameter whose columns are lines
     * @return null if one of the matrices has its lines neither one after the other nor interleaved, or if parameters leave gaps
     */
    public static @Nullable List<Part> parts(INDArray flat, Map<String, INDArray> table, Map<String, INDArray> matrices) {
        List<Map.Entry<String, INDArray>> inOrder = new ArrayList<>(table.entrySet());
        inOrder.sort(Comparator.comparingLong(parameter -> parameter.getValue().offset()));
        List<Part> parts = new ArrayList<>();
        long at = flat.offset();
        for (Map.Entry<String, INDArray> entry : inOrder) {
            String key = entry.getKey();
            INDArray parameter = entry.getValue();
            INDArray matrix = matrices.get(key);
            Part part = matrix != null ? quantized(key, matrix) : new Part(key, 0, parameter.length(), false);
            if (part == null || parameter.offset() != at) {
                return null;
            }
            at += part.size();
            parts.add(part);
        }
        return at - flat.offset() == flat.length() ? parts : null;
    }

    private static @Nullable Part quantized(String key, INDArray m) {
        long length = m.size(0);
        long lines = m.size(1);
        boolean follow = (length == 1 || m.stride(0) == 1) && (lines == 1 || m.stride(1) == length);
        boolean interleave = (length == 1 || m.stride(0) == lines) && (lines == 1 || m.stride(1) == 1);
        return follow || interleave ? new Part(key, lines, length, !follow) : null;
    }
}
