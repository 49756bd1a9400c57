package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.common.primitives.Triple;
import org.nd4j.linalg.api.buffer.BaseDataBuffer;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * An array as {@code Nd4j.write} writes it: shape information, then values, each after a header. Unlike {@code Nd4j.read}, this
 * class believes no header before comparing it with what can be there, and does not use strides, which would say where in memory
 * to look.
 */
final class StoredArray {

    /** Most numbers of ND4J's shape information: rank, shape, strides, three more, for at most 32 dimensions. */
    private static final long LONGEST_SHAPE = 2 * 32 + 4;
    private static final int PIECE = 1 << 16;

    private StoredArray() {
    }

    /** How many numbers of which type follow. */
    record Header(long length, DataType type) {
    }

    static Header header(DataInputStream in) throws IOException {
        try {
            Triple<DataBuffer.AllocationMode, Long, DataType> header = BaseDataBuffer.readHeader(in);
            return new Header(header.getMiddle(), header.getRight());
        } catch (RuntimeException e) {
            throw new IOException("it has no array header", e);
        }
    }

    private static Header shapeHeader(DataInputStream in) throws IOException {
        Header shape = header(in);
        if (shape.length() < 0 || shape.length() > LONGEST_SHAPE) {
            throw new IOException("its shape claims " + shape.length() + " numbers");
        }
        return shape;
    }

    /** Skips the shape information of an array whose shape is known. */
    static void skipShape(DataInputStream in) throws IOException {
        Header shape = shapeHeader(in);
        in.skipNBytes(shape.length() * shape.type().width());
    }

    /**
     * Reads an array of any shape.
     *
     * @param mostBytes that its values may take
     * @return a new array, in no workspace
     * @throws IOException before anything is allocated, if its headers contradict each other or promise more
     */
    static INDArray read(DataInputStream in, long mostBytes) throws IOException {
        long[] information = shapeInformation(in);
        Header values = header(in);
        int rank = (int) information[0];
        long[] shape = Arrays.copyOfRange(information, 1, 1 + rank);
        if (!values.type().isFPType() || values.length() > mostBytes / values.type().width()
                || values.length() != length(shape)) {
            throw new IOException("it declares " + values.length() + " values of type " + values.type() + " for an array of "
                    + "shape " + Arrays.toString(shape) + ", and can hold at most " + mostBytes + " bytes");
        }
        char order = information[information.length - 1] == 'f' ? 'f' : 'c';
        INDArray flat = RawValues.filled(values.type(), values.length(), empty -> {
            if (!RawValues.forEachChunkOf(empty, bytes -> fill(bytes, in, values.type()))) {
                throw new IOException("its values end early");
            }
        });
        return Nd4j.create(flat.data(), shape, Nd4j.getStrides(shape, order), 0, order);
    }

    private static long[] shapeInformation(DataInputStream in) throws IOException {
        Header header = shapeHeader(in);
        long[] information = new long[(int) header.length()];
        for (int i = 0; i < information.length; i++) {
            information[i] = switch (header.type()) {
                case LONG -> in.readLong();
                case INT -> in.readInt();
                default -> throw new IOException("its shape is of type " + header.type());
            };
        }
        if (information.length < 1 || information[0] < 0 || information.length != 2 * information[0] + 4) {
            throw new IOException("its shape is damaged: " + Arrays.toString(information));
        }
        return information;
    }

    private static long length(long[] shape) throws IOException {
        try {
            return Arrays.stream(shape).reduce(1, (product, size) -> {
                if (size < 1) {
                    throw new ArithmeticException();
                }
                return Math.multiplyExact(product, size);
            });
        } catch (ArithmeticException e) {
            throw new IOException("its shape " + Arrays.toString(shape) + " is out of range", e);
        }
    }

    /**
     * Fills a buffer with values from the file, whose byte order is Java's.
     *
     * @return false if they end early
     */
    static boolean fill(ByteBuffer bytes, DataInputStream in, DataType type) throws IOException {
        bytes.order(ByteOrder.nativeOrder());
        byte[] stored = new byte[Math.min(PIECE, bytes.remaining())];
        while (bytes.hasRemaining()) {
            int n = Math.min(stored.length, bytes.remaining());
            if (in.readNBytes(stored, 0, n) < n) {
                return false;
            }
            ByteBuffer piece = ByteBuffer.wrap(stored, 0, n);
            switch (type.width()) {
                case Short.BYTES -> bytes.asShortBuffer().put(piece.asShortBuffer());
                case Integer.BYTES -> bytes.asIntBuffer().put(piece.asIntBuffer());
                default -> bytes.asLongBuffer().put(piece.asLongBuffer());
            }
            bytes.position(bytes.position() + n);
        }
        return true;
    }
}
