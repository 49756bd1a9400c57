package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.common.Views;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What goes into a network, example by example.
 *
 * @param inputs one for each of the network's
 * @param masks  one for each input, null where it has none; null if none has
 */
public record Features(INDArray[] inputs, @Nullable INDArray @Nullable [] masks) {

    /** What features must have in common to be computed in one batch: sizes beyond the batch's, and types. */
    public record Form(List<List<Long>> shapes, List<@Nullable DataType> types) {
    }

    /** @throws IllegalArgumentException if there is no input, one is null or empty, or masks do not go with the inputs */
    public Features(INDArray[] inputs, @Nullable INDArray @Nullable [] masks) {
        // Callers may use their arrays of arrays for another request before this one is computed.
        this.inputs = inputs.clone();
        @Nullable INDArray @Nullable [] own = masks == null ? null : masks.clone();
        if (this.inputs.length == 0) {
            throw new IllegalArgumentException("There is no input");
        }
        for (int i = 0; i < this.inputs.length; i++) {
            INDArray input = this.inputs[i];
            if (input == null || input.isEmpty() || input.rank() == 0) {
                throw new IllegalArgumentException("Input " + i + " is " + (input == null ? "null"
                        : "empty or a scalar: " + Arrays.toString(input.shape())));
            }
        }
        if (own != null) {
            requireMasks(this.inputs, own);
        }
        this.masks = own == null || Arrays.stream(own).allMatch(mask -> mask == null) ? null : own;
    }

    private static void requireMasks(INDArray[] inputs, @Nullable INDArray[] masks) {
        if (masks.length != inputs.length) {
            throw new IllegalArgumentException(inputs.length + (inputs.length == 1 ? " input needs 1 mask" : " inputs need "
                    + inputs.length + " masks") + ", but " + masks.length + (masks.length == 1 ? " was" : " were")
                    + " given. Give null for an input without a mask");
        }
        for (int i = 0; i < masks.length; i++) {
            if (masks[i] != null && (masks[i].rank() == 0 || masks[i].size(0) != inputs[i].size(0))) {
                throw new IllegalArgumentException("Input " + i + " has " + inputs[i].size(0) + " examples, but its mask "
                        + Arrays.toString(masks[i].shape()) + " has " + (masks[i].rank() == 0 ? 0 : masks[i].size(0)));
            }
        }
    }

    /** The size of the batch. */
    public long examples() {
        return inputs[0].size(0);
    }

    /** The same operation on all arrays. */
    Features map(UnaryOperator<INDArray> operation) {
        return new Features(map(inputs, operation), masks == null ? null : map(masks, operation));
    }

    private static @Nullable INDArray[] map(@Nullable INDArray[] arrays, UnaryOperator<INDArray> operation) {
        return Arrays.stream(arrays).map(array -> array == null ? null : operation.apply(array)).toArray(INDArray[]::new);
    }

    /** Views of the examples from the first to before the last. */
    Features rows(long from, long to) {
        return map(array -> Views.rows(array, from, to));
    }

    /** What {@link #concat} needs to be equal. */
    public Form form() {
        List<List<Long>> shapes = new ArrayList<>();
        List<@Nullable DataType> types = new ArrayList<>();
        Stream.concat(Arrays.stream(inputs), masks == null ? Stream.of() : Arrays.stream(masks)).forEach(array -> {
            shapes.add(array == null ? List.of() : Arrays.stream(array.shape()).skip(1).boxed().toList());
            types.add(array == null ? null : array.dataType());
        });
        return new Form(shapes, types);
    }

    /** One batch of several of the same form. */
    public static Features concat(List<Features> parts) {
        Features first = parts.get(0);
        return parts.size() == 1 ? first : new Features(joined(parts.stream().map(Features::inputs).toList()),
                first.masks == null ? null : joined(parts.stream().map(Features::masks).toList()));
    }

    /** Arrays of one place joined by examples; null where the first part has none. */
    static @Nullable INDArray[] joined(List<@Nullable INDArray[]> parts) {
        return IntStream.range(0, parts.get(0).length).mapToObj(i -> parts.get(0)[i] == null ? null
                : Nd4j.concat(0, parts.stream().map(part -> part[i]).toArray(INDArray[]::new))).toArray(INDArray[]::new);
    }
}
