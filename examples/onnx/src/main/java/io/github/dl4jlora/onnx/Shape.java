package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.layer.Sizes;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * What is known of an input's shape. DL4J's types need numbers, so sizes that are open have those of examples.
 *
 * @param example the type in an example, by its number; those of a pair, 2n and 2n + 1, differ in all open sizes and in no
 *                others; the last one, {@link #ODD}, is in no pair
 * @param ids     whether it holds whole numbers, such as ids of tokens
 */
record Shape(IntFunction<InputType> example, boolean ids) {

    /** Small ones first, which are too small for some networks. All but the primes can be halved often. */
    private static final long[] HEIGHTS = {32, 64, 224, 256, 331, 307, 768, 1024, 1021};
    private static final long[] WIDTHS = {48, 96, 192, 288, 379, 347, 896, 1152, 1031};
    private static final long[] DEPTHS = {16, 80, 160, 320, 353, 401, 640, 832, 1033};
    private static final long[] LENGTHS = {24, 40, 128, 176, 313, 331, 1280, 1344, 1019};

    /** How much larger the second one of a pair is: multiples of many strides. */
    private static final long[] STEPS = {64, 2 * 2 * 2 * 3 * 3 * 5 * 7, 1024, 128 * 3 * 3 * 5 * 7};

    /** The example whose open sizes are odd, and mostly prime: what is halved and doubled again is another size there. */
    static final int ODD = LENGTHS.length - 1;

    /** The number of pairs of examples. */
    static final int PAIRS = LENGTHS.length / 2;

    /** The type itself. */
    static Shape fixed(InputType type) {
        return new Shape(example -> type, false);
    }

    /** A sequence of any length. */
    static Shape sequence(long size, RNNFormat format) {
        return new Shape(example -> InputType.recurrent(size, LENGTHS[example], format), false);
    }

    /** Ids of a sequence of any length, {@code [batch, time]}. */
    static Shape sequenceOfIds() {
        return new Shape(example -> InputType.feedForward(LENGTHS[example]), true);
    }

    /** An image of any size. */
    static Shape image(long channels, CNN2DFormat format) {
        return new Shape(example -> InputType.convolutional(HEIGHTS[example], WIDTHS[example], channels, format), false);
    }

    /** A volume of any size. */
    static Shape volume(long channels, Convolution3D.DataFormat format) {
        return new Shape(example -> InputType.convolutional3D(format, DEPTHS[example], HEIGHTS[example], WIDTHS[example],
                channels), false);
    }

    /** What a user says of an input: a sequence without a length has any. */
    static Shape given(InputType type, boolean ids) {
        if (type instanceof InputType.InputTypeRecurrent sequence && sequence.getTimeSeriesLength() <= 0) {
            return new Shape(sequence(sequence.getSize(), sequence.getFormat()).example, ids);
        }
        // DL4J's own shape of a flat image is that of an image.
        return new Shape(fixed(type instanceof InputType.InputTypeConvolutionalFlat flat
                ? InputType.feedForward(flat.getFlattenedSize()) : type).example, ids);
    }

    /**
     * The same with open sizes, if it is an image or a volume of known ones. Layers of ConvolutionMode.Strict take only sizes
     * that their strides lead through exactly: the known one and a multiple of all strides.
     */
    Shape opened() {
        return new Shape(number -> {
            InputType type = example.apply(number);
            boolean isFirst = number % 2 == 0 && number != ODD;
            return isFirst || !type.equals(example.apply(number - 1)) || type instanceof InputType.InputTypeRecurrent
                    ? type : resized(type, larger(sizes(type), number));
        }, ids);
    }

    /** Each by another step: sizes that are equal in all examples have one name. */
    private static List<Long> larger(List<Long> sizes, int number) {
        return IntStream.range(0, sizes.size()).mapToObj(i -> sizes.get(i) + (number == ODD ? 1 + sizes.get(i) % 2 + 2 * i
                : (i + 1) * STEPS[number / 2])).toList();
    }

    /** The same with so many fewer features or channels as another type has; null if none are left, or it is of another kind. */
    @Nullable Shape without(InputType part) {
        return narrowed(example.apply(0), part) == null ? null : new Shape(number -> narrowed(example.apply(number), part), ids);
    }

    private static @Nullable InputType narrowed(InputType all, InputType part) {
        int axis = Sizes.features(all);
        long left = all.getClass() == part.getClass() ? Sizes.of(all)[axis] - Sizes.of(part)[Sizes.features(part)] : 0;
        return left <= 0 ? null : Sizes.with(all, axis, left);
    }

    /** Whether it has sizes in space. */
    boolean isImage() {
        InputType type = example.apply(0);
        return type instanceof InputType.InputTypeConvolutional || type instanceof InputType.InputTypeConvolutional3D;
    }

    private boolean isOpen() {
        return !example.apply(0).equals(example.apply(1));
    }

    /** Whether a type of the same kind has these channels, format and fixed sizes; true of other kinds. */
    boolean takes(InputType given) {
        InputType type = example.apply(0);
        InputType other = given(given, ids).example.apply(0);
        if (ids && isOpen()) {
            return !(other instanceof InputType.InputTypeRecurrent sequence) || sequence.getSize() == 1;
        }
        boolean hasAnySize = isOpen() || given instanceof InputType.InputTypeRecurrent sequence
                && sequence.getTimeSeriesLength() <= 0;
        return type.getClass() != other.getClass() || (hasAnySize ? resized(type, sizes(other)) : type).equals(other);
    }

    @Override
    public String toString() {
        return ids && isOpen() ? "feedForward(length)" : written(example.apply(0), isOpen());
    }

    /** As the call of InputType that makes it. */
    static String written(InputType type) {
        return written(type, false);
    }

    private static String written(InputType type, boolean open) {
        String sizes = String.join(", ", sizes(type).stream().map(String::valueOf).toList());
        return type instanceof InputType.InputTypeFeedForward vector ? "feedForward(" + vector.getSize() + ")"
                : type instanceof InputType.InputTypeRecurrent sequence ? "recurrent(" + sequence.getSize() + ", "
                + (open || sequence.getTimeSeriesLength() <= 0 ? "" : sizes + ", ") + sequence.getFormat() + ")"
                : type instanceof InputType.InputTypeConvolutional image ? "convolutional(" + (open ? "height, width" : sizes)
                + ", " + image.getChannels() + ", " + image.getFormat() + ")"
                : type instanceof InputType.InputTypeConvolutional3D volume ? "convolutional3D(" + volume.getDataFormat() + ", "
                + (open ? "depth, height, width" : sizes) + ", " + volume.getChannels() + ")" : type.toString();
    }

    /** Sizes in space, or the length; none of a vector. */
    static List<Long> sizes(InputType type) {
        long[] shape = Sizes.of(type);
        return IntStream.range(1, shape.length).filter(axis -> axis != Sizes.features(type)).mapToObj(axis -> shape[axis])
                .toList();
    }

    /** The same type with other {@link #sizes}. */
    static InputType resized(InputType type, List<Long> sizes) {
        long[] shape = Sizes.of(type);
        for (int i = 0; i < sizes.size(); i++) {
            shape[Sizes.areFeaturesLast(type) ? i + 1 : i + 2] = sizes.get(i);
        }
        return Sizes.like(type, shape);
    }
}
