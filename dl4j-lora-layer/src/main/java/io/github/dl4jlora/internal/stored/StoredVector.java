package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * A vector in a zip file, stored as a {@link StoredArray}. Its length is known beforehand, so its shape information is skipped.
 * Values are read in pieces, or all at once.
 */
final class StoredVector implements AutoCloseable {

    private final ZipEntry entry;
    private final CRC32 sum = new CRC32();
    private final DataInputStream in;
    private StoredArray.Header values;

    /** {@link #open} reads the headers before it gives the vector to anybody. */
    @SuppressWarnings("NullAway.Init")
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
        StoredArray.skipShape(in);
        values = StoredArray.header(in);
        DataType type = values.type();
        if (!type.isFPType() || values.length() != length) {
            throw new IOException("it declares " + values.length() + " values of type " + type
                    + ", but the configuration asks for " + length + " floating-point values");
        }
        if (length > mostBytes / type.width()) {
            throw new IOException(length + " values of type " + type + " would expand the file's entry far more than trained "
                    + "weights do");
        }
    }

    DataType type() {
        return values.type();
    }

    /**
     * @return the next values, in a new array of shape {@code [n]}, in no workspace
     * @throws IOException if they end early
     */
    INDArray next(long n) throws IOException {
        try {
            return RawValues.filled(type(), n, flat -> {
                if (!RawValues.forEachChunkOf(flat, bytes -> StoredArray.fill(bytes, in, type()))) {
                    throw new IOException("its values end early");
                }
            });
        } catch (IOException e) {
            throw named(e);
        }
    }

    /**
     * To be called after the last value.
     *
     * @throws IOException if something follows, or the checksum does not match
     */
    void end() throws IOException {
        try {
            if (in.read() >= 0) {
                throw new IOException("its values are followed by surplus data");
            }
            // ZipFile, unlike ZipInputStream, leaves this check to its caller.
            if (sum.getValue() != entry.getCrc()) {
                throw new IOException("its checksum is wrong");
            }
        } catch (IOException e) {
            throw named(e);
        }
    }

    /** All values at once, shape {@code [1, length]}; closes this. */
    INDArray all() throws IOException {
        long length = values.length();
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
