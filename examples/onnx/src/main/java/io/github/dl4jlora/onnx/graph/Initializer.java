package io.github.dl4jlora.onnx.graph;

import onnx.Onnx.TensorProto.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.Supplier;

/**
 * A tensor whose values stand in the file.
 *
 * @param name    of the tensor
 * @param type    of its values
 * @param shape   its sizes
 * @param bytes   of all its values, little-endian
 * @param content writes them
 */
public record Initializer(String name, DataType type, long[] shape, long bytes, Content content) {

    /** Writes a tensor's values, little-endian, in the order of C. */
    @FunctionalInterface
    public interface Content {
        /** Writes them. */
        void writeTo(OutputStream out) throws IOException;
    }

    /** Puts floats into the form that they have in the file. */
    @FunctionalInterface
    interface Encoder {

        /**
         * @param values {@code count} of them from the beginning
         * @param from   the place of the first in the tensor
         * @param to     has room for them
         */
        void encode(float[] values, int count, long from, ByteBuffer to);
    }

    /** Whole numbers. */
    public static Initializer ints(String name, long[] shape, long[] values) {
        return new Initializer(name, DataType.INT64, shape, 8L * values.length, out -> {
            ByteBuffer buffer = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
            Arrays.stream(values).forEach(buffer::putLong);
            out.write(buffer.array());
        });
    }

    /** Values in FLOAT, read when they are written. */
    public static Initializer floats(String name, long[] shape, Supplier<INDArray> values) {
        return encoded(name, DataType.FLOAT, Float.BYTES, shape, values,
                () -> (floats, count, from, to) -> to.asFloatBuffer().put(floats, 0, count));
    }

    /**
     * Values in another type, read when they are written.
     *
     * @param width   bytes of a value
     * @param encoder is made when they are written
     */
    static Initializer encoded(String name, DataType type, int width, long[] shape, Supplier<INDArray> values,
            Supplier<Encoder> encoder) {
        return new Initializer(name, type, shape, width * count(shape), out -> {
            INDArray array = values.get();
            if (array.length() != count(shape)) {
                throw new IllegalStateException("Weight \"" + name + "\" has " + array.length() + " values; its shape is "
                        + Arrays.toString(shape));
            }
            Encoder own = encoder.get();
            ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(width * array.length(), width * (long) Values.PIECE))
                    .order(ByteOrder.LITTLE_ENDIAN);
            Values.forEachPiece(name, array, (floats, count, from) -> {
                own.encode(floats, count, from, bytes.clear());
                out.write(bytes.array(), 0, width * count);
            });
        });
    }

    /** {@return the number of values of a shape} */
    public static long count(long... shape) {
        return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    }
}
