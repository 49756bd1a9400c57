package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a safetensors file, JSON: {@code {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …,
 * "__metadata__": {string: string}}}.
 *
 * @param entries  by the tensor's name, in the order of the data, without gaps
 * @param metadata by key
 */
record SafetensorsHeader(Map<String, Entry> entries, Map<String, String> metadata) {

    private static final String METADATA = "__metadata__";
    private static final int MOST_DIMENSIONS = 8;
    /** Most entries of metadata; an adapted layer has six at most. */
    private static final int MOST_METADATA = 200_000;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** One tensor; offsets are relative to the first byte after the header. */
    record Entry(String name, StoredType type, long[] shape, long begin, long end) {
    }

    /**
     * @param file      for messages
     * @param available bytes after the header
     * @throws AdapterFormatException if it is no such header, or its tensors do not take exactly the bytes that there are
     */
    static SafetensorsHeader parse(Path file, byte[] json, long available) throws AdapterFormatException {
        Map<String, String> metadata = new LinkedHashMap<>();
        return new SafetensorsHeader(checked(file, entries(file, json, metadata), available), metadata);
    }

    /** The header of tensors that lie one after the other, padded with spaces so that they begin at a multiple of eight. */
    static byte[] text(Map<String, Safetensors.Later> tensors, Map<String, String> metadata) throws IOException {
        Map<String, Object> header = new LinkedHashMap<>();
        header.put(METADATA, metadata);
        long position = 0;
        for (Map.Entry<String, Safetensors.Later> tensor : tensors.entrySet()) {
            StoredType type = StoredType.of(tensor.getValue().type());
            long[] shape = tensor.getValue().shape();
            long end = position + Arrays.stream(shape).reduce(type.width(), Math::multiplyExact);
            header.put(tensor.getKey(), Map.of("dtype", type.name(), "shape", shape, "data_offsets", new long[] {position, end}));
            position = end;
        }
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        text.write(JSON.writeValueAsBytes(header));
        while (text.size() % 8 != 0) {
            text.write(' ');
        }
        return text.toByteArray();
    }

    private static Map<String, Entry> checked(Path file, List<Entry> entries, long available) throws AdapterFormatException {
        List<Entry> sorted = new ArrayList<>(entries);
        sorted.sort(Comparator.comparingLong(Entry::begin));
        Map<String, Entry> byName = new LinkedHashMap<>();
        long end = sorted.stream().mapToLong(Entry::end).max().orElse(0);
        if (end > available) {
            throw new AdapterFormatException(file + " was cut short: its tensors take " + end + " bytes, but it has " + available
                    + ". Copy or save it again");
        }
        long position = 0;
        for (Entry entry : sorted) {
            String what = file + ": tensor \"" + entry.name + "\"";
            if (entry.begin != position || entry.end < entry.begin) {
                throw new AdapterFormatException(what + " lies at [" + entry.begin + ", " + entry.end + ") of " + available
                        + " bytes of data, but the one before it ends at " + position);
            }
            if (entry.end - entry.begin != byteSize(what, entry)) {
                throw new AdapterFormatException(what + " has " + (entry.end - entry.begin) + " bytes, which does not match "
                        + entry.type
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
                    throw new AdapterFormatException(what + " has the shape " + Arrays.toString(entry.shape) + ", but sizes must "
                            + "be at least 1");
                }
                size = Math.multiplyExact(size, dimension);
            }
            return size;
        } catch (ArithmeticException e) {
            throw new AdapterFormatException(what + " has the shape " + Arrays.toString(entry.shape) + ", which overflows", e);
        }
    }

    /** Parses token by token, so that neither depth nor size of the JSON costs more than the header itself. */
    private static List<Entry> entries(Path file, byte[] header, Map<String, String> metadata) throws AdapterFormatException {
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
                throw new AdapterFormatException("more text follows its end");
            }
            return entries;
        } catch (IOException | RuntimeException e) {
            throw new AdapterFormatException(file + ": the header is not a safetensors header: " + UntrustedJson.reason(e), e);
        }
    }

    private static void parseMetadata(JsonParser parser, Map<String, String> metadata) throws IOException {
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String key = parser.getCurrentName();
            expect(parser.nextToken(), JsonToken.VALUE_STRING);
            metadata.put(key, parser.getText());
            if (metadata.size() > MOST_METADATA) {
                throw new AdapterFormatException("it has more than " + MOST_METADATA + " entries of " + METADATA);
            }
        }
    }

    private static Entry parseEntry(String name, JsonParser parser) throws IOException {
        StoredType type = null;
        long[] shape = null;
        long[] offsets = null;
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String field = parser.getCurrentName();
            parser.nextToken();
            switch (field) {
                case "dtype" -> {
                    expect(parser.currentToken(), JsonToken.VALUE_STRING);
                    type = StoredType.of(name, parser.getText());
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
}
