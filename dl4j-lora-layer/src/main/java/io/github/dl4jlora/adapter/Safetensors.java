package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.file.AtomicFile;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;

/**
 * A file in the safetensors format: eight bytes of header length (little-endian), a {@link SafetensorsHeader}, then the
 * tensors, row-major, little-endian, without gaps. https://github.com/huggingface/safetensors
 *
 * <p>Reading treats the bytes as hostile: everything the header claims is checked against the size of the file before
 * anything is allocated.
 */
final class Safetensors {

    private static final int LONGEST_HEADER = 100_000_000;

    private final Path file;
    private final SafetensorsHeader header;
    private final ByteBuffer data;

    private Safetensors(Path file, SafetensorsHeader header, ByteBuffer data) {
        this.file = file;
        this.header = header;
        this.data = data;
    }

    Map<String, String> metadata() {
        return header.metadata();
    }

    /** Names in the order of the data. */
    List<String> names() {
        return List.copyOf(header.entries().keySet());
    }

    long[] shape(String name) {
        return header.entries().get(name).shape().clone();
    }

    /**
     * Copies one tensor out of the file.
     *
     * @return an array of the file's data type and shape, 'c' order
     * @throws AdapterFormatException if it holds NaN or infinity
     */
    INDArray read(String name) throws AdapterFormatException {
        SafetensorsHeader.Entry entry = header.entries().get(name);
        DataType type = entry.type();
        ByteBuffer bytes = data.slice(Math.toIntExact(entry.begin()), Math.toIntExact(entry.end() - entry.begin()))
                .order(ByteOrder.LITTLE_ENDIAN);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            double[] values = new double[bytes.remaining() / type.width()];
            for (int i = 0; i < values.length; i++) {
                values[i] = Numbers.get(bytes, type);
                if (!Double.isFinite(values[i])) {
                    throw new AdapterFormatException(file + ": tensor \"" + name + "\" holds " + values[i] + " at position " + i);
                }
            }
            return Nd4j.create(values, entry.shape(), 'c').castTo(type);
        }
    }

    /**
     * @throws AdapterFormatException if the file is no well-formed safetensors file
     */
    static Safetensors open(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new AdapterFormatException(file + " does not exist or is no file");
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long size = channel.size();
            if (size < 8) {
                throw new AdapterFormatException(file + " has " + size + " bytes; a safetensors file has at least 8");
            }
            if (size > Integer.MAX_VALUE) {
                throw new AdapterFormatException(file + " has " + size + " bytes; adapters of up to 2 GiB are supported");
            }
            // Read, not mapped: a mapping would keep the file from being replaced on some systems, and fail in the middle of
            // a copy if somebody shortened it.
            long headerLength = read(file, channel, 8).getLong();
            if (headerLength < 2 || headerLength > size - 8 || headerLength > LONGEST_HEADER) {
                throw new AdapterFormatException(file + ": the header claims " + headerLength + " bytes, but the file has "
                        + size);
            }
            long available = size - 8 - headerLength;
            byte[] json = read(file, channel, (int) headerLength).array();
            SafetensorsHeader header = SafetensorsHeader.parse(file, json, available);
            return new Safetensors(file, header, read(file, channel, (int) available));
        }
    }

    private static ByteBuffer read(Path file, FileChannel channel, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes) < 0) {
                throw new AdapterFormatException(file + " was shortened while it was read");
            }
        }
        return bytes.flip();
    }

    /**
     * Writes a file, atomically.
     *
     * @param tensors by name; any floating-point type, any order in memory
     */
    static void write(Path file, Map<String, INDArray> tensors, Map<String, String> metadata) throws IOException {
        byte[] header = SafetensorsHeader.text(tensors, metadata);
        AtomicFile.write(file, out -> {
            out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
            out.write(header);
            for (INDArray array : tensors.values()) {
                out.write(Numbers.bytes(array));
            }
        });
    }
}
