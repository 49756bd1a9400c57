package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.file.AtomicFile;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A file in the safetensors format: eight bytes of header length (little-endian), a JSON header
 * {@code {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …, "__metadata__": {string: string}}}, then the
 * tensors, row-major, little-endian, without gaps. https://github.com/huggingface/safetensors
 *
 * <p>Reading treats the bytes as hostile: everything the header claims is checked against the size of the file before
 * anything is allocated.
 */
final class Safetensors {

    private static final String METADATA = "__metadata__";
    private static final int LONGEST_HEADER = 100_000_000;
    private static final int MOST_DIMENSIONS = 8;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** One entry of the header; offsets are relative to the first byte after it. */
    private record Entry(String name, DataType type, long[] shape, long begin, long end) {
    }

    private final Path file;
    private final Map<String, Entry> entries;
    private final Map<String, String> metadata;
    private final ByteBuffer data;

    private Safetensors(Path file, Map<String, Entry> entries, Map<String, String> metadata, ByteBuffer data) {
        this.file = file;
        this.entries = entries;
        this.metadata = metadata;
        this.data = data;
    }

    Map<String, String> metadata() {
        return metadata;
    }

    /** Names in the order of the data. */
    List<String> names() {
        return List.copyOf(entries.keySet());
    }

    long[] shape(String name) {
        return entries.get(name).shape.clone();
    }

    /**
     * Copies one tensor out of the file.
     *
     * @return an array of the file's data type and shape, 'c' order
     * @throws AdapterFormatException if it holds NaN or infinity
     */
    INDArray read(String name) throws AdapterFormatException {
        Entry entry = entries.get(name);
        ByteBuffer bytes = data.slice(Math.toIntExact(entry.begin), Math.toIntExact(entry.end - entry.begin)).order(ByteOrder.LITTLE_ENDIAN);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            double[] values = new double[bytes.remaining() / entry.type.width()];
            for (int i = 0; i < values.length; i++) {
                values[i] = Numbers.get(bytes, entry.type);
                if (!Double.isFinite(values[i])) {
                    throw new AdapterFormatException(file + ": tensor \"" + name + "\" holds " + values[i] + " at position " + i);
                }
            }
            return Nd4j.create(values, entry.shape, 'c').castTo(entry.type);
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
                throw new AdapterFormatException(file + ": the header claims " + headerLength + " bytes, but the file has " + size);
            }
            Map<String, String> metadata = new LinkedHashMap<>();
            List<Entry> entries = parse(file, read(file, channel, (int) headerLength).array(), metadata);
            Map<String, Entry> checked = checked(file, entries, size - 8 - headerLength);
            return new Safetensors(file, checked, metadata, read(file, channel, (int) (size - 8 - headerLength)));
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

    private static Map<String, Entry> checked(Path file, List<Entry> entries, long available) throws AdapterFormatException {
        List<Entry> sorted = new ArrayList<>(entries);
        sorted.sort(Comparator.comparingLong(Entry::begin));
        Map<String, Entry> byName = new LinkedHashMap<>();
        long position = 0;
        for (Entry entry : sorted) {
            String what = file + ": tensor \"" + entry.name + "\"";
            if (entry.begin != position || entry.end < entry.begin || entry.end > available) {
                throw new AdapterFormatException(what + " lies at [" + entry.begin + ", " + entry.end + ") of " + available
                        + " bytes of data, but the one before it ends at " + position);
            }
            if (entry.end - entry.begin != byteSize(what, entry)) {
                throw new AdapterFormatException(what + " has " + (entry.end - entry.begin) + " bytes, which is not " + entry.type
                        + Arrays.toString(entry.shape));
            }
            byName.put(entry.name, entry);
            position = entry.end;
        }
        if (position != available) {
            throw new AdapterFormatException(file + ": " + (available - position) + " bytes of data belong to no tensor");
        }
        return byName;
    }

    private static long byteSize(String what, Entry entry) throws AdapterFormatException {
        try {
            long size = entry.type.width();
            for (long dimension : entry.shape) {
                if (dimension < 1) {
                    throw new AdapterFormatException(what + " has the shape " + Arrays.toString(entry.shape));
                }
                size = Math.multiplyExact(size, dimension);
            }
            return size;
        } catch (ArithmeticException e) {
            throw new AdapterFormatException(what + " has the shape " + Arrays.toString(entry.shape) + ", which overflows", e);
        }
    }

    /** Token by token, so that neither depth nor size of the JSON costs more than the header itself. */
    private static List<Entry> parse(Path file, byte[] header, Map<String, String> metadata) throws AdapterFormatException {
        JsonFactory factory = new JsonFactory();
        factory.enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
        List<Entry> entries = new ArrayList<>();
        try (JsonParser parser = factory.createParser(header)) {
            expect(parser.nextToken(), JsonToken.START_OBJECT);
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.getCurrentName();
                expect(parser.nextToken(), JsonToken.START_OBJECT);
                if (METADATA.equals(name)) {
                    parseMetadata(parser, metadata);
                } else {
                    entries.add(parseEntry(name, parser));
                }
            }
            if (parser.nextToken() != null) {
                throw new AdapterFormatException("it goes on after its end");
            }
            return entries;
        } catch (IOException | RuntimeException e) {
            throw new AdapterFormatException(file + ": the header is no safetensors header: " + e.getMessage(), e);
        }
    }

    private static void parseMetadata(JsonParser parser, Map<String, String> metadata) throws IOException {
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String key = parser.getCurrentName();
            expect(parser.nextToken(), JsonToken.VALUE_STRING);
            metadata.put(key, parser.getText());
        }
    }

    private static Entry parseEntry(String name, JsonParser parser) throws IOException {
        DataType type = null;
        long[] shape = null;
        long[] offsets = null;
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String field = parser.getCurrentName();
            parser.nextToken();
            switch (field) {
                case "dtype" -> {
                    expect(parser.currentToken(), JsonToken.VALUE_STRING);
                    type = Numbers.type(name, parser.getText());
                }
                case "shape" -> shape = parseLongs(parser, MOST_DIMENSIONS);
                case "data_offsets" -> offsets = parseLongs(parser, 2);
                default -> throw new AdapterFormatException("tensor \"" + name + "\" has the unknown field \"" + field + "\"");
            }
        }
        if (type == null || shape == null || offsets == null || offsets.length != 2) {
            throw new AdapterFormatException("tensor \"" + name + "\" lacks dtype, shape or data_offsets");
        }
        return new Entry(name, type, shape, offsets[0], offsets[1]);
    }

    private static long[] parseLongs(JsonParser parser, int most) throws IOException {
        expect(parser.currentToken(), JsonToken.START_ARRAY);
        List<Long> values = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            expect(parser.currentToken(), JsonToken.VALUE_NUMBER_INT);
            values.add(parser.getLongValue());
            if (values.size() > most) {
                throw new AdapterFormatException("a list is longer than " + most);
            }
        }
        return values.stream().mapToLong(Long::longValue).toArray();
    }

    private static void expect(JsonToken found, JsonToken expected) throws AdapterFormatException {
        if (found != expected) {
            throw new AdapterFormatException("found " + found + " instead of " + expected);
        }
    }

    /**
     * Writes a file, atomically.
     *
     * @param tensors by name; any floating-point type, any order in memory
     */
    static void write(Path file, Map<String, INDArray> tensors, Map<String, String> metadata) throws IOException {
        Map<String, Object> header = new LinkedHashMap<>();
        header.put(METADATA, metadata);
        long position = 0;
        for (Map.Entry<String, INDArray> tensor : tensors.entrySet()) {
            INDArray array = tensor.getValue();
            long end = position + array.length() * array.dataType().width();
            header.put(tensor.getKey(), Map.of("dtype", Numbers.name(array.dataType()), "shape", array.shape(),
                    "data_offsets", new long[] {position, end}));
            position = end;
        }
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        text.write(JSON.writeValueAsBytes(header));
        while (text.size() % 8 != 0) {
            text.write(' ');
        }
        AtomicFile.write(file, out -> {
            out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.size()).array());
            text.writeTo(out);
            for (INDArray array : tensors.values()) {
                out.write(Numbers.bytes(array));
            }
        });
    }
}
