package io.github.dl4jlora.internal.untrusted;

import org.nd4j.common.primitives.Triple;
import org.nd4j.linalg.api.buffer.BaseDataBuffer;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * A vector in a zip file as {@code Nd4j.write} writes it: shape information, then values, a header before each. Unlike
 * {@code Nd4j.read} it believes no header: the length is known beforehand, and the shape information, whose strides
 * would say where in memory to look, is skipped. Values come in pieces, or all at once.
 */
final class StoredVector implements AutoCloseable {

    /** Of ND4J's shape information: rank, shape, strides, three more, for at most 32 dimensions. */
    private static final long LONGEST_SHAPE = 2 * 32 + 4;

    private final ZipEntry entry;
    private final CRC32 sum = new CRC32();
    private final DataInputStream in;
    private Triple<DataBuffer.AllocationMode, Long, DataType> values;

    private StoredVector(ZipEntry entry, InputStream in) {
        this.entry = entry;
        this.in = new DataInputStream(new BufferedInputStream(new CheckedInputStream(in, sum), 1 << 16));
    }

    /**
     * @param length    how many values there must be
     * @param mostBytes how many bytes of them the entry can hold
     * @throws IOException if the headers say otherwise, before anything is allocated
     */
    static StoredVector open(ZipFile zip, ZipEntry entry, long length, long mostBytes) throws IOException {
        StoredVector vector = new StoredVector(entry, zip.getInputStream(entry));
        try {
            vector.readHeaders(length, mostBytes);
            return vector;
        } catch (IOException | RuntimeException e) {
            vector.close();
            throw vector.named(e);
        }
    }

    private void readHeaders(long length, long mostBytes) throws IOException {
        Triple<DataBuffer.AllocationMode, Long, DataType> shape = header(in);
        if (shape.getMiddle() < 0 || shape.getMiddle() > LONGEST_SHAPE) {
            throw new IOException("its shape takes " + shape.getMiddle() + " numbers");
        }
        in.skipNBytes(shape.getMiddle() * shape.getRight().width());
        values = header(in);
        DataType type = values.getRight();
        if (!type.isFPType() || values.getMiddle() != length) {
            throw new IOException("it declares " + values.getMiddle() + " values of type " + type
                    + ", but the configuration asks for " + length + " floating-point values");
        }
        if (length > mostBytes / type.width()) {
            throw new IOException(length + " values of type " + type + " would expand the file's entry far more than trained "
                    + "weights do");
        }
    }

    private static Triple<DataBuffer.AllocationMode, Long, DataType> header(DataInputStream in) throws IOException {
        try {
            return BaseDataBuffer.readHeader(in);
        } catch (RuntimeException e) {
            throw new IOException("it has no header of an array", e);
        }
    }

    DataType type() {
        return values.getRight();
    }

    /**
     * @return the next values, in a new array of shape {@code [n]}, in no workspace
     * @throws IOException if they end early
     */
    INDArray next(long n) throws IOException {
        try {
            return RawValues.filled(type(), n, flat -> {
                if (!RawValues.forEachChunkOf(flat, this::fill)) {
                    throw new IOException("its values end early");
                }
            });
        } catch (IOException e) {
            throw named(e);
        }
    }

    /** From the file's order of bytes, which is Java's. */
    private boolean fill(ByteBuffer bytes) throws IOException {
        bytes.order(ByteOrder.nativeOrder());
        byte[] stored = new byte[1 << 16];
        while (bytes.hasRemaining()) {
            int n = Math.min(stored.length, bytes.remaining());
            if (in.readNBytes(stored, 0, n) < n) {
                return false;
            }
            ByteBuffer piece = ByteBuffer.wrap(stored, 0, n);
            switch (type().width()) {
                case Short.BYTES -> bytes.asShortBuffer().put(piece.asShortBuffer());
                case Integer.BYTES -> bytes.asIntBuffer().put(piece.asIntBuffer());
                default -> bytes.asLongBuffer().put(piece.asLongBuffer());
            }
            bytes.position(bytes.position() + n);
        }
        return true;
    }

    /**
     * To be called after the last value.
     *
     * @throws IOException if something follows, or the checksum is another
     */
    void end() throws IOException {
        try {
            if (in.read() >= 0) {
                throw new IOException("its values are followed by more than belongs to them");
            }
            // ZipFile, unlike ZipInputStream, leaves that to its caller.
            if (sum.getValue() != entry.getCrc()) {
                throw new IOException("its checksum is wrong");
            }
        } catch (IOException e) {
            throw named(e);
        }
    }

    /** All values at once, shape {@code [1, length]}; closes this. */
    INDArray all() throws IOException {
        long length = values.getMiddle();
        try (this) {
            INDArray all = next(length);
            try {
                end();
            } catch (IOException e) {
                all.close();
                throw e;
            }
            return Nd4j.create(all.data(), 1, length);
        }
    }

    private IOException named(Exception e) {
        return new IOException(entry.getName() + ": " + e.getMessage(), e);
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
