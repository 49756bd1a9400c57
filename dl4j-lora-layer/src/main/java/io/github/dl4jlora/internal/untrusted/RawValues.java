package io.github.dl4jlora.internal.untrusted;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.concurrency.AffinityManager;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.security.MessageDigest;

/**
 * The little-endian bytes of flat arrays, a chunk at a time, whatever backend holds them.
 */
public final class RawValues {

    private static final int CHUNK = 1 << 20;
    private static final int PIECE = 1 << 13;

    /** Takes one chunk. */
    @FunctionalInterface
    private interface Sink {
        void accept(ByteBuffer bytes) throws IOException;
    }

    /** Gives one chunk. */
    @FunctionalInterface
    public interface Source {
        boolean fill(ByteBuffer bytes) throws IOException;
    }

    private RawValues() {
    }

    /** @param flat shape {@code [n]} */
    public static void write(INDArray flat, OutputStream out) throws IOException {
        // Not through a channel, which closes the stream under an interrupted thread.
        byte[] piece = new byte[PIECE];
        forEachChunk(flat, bytes -> {
            while (bytes.hasRemaining()) {
                int count = Math.min(piece.length, bytes.remaining());
                bytes.get(piece, 0, count);
                out.write(piece, 0, count);
            }
        });
    }

    /** @param flat shape {@code [n]} */
    public static void digest(INDArray flat, MessageDigest digest) {
        try {
            forEachChunk(flat, digest::update);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** All values in 'c' order, shape {@code [n]}; a copy only if they do not lie in that order. */
    static INDArray flat(INDArray array) {
        return (isFlat(array) ? array : array.dup('c')).reshape(array.length());
    }

    /** Whether an array's values lie one after the other, in 'c' order. */
    static boolean isFlat(INDArray array) {
        return array.ordering() == 'c' && array.elementWiseStride() == 1;
    }

    /**
     * Finds NaN or infinity by the bits of the values: ND4J's own conditions miss some in HALF and BFLOAT16.
     *
     * @param array of any shape
     * @return the position in 'c' order of the first; -1 if all are finite
     */
    public static long firstNotFinite(INDArray array) {
        long[] found = {-1, 0};
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            forEachChunk(flat(array), bytes -> {
                int position = found[0] < 0 ? StoredType.of(array.dataType()).firstNotFinite(bytes) : -1;
                found[0] = position < 0 ? found[0] : found[1] + position;
                found[1] += CHUNK;
            });
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return found[0];
    }

    private static void forEachChunk(INDArray flat, Sink sink) throws IOException {
        long n = flat.length();
        for (long from = 0; from < n; from += CHUNK) {
            long to = Math.min(n, from + CHUNK);
            // An array of its own per chunk: a view's buffer would hand out the whole parameter vector.
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
                 INDArray chunk = Nd4j.createUninitialized(flat.dataType(), to - from)) {
                chunk.assign(flat.get(NDArrayIndex.interval(from, to)));
                sink.accept(bytesOf(chunk));
            }
        }
    }

    private static ByteBuffer bytesOf(INDArray owned) {
        Nd4j.getExecutioner().commit();
        Nd4j.getAffinityManager().ensureLocation(owned, AffinityManager.Location.HOST);
        ByteBuffer bytes = owned.data().asNio();
        bytes.rewind();
        return bytes;
    }

    /**
     * Reads values, and nothing of the source beyond them.
     *
     * @param shape of no more values than the source can hold
     * @return that shape, 'c' order
     * @throws EOFException if there are fewer
     */
    public static INDArray read(InputStream in, DataType type, long... shape) throws IOException {
        return filled(type, shape, values -> {
            if (!fill(values, Channels.newChannel(in))) {
                throw new EOFException("It ends before " + values.length() + " values of type " + type);
            }
        });
    }

    /**
     * Fills an array.
     *
     * @param <E> what the filling throws
     */
    @FunctionalInterface
    public interface Filling<E extends Exception> {
        void fill(INDArray flat) throws E;
    }

    /**
     * A new array that is filled, or freed at once if that fails: arrays that wait for the collector would add up when damaged
     * files are tried one after the other.
     *
     * @return shape {@code [length]}, in no workspace
     */
    public static <E extends Exception> INDArray filled(DataType type, long length, Filling<E> filling) throws E {
        return filled(type, new long[] {length}, filling);
    }

    /** As {@link #filled(DataType, long, Filling)}, of any shape, 'c' order; not a view, since a view could not be closed. */
    static <E extends Exception> INDArray filled(DataType type, long[] shape, Filling<E> filling) throws E {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray values = Nd4j.createUninitialized(type, shape, 'c');
            boolean filled = false;
            try {
                filling.fill(values.reshape(values.length()));
                filled = true;
                return values;
            } finally {
                if (!filled) {
                    values.close();
                }
            }
        }
    }

    /**
     * Reads all of an array's values.
     *
     * @param flat shape {@code [n]}
     * @return false if there were fewer
     */
    static boolean fill(INDArray flat, ReadableByteChannel channel) throws IOException {
        return forEachChunkOf(flat, bytes -> fill(bytes, channel));
    }

    /**
     * Fills an array one chunk after the other.
     *
     * @param flat   shape {@code [n]}
     * @param source fills a chunk's bytes; false if it cannot
     * @return false if the source returned false
     */
    public static boolean forEachChunkOf(INDArray flat, Source source) throws IOException {
        long length = flat.length();
        for (long from = 0; from < length; from += CHUNK) {
            long to = Math.min(length, from + CHUNK);
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
                 INDArray chunk = Nd4j.createUninitialized(flat.dataType(), to - from)) {
                if (!source.fill(bytesOf(chunk))) {
                    return false;
                }
                Nd4j.getAffinityManager().tagLocation(chunk, AffinityManager.Location.HOST);
                flat.get(NDArrayIndex.interval(from, to)).assign(chunk);
            }
        }
        return true;
    }

    static boolean fill(ByteBuffer bytes, ReadableByteChannel channel) throws IOException {
        while (bytes.hasRemaining()) {
            if (channel.read(bytes) < 0) {
                return false;
            }
        }
        return true;
    }
}
