package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A file in the safetensors format: eight bytes of header length (little-endian), a {@link SafetensorsHeader}, then the
 * tensors, row-major, little-endian, without gaps. https://github.com/huggingface/safetensors
 *
 * <p>Reading treats the bytes as hostile: everything the header claims is checked against the size of the file before
 * anything is allocated. Values go between file and array a chunk at a time; only values of eight bits pass through Java's heap.
 */
public final class Safetensors implements AutoCloseable {

    /**
     * Bytes for some 300,000 tensors: the format allows five times as many bytes, which take seconds and a gigabyte to look at.
     */
    private static final int LONGEST_HEADER = 20_000_000;
    /** The first eight bytes of the pointer that git without Git LFS leaves in place of a file: "version ". */
    private static final long POINTER = 0x206e6f6973726576L;
    private static final int LENGTH_BYTES = 8;
    /** How many values are converted, or bytes compared, at a time. */
    private static final int PIECE = 1 << 20;

    private final Path file;
    private final SafetensorsHeader header;
    private final SeekableByteChannel channel;
    private final long begin;

    private Safetensors(Path file, SafetensorsHeader header, SeekableByteChannel channel) throws IOException {
        this.file = file;
        this.header = header;
        this.channel = channel;
        this.begin = channel.position();
    }

    public Map<String, String> metadata() {
        return header.metadata();
    }

    /** Names in the order of the data. */
    public List<String> names() {
        return List.copyOf(header.entries().keySet());
    }

    public long[] shape(String name) {
        return entry(name).shape().clone();
    }

    private SafetensorsHeader.Entry entry(String name) {
        return Objects.requireNonNull(header.entries().get(name));
    }

    /** Whether {@link #read} reads a tensor's type of number; the other types are integers and booleans. */
    public boolean isFloatingPoint(String name) {
        return entry(name).type().isFloatingPoint();
    }

    /**
     * Copies one tensor out of the file.
     *
     * @return a new array of the file's data type and shape, 'c' order; numbers of eight bits as FLOAT
     * @throws AdapterFormatException if the tensor is not of floating-point numbers, or holds NaN or infinity
     * @throws IOException            if the file cannot be read any more
     */
    public INDArray read(String name) throws IOException {
        SafetensorsHeader.Entry entry = entry(name);
        StoredType stored = entry.type();
        return RawValues.filled(stored.type(name), entry.shape(), values -> {
            channel.position(begin + entry.begin());
            fill(stored, values);
            requireFinite(name, values);
        });
    }

    /**
     * As {@link #read(String)}, also of whole numbers and booleans, which an adapter cannot have, but an input can.
     *
     * @param whole what these are read as: FLOAT or DOUBLE
     */
    public INDArray read(String name, DataType whole) throws IOException {
        SafetensorsHeader.Entry entry = entry(name);
        StoredType stored = entry.type();
        if (stored.isFloatingPoint()) {
            return read(name);
        }
        return RawValues.filled(whole, entry.shape(), values -> {
            channel.position(begin + entry.begin());
            if (!RawValues.forEachChunkOf(values, numbers -> decodeWhole(stored, whole, numbers))) {
                throw shortened(file);
            }
        });
    }

    private boolean decodeWhole(StoredType stored, DataType whole, ByteBuffer numbers) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(numbers.remaining() / whole.width() * stored.width())
                .order(ByteOrder.LITTLE_ENDIAN);
        boolean isComplete = RawValues.fill(bytes, channel);
        bytes.flip();
        while (bytes.hasRemaining()) {
            long number = stored.whole(bytes);
            if (whole == DataType.DOUBLE) {
                numbers.putDouble(number);
            } else {
                numbers.putFloat((float) number);
            }
        }
        return isComplete;
    }

    /**
     * Copies one tensor out of the file into an array, converting it to the array's type. Nothing of its size is made if the
     * array lies in memory as the tensor does, row after row.
     *
     * @param target of the tensor's shape; of floating-point numbers
     * @throws AdapterFormatException as {@link #read}, and if a value is out of the array's range
     * @throws IOException            if the file cannot be read any more
     */
    public void readInto(String name, INDArray target) throws IOException {
        SafetensorsHeader.Entry entry = entry(name);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (!RawValues.isFlat(target)) {
                try (INDArray read = read(name)) {
                    target.assign(read);
                }
            } else if (entry.type().type(name) == target.dataType() && entry.type().isStoredAsIs()) {
                channel.position(begin + entry.begin());
                fill(entry.type(), RawValues.flat(target));
            } else {
                convertInto(entry, RawValues.flat(target));
            }
            requireFinite(name, target);
        }
    }

    /** Converts a piece at a time. */
    private void convertInto(SafetensorsHeader.Entry entry, INDArray flat) throws IOException {
        StoredType stored = entry.type();
        channel.position(begin + entry.begin());
        for (long from = 0; from < flat.length(); from += PIECE) {
            INDArray into = flat.get(NDArrayIndex.interval(from, Math.min(flat.length(), from + PIECE)));
            try (INDArray piece = RawValues.filled(stored.type(entry.name()), into.length(), values -> fill(stored, values))) {
                into.assign(piece);
            }
        }
    }

    private void fill(StoredType stored, INDArray flat) throws IOException {
        boolean whole = stored.isStoredAsIs() ? RawValues.fill(flat, channel)
                : RawValues.forEachChunkOf(flat, floats -> decode(stored, floats));
        if (!whole) {
            throw shortened(file);
        }
    }

    private boolean decode(StoredType stored, ByteBuffer floats) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(floats.remaining() / Float.BYTES);
        boolean whole = RawValues.fill(bytes, channel);
        stored.decode(bytes.flip(), floats);
        return whole;
    }

    /** {@return whether two tensors have the same type, shape and bytes; neither is in memory as a whole} */
    public boolean isSame(String name, Safetensors others, String other) throws IOException {
        SafetensorsHeader.Entry mine = entry(name);
        SafetensorsHeader.Entry theirs = others.entry(other);
        if (mine.type() != theirs.type() || !Arrays.equals(mine.shape(), theirs.shape())) {
            return false;
        }
        long size = mine.end() - mine.begin();
        for (long from = 0; from < size; from += PIECE) {
            int length = (int) Math.min(PIECE, size - from);
            channel.position(begin + mine.begin() + from);
            ByteBuffer piece = read(file, channel, length);
            others.channel.position(others.begin + theirs.begin() + from);
            if (!piece.equals(read(others.file, others.channel, length))) {
                return false;
            }
        }
        return true;
    }

    private void requireFinite(String name, INDArray values) throws AdapterFormatException {
        long position = RawValues.firstNotFinite(values);
        if (position >= 0) {
            throw new AdapterFormatException(file + ": tensor \"" + name + "\" holds NaN or infinity at position " + position);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    /**
     * Opens a file and reads its header.
     *
     * @throws AdapterFormatException if the file is no well-formed safetensors file
     */
    public static Safetensors open(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new AdapterFormatException(file + " does not exist or is not a file");
        }
        // Read, not mapped: a mapping would keep the file from being replaced on some systems, and end the program if the file
        // were shortened.
        return open(file, Files.newByteChannel(file, StandardOpenOption.READ));
    }

    /**
     * Reads the header from a channel.
     *
     * @param name    for messages
     * @param channel at its beginning; closed with the result, or if this fails
     * @throws AdapterFormatException if these are not the bytes of a well-formed safetensors file
     */
    public static Safetensors open(Path name, SeekableByteChannel channel) throws IOException {
        try {
            return new Safetensors(name, header(name, channel), channel);
        } catch (IOException | RuntimeException | Error e) {
            // An Error, too: the header may be longer than the heap.
            channel.close();
            throw e;
        }
    }

    private static SafetensorsHeader header(Path file, SeekableByteChannel channel) throws IOException {
        long size = channel.size();
        if (size < LENGTH_BYTES) {
            throw new AdapterFormatException(file + " has " + size + " bytes; a safetensors file has at least " + LENGTH_BYTES);
        }
        long length = read(file, channel, LENGTH_BYTES).getLong();
        if (length < 2 || length > size - LENGTH_BYTES || length > LONGEST_HEADER) {
            throw new AdapterFormatException(file + ": the header claims " + length + " bytes, but the file has " + size
                    + (length == POINTER ? ": it is a Git LFS pointer. Fetch the file with git lfs pull"
                    : length > LONGEST_HEADER ? ", and at most " + LONGEST_HEADER + " bytes of header are read" : ""));
        }
        byte[] json = read(file, channel, (int) length).array();
        return SafetensorsHeader.parse(file, json, size - LENGTH_BYTES - length);
    }

    private static ByteBuffer read(Path file, SeekableByteChannel channel, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        if (!RawValues.fill(bytes, channel)) {
            throw shortened(file);
        }
        return bytes.flip();
    }

    private static AdapterFormatException shortened(Path file) {
        return new AdapterFormatException(file + " was shortened while it was read");
    }

    /**
     * Writes the bytes of a safetensors file.
     *
     * @param tensors by name; any floating-point type, any order in memory
     */
    public static void write(OutputStream out, Map<String, INDArray> tensors, Map<String, String> metadata) throws IOException {
        Map<String, Later> announced = new LinkedHashMap<>();
        tensors.forEach((name, array) -> announced.put(name, new Later(array.dataType(), array.shape(), () -> array)));
        writeHeader(out, announced, metadata);
        for (INDArray array : tensors.values()) {
            writeValues(out, array);
        }
    }

    /** Makes a tensor. */
    @FunctionalInterface
    public interface Values {
        INDArray make() throws IOException;
    }

    /**
     * A tensor that is not made before it is to be written.
     *
     * @param values makes an array of that type and shape, which is closed as soon as it is written
     */
    public record Later(DataType type, long[] shape, Values values) {
    }

    /**
     * As {@link #write}, with no more than one tensor in memory at a time.
     *
     * @param tensors by name; any floating-point type
     * @throws IllegalStateException if a tensor has another type or shape than was announced
     */
    public static void writeOneByOne(OutputStream out, Map<String, Later> tensors, Map<String, String> metadata)
            throws IOException {
        writeHeader(out, tensors, metadata);
        for (Map.Entry<String, Later> tensor : tensors.entrySet()) {
            Later announced = tensor.getValue();
            try (INDArray array = announced.values.make()) {
                if (array.dataType() != announced.type || !Arrays.equals(array.shape(), announced.shape)) {
                    throw new IllegalStateException("Tensor \"" + tensor.getKey() + "\" was announced as " + announced.type
                            + Arrays.toString(announced.shape) + ", but is " + array.dataType() + Arrays.toString(array.shape()));
                }
                writeValues(out, array);
            }
        }
    }

    private static void writeHeader(OutputStream out, Map<String, Later> tensors, Map<String, String> metadata)
            throws IOException {
        byte[] header = SafetensorsHeader.text(tensors, metadata);
        out.write(ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
        out.write(header);
    }

    private static void writeValues(OutputStream out, INDArray array) throws IOException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            RawValues.write(RawValues.flat(array), out);
        }
    }
}
