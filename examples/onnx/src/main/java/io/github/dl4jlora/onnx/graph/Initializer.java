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

    private static final int CHUNK = 1 << 16;

    /** Writes a tensor's values, little-endian, in the order of C. */
    @FunctionalInterface
    public interface Content {
        /** Writes them. */
        void writeTo(OutputStream out) throws IOException;
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
        return new Initializer(name, DataType.FLOAT, shape, 4 * count(shape), out -> writeFloats(name, shape, values.get(), out));
    }

    /** {@return the number of values of a shape} */
    public static long count(long... shape) {
        return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    }

    private static void writeFloats(String name, long[] shape, INDArray values, OutputStream out) throws IOException {
        if (values.length() != count(shape)) {
            throw new IllegalStateException("Weight \"" + name + "\" has " + values.length() + " values; its shape is "
                    + Arrays.toString(shape));
        }
        INDArray flat = values.castTo(org.nd4j.linalg.api.buffer.DataType.FLOAT).dup('c').reshape(values.length());
        ByteBuffer buffer = ByteBuffer.allocate(4 * CHUNK).order(ByteOrder.LITTLE_ENDIAN);
        for (long i = 0; i < flat.length(); i++) {
            float value = flat.data().getFloat(flat.offset() + i);
            if (!Float.isFinite(value)) {
                throw new IllegalArgumentException("Weight \"" + name + "\" holds NaN or infinity; nothing was written. Train the "
                        + "network with a lower learning rate, or restore an earlier state");
            }
            buffer.putFloat(value);
            if (!buffer.hasRemaining()) {
                out.write(buffer.array());
                buffer.clear();
            }
        }
        out.write(buffer.array(), 0, buffer.position());
    }
}
