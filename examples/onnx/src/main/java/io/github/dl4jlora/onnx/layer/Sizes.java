package io.github.dl4jlora.onnx.layer;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;

import java.util.Arrays;

/** Shapes of what flows, with the number of examples as the first size; -1 for what is not known. */
public final class Sizes {

    private Sizes() {
    }

    /** {@return sizes in the order of DL4J's dimensions} */
    public static long[] of(InputType type) {
        // DL4J's own shape of a flat image is that of an image.
        return type instanceof InputType.InputTypeConvolutionalFlat flat ? new long[]{-1, flat.getFlattenedSize()}
                : type.getShape(true);
    }

    /** {@return the number of dimensions} */
    static int rank(InputType type) {
        return of(type).length;
    }

    /** Whether the type is that of sequences, whose mask is [batch, time] and not one column. */
    static boolean isSequence(InputType type) {
        return type.getType() == InputType.Type.RNN;
    }

    /** Whether the type is that of sequences [batch, size, time]. */
    static boolean isTimeLast(InputType type) {
        return type instanceof InputType.InputTypeRecurrent sequence && sequence.getFormat() != RNNFormat.NWC;
    }

    /** Whether features or channels are the last of several dimensions. */
    public static boolean areFeaturesLast(InputType type) {
        return type instanceof InputType.InputTypeConvolutional image && image.getFormat() == CNN2DFormat.NHWC
                || type instanceof InputType.InputTypeRecurrent sequence && sequence.getFormat() == RNNFormat.NWC
                || type instanceof InputType.InputTypeConvolutional3D volume
                        && volume.getDataFormat() == Convolution3D.DataFormat.NDHWC;
    }

    /** {@return the dimension of features or channels} */
    public static int features(InputType type) {
        return areFeaturesLast(type) ? rank(type) - 1 : 1;
    }

    /** The type with another size in one dimension. */
    public static InputType with(InputType type, int axis, long size) {
        long[] shape = of(type);
        shape[axis] = size;
        return like(type, shape);
    }

    /** The type with the largest size in each dimension, as broadcasting makes it. */
    static InputType largest(InputType first, InputType second) {
        long[] shape = of(first);
        long[] other = of(second);
        if (shape.length < other.length) {
            return largest(second, first);
        }
        for (int i = 1; i <= other.length; i++) {
            int axis = shape.length - i;
            long size = other[other.length - i];
            shape[axis] = size < 0 && shape[axis] == 1 ? size : Math.max(size, shape[axis]);
        }
        return Arrays.equals(shape, of(first)) ? first : like(first, shape);
    }

    /** The type with other sizes, in the order of {@link #of}. */
    public static InputType like(InputType type, long[] shape) {
        int last = areFeaturesLast(type) ? 1 : 0;
        long features = shape[features(type)];
        if (type instanceof InputType.InputTypeRecurrent sequence) {
            return InputType.recurrent(features, shape[2 - last], sequence.getFormat());
        }
        if (type instanceof InputType.InputTypeConvolutional image) {
            return InputType.convolutional(shape[2 - last], shape[3 - last], features, image.getFormat());
        }
        if (type instanceof InputType.InputTypeConvolutional3D volume) {
            return InputType.convolutional3D(volume.getDataFormat(), shape[2 - last], shape[3 - last], shape[4 - last], features);
        }
        return type instanceof InputType.InputTypeFeedForward row
                ? InputType.feedForward(shape[1], row.getTimeDistributedFormat()) : InputType.feedForward(shape[1]);
    }
}
