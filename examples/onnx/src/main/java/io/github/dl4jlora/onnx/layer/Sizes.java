package io.github.dl4jlora.onnx.layer;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;

import java.util.Arrays;

/** Shapes of what flows, with the number of examples as the first size; -1 for what is not known. */
final class Sizes {

    private Sizes() {
    }

    /** {@return sizes in the order of DL4J's dimensions} */
    static long[] of(InputType type) {
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

    /** The type with another size in one dimension. */
    static InputType with(InputType type, int axis, long size) {
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

    private static InputType like(InputType type, long[] shape) {
        if (type instanceof InputType.InputTypeRecurrent) {
            return isTimeLast(type) ? InputType.recurrent(shape[1], shape[2], RNNFormat.NCW)
                    : InputType.recurrent(shape[2], shape[1], RNNFormat.NWC);
        }
        if (type instanceof InputType.InputTypeConvolutional image) {
            boolean first = image.getFormat() == CNN2DFormat.NCHW;
            return first ? InputType.convolutional(shape[2], shape[3], shape[1], image.getFormat())
                    : InputType.convolutional(shape[1], shape[2], shape[3], image.getFormat());
        }
        if (type instanceof InputType.InputTypeConvolutional3D video) {
            boolean first = video.getDataFormat() == Convolution3D.DataFormat.NCDHW;
            return first ? InputType.convolutional3D(video.getDataFormat(), shape[2], shape[3], shape[4], shape[1])
                    : InputType.convolutional3D(video.getDataFormat(), shape[1], shape[2], shape[3], shape[4]);
        }
        return type instanceof InputType.InputTypeFeedForward row
                ? InputType.feedForward(shape[1], row.getTimeDistributedFormat()) : InputType.feedForward(shape[1]);
    }
}
