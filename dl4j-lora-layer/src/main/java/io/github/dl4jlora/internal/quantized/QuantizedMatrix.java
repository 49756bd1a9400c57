package io.github.dl4jlora.internal.quantized;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.common.Views;
import org.bytedeco.javacpp.BytePointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.util.Arrays;

/**
 * A matrix in fewer bits, immutable: the codes of all lines, one after the other, then the scales of all lines, outside Java's
 * heap.
 */
public final class QuantizedMatrix {

    /** Values, or bytes, that go through Java's heap at a time. */
    private static final int CHUNK = 1 << 16;
    /** Values, or bytes, of a line. */
    private static final int MOST = Integer.MAX_VALUE - Long.BYTES;

    private static final ThreadLocal<Room> ROOM = ThreadLocal.withInitial(Room::new);

    /** Codes and scales in Java's heap, of the lines that a thread gives back. */
    private static final class Room {

        private byte[] codes = new byte[0];
        private ByteBuffer scales = littleEndian(0);

        void read(BytePointer fromCodes, int codeBytes, BytePointer fromScales, int scaleBytes) {
            codes = codes.length < codeBytes ? new byte[codeBytes] : codes;
            scales = scales.capacity() < scaleBytes ? littleEndian(scaleBytes) : scales;
            fromCodes.get(codes, 0, codeBytes);
            if (scaleBytes > 0) {
                fromScales.get(scales.array(), 0, scaleBytes);
            }
        }
    }

    private final Quantization scheme;
    private final LineCodec form;
    private final long lines;
    private final int length;
    private final int codeBytes;
    private final int scaleBytes;
    private final BytePointer codes;
    private final BytePointer scales;
    private double relativeError = Double.NaN;

    /** Gives the lines of a matrix in their order. */
    @FunctionalInterface
    public interface Source {

        /**
         * Asked once for each line, from the first to the last.
         *
         * @param values overwritten by those of the line
         */
        void fill(long line, float[] values);
    }

    /** Takes lines that are given back. */
    @FunctionalInterface
    public interface Sink {

        /** @param values {@code count · length} from their beginning, line after line, overwritten afterwards */
        void put(long line, int count, float[] values);
    }

    /** Fills memory, or reads it. */
    @FunctionalInterface
    private interface Transfer {
        void run(byte[] bytes, int count) throws IOException;
    }

    private QuantizedMatrix(Quantization scheme, long lines, long length, @Nullable ByteBuffer codes,
                            @Nullable ByteBuffer scales) {
        this.scheme = scheme;
        form = LineCodec.of(scheme);
        if (lines < 1 || length < 1 || length > MOST || form.codeBytes(length) > MOST) {
            throw new IllegalArgumentException("A matrix cannot have " + lines + " lines of " + length + " values each");
        }
        this.lines = lines;
        this.length = (int) length;
        codeBytes = (int) form.codeBytes(length);
        scaleBytes = (int) form.scaleBytes(length);
        this.codes = memory("codes", codes, codeBytes);
        this.scales = memory("scales", scales, scaleBytes);
    }

    /** @param given null for new memory */
    private BytePointer memory(String name, @Nullable ByteBuffer given, int each) {
        long bytes = Math.multiplyExact(lines, (long) each);
        if (given != null && (!given.isDirect() || given.remaining() != bytes)) {
            throw new IllegalArgumentException("The " + name + " of " + lines + " " + scheme + " lines of " + length
                    + " values must be " + bytes + " bytes outside the heap, but are " + given.remaining() + (given.isDirect()
                    ? "" : " inside it"));
        }
        // JavaCPP takes an empty buffer of a mapped file for none.
        return given == null || bytes == 0 ? new BytePointer(bytes) : new BytePointer(given.slice());
    }

    /**
     * Quantises a matrix.
     *
     * @param length values of each line
     * @throws IllegalArgumentException for values that are not finite
     */
    public static QuantizedMatrix of(Quantization scheme, long lines, long length, Source source) {
        QuantizedMatrix matrix = new QuantizedMatrix(scheme, lines, length, null, null);
        matrix.store(source);
        return matrix;
    }

    /**
     * A matrix on existing codes and scales, which stay as they are.
     *
     * @param codes  what remains of a direct buffer
     * @param scales likewise
     * @throws IllegalArgumentException for memory of another size, or scales that no matrix has
     */
    public static QuantizedMatrix of(Quantization scheme, long lines, long length, ByteBuffer codes, ByteBuffer scales) {
        QuantizedMatrix matrix = new QuantizedMatrix(scheme, lines, length, codes, scales);
        matrix.checkScales();
        return matrix;
    }

    /**
     * As {@link #of(Quantization, long, long, ByteBuffer, ByteBuffer)}, for what {@link #write} has written, in its place.
     *
     * @param memory what remains of a direct buffer
     */
    public static QuantizedMatrix of(Quantization scheme, long lines, long length, ByteBuffer memory) {
        long codes = Math.min(memory.remaining(), Math.multiplyExact(lines, LineCodec.of(scheme).codeBytes(length)));
        return of(scheme, lines, length, memory.slice(memory.position(), (int) codes),
                memory.slice(memory.position() + (int) codes, memory.remaining() - (int) codes));
    }

    /**
     * Reads what {@link #write} has written, and no more of the stream.
     *
     * @throws EOFException             for a stream that ends early
     * @throws IllegalArgumentException for scales that no matrix has
     */
    public static QuantizedMatrix read(Quantization scheme, long lines, long length, InputStream in) throws IOException {
        QuantizedMatrix matrix = new QuantizedMatrix(scheme, lines, length, null, null);
        for (BytePointer memory : new BytePointer[] {matrix.codes, matrix.scales}) {
            long[] at = {0};
            forEachChunk(memory.capacity(), (bytes, count) -> {
                if (in.readNBytes(bytes, 0, count) < count) {
                    throw new EOFException("A matrix of " + lines + " " + scheme + " lines of " + length + " values ends early");
                }
                at(memory, at[0]).put(bytes, 0, count);
                at[0] += count;
            });
        }
        matrix.checkScales();
        return matrix;
    }

    private static BytePointer at(BytePointer memory, long position) {
        return new BytePointer(memory).position(position);
    }

    private static void forEachChunk(long bytes, Transfer transfer) throws IOException {
        byte[] chunk = new byte[(int) Math.min(CHUNK, bytes)];
        for (long from = 0; from < bytes; from += chunk.length) {
            transfer.run(chunk, (int) Math.min(chunk.length, bytes - from));
        }
    }

    private void store(Source source) {
        float[] line = new float[length];
        float[] given = new float[length];
        byte[] ownCodes = new byte[codeBytes];
        ByteBuffer ownScales = littleEndian(scaleBytes);
        double norm = 0;
        double error = 0;
        for (long l = 0; l < lines; l++) {
            source.fill(l, line);
            for (int i = 0; i < length; i++) {
                if (!Float.isFinite(line[i])) {
                    throw new IllegalArgumentException("Value " + i + " of line " + l + " is " + line[i]
                            + "; only finite values can be quantised");
                }
            }
            form.store(line, ownCodes, ownScales);
            form.restore(ownCodes, 0, ownScales, 0, given, 0, length);
            for (int i = 0; i < length; i++) {
                double difference = (double) line[i] - given[i];
                norm += (double) line[i] * line[i];
                error += difference * difference;
            }
            at(codes, l * codeBytes).put(ownCodes, 0, codeBytes);
            if (scaleBytes > 0) {
                at(scales, l * scaleBytes).put(ownScales.array(), 0, scaleBytes);
            }
        }
        relativeError = norm == 0 ? 0 : Math.sqrt(error / norm);
    }

    private static ByteBuffer littleEndian(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private void checkScales() {
        ByteBuffer own = littleEndian(scaleBytes);
        for (long l = 0; l < lines && scaleBytes > 0; l++) {
            at(scales, l * scaleBytes).get(own.array(), 0, scaleBytes);
            String fault = form.fault(own, 0, length);
            if (fault != null) {
                throw new IllegalArgumentException("Line " + l + " of " + lines + " in " + scheme + " has the " + fault
                        + "; it must be finite and not negative");
            }
        }
    }

    public Quantization scheme() {
        return scheme;
    }

    public long lines() {
        return lines;
    }

    /** Values of each line. */
    public long length() {
        return length;
    }

    /** ‖W − W′‖ / ‖W‖ of the matrix and what is given back; 0 if all of it is zero, NaN if it was not quantised here. */
    public double relativeError() {
        return relativeError;
    }

    /**
     * Bytes of the codes and scales of such a matrix.
     *
     * @throws ArithmeticException if they cannot be counted
     */
    public static long bytes(Quantization scheme, long lines, long length) {
        LineCodec form = LineCodec.of(scheme);
        return Math.multiplyExact(lines, Math.addExact(form.codeBytes(length), form.scaleBytes(length)));
    }

    /** Bytes of the codes and scales. */
    public long bytes() {
        return lines * codeBytes + lines * scaleBytes;
    }

    /** Digests the codes, then the scales. */
    public void digest(MessageDigest digest) {
        try {
            forEachByte((bytes, count) -> digest.update(bytes, 0, count));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Writes the codes, then the scales: {@link #bytes()} in all. */
    public void write(OutputStream out) throws IOException {
        forEachByte((bytes, count) -> out.write(bytes, 0, count));
    }

    private void forEachByte(Transfer transfer) throws IOException {
        for (BytePointer memory : new BytePointer[] {codes, scales}) {
            long[] at = {0};
            forEachChunk(memory.capacity(), (bytes, count) -> {
                at(memory, at[0]).get(bytes, 0, count);
                transfer.run(bytes, count);
                at[0] += count;
            });
        }
    }

    /**
     * The codes from a line on. Of BF16 they are W, two bytes for each value; of INT8 a byte for each value, and codes times the
     * line's {@link #factors} are W.
     *
     * @return memory of this matrix, not to be written to; the matrix must be reachable as long as it is read
     */
    public BytePointer codes(long line) {
        return at(codes, line * codeBytes);
    }

    /** The scales of INT8 lines. */
    public void factors(long from, int count, float[] to) {
        ByteBuffer own = littleEndian(count * scaleBytes);
        at(scales, from * scaleBytes).get(own.array(), 0, count * scaleBytes);
        own.asFloatBuffer().get(to, 0, count);
    }

    /**
     * One row times all lines of NF4.
     *
     * @param x as many values as a line has
     * @param z as many as lines, overwritten
     */
    public void timesRow(float[] x, float[] z) {
        NormalFloatRow.ofThread().times(x, length, codes, scales, (int) lines, z);
    }

    /**
     * Gives lines back.
     *
     * @param to {@code count · length} values from its beginning, line after line
     */
    public void restore(long from, int count, float[] to) {
        Room room = ROOM.get();
        room.read(at(codes, from * codeBytes), Math.multiplyExact(count, codeBytes), at(scales, from * scaleBytes),
                Math.multiplyExact(count, scaleBytes));
        for (int l = 0; l < count; l++) {
            form.restore(room.codes, l * codeBytes, room.scales, l * scaleBytes, to, l * length, length);
        }
    }

    /**
     * As {@link #restore(long, int, float[])}, as many lines at a time as the room holds, or one.
     *
     * @param room overwritten
     */
    public void restore(long from, long count, float[] room, Sink sink) {
        float[] values = room.length < length ? new float[length] : room;
        int most = values.length / length;
        for (long line = from; line < from + count; line += most) {
            int part = (int) Math.min(most, from + count - line);
            restore(line, part, values);
            sink.put(line, part, values);
        }
    }

    /**
     * Gives all values back.
     *
     * @param flat        {@code [lines · length]}, of any floating-point type
     * @param interleaved whether value i of line l goes to {@code i · lines + l}; else to {@code l · length + i}
     */
    public void restoreInto(INDArray flat, boolean interleaved) {
        if (flat.rank() != 1 || flat.length() != lines * length || !flat.dataType().isFPType()) {
            throw new IllegalArgumentException("A matrix of " + lines + " lines of " + length + " values does not fit into "
                    + flat.shapeInfoToString());
        }
        float[] room = new float[(int) Math.min(lines * length, CHUNK)];
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray matrix = interleaved ? flat.reshape('c', length, lines) : flat.reshape('c', lines, length);
            restore(0, lines, room, (from, count, values) -> {
                INDArray to = Views.part(matrix, interleaved ? 1 : 0, from, from + count);
                float[] ordered = interleaved ? turned(values, count) : Arrays.copyOf(values, count * length);
                try (INDArray chunk = Nd4j.createFromArray(ordered)) {
                    to.assign(chunk.reshape('c', to.shape()));
                }
            });
        }
    }

    private float[] turned(float[] values, int count) {
        float[] turned = new float[count * length];
        for (int l = 0; l < count; l++) {
            for (int i = 0; i < length; i++) {
                turned[i * count + l] = values[l * length + i];
            }
        }
        return turned;
    }
}
