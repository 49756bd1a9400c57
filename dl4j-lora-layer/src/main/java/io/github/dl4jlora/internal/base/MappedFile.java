package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.stored.StoredConfiguration;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A frozen network in a file whose values are used where they lie:
 *
 * <pre>
 * magic [8]   bytes of the header [8]   header, JSON   sections, each at a multiple of 64
 * </pre>
 *
 * Numbers and values are little-endian. The content ids in it are not trusted where weights are given to others, see
 * {@link FrozenWeightsRegistry}. The sizes in it are compared with the file before anything is made of them.
 */
public final class MappedFile {

    private static final byte[] MAGIC = "DL4JBASE".getBytes(StandardCharsets.US_ASCII);
    private static final int FORMAT = 1;
    private static final int PREFIX = MAGIC.length + Long.BYTES;
    private static final int LONGEST = 4 * StoredConfiguration.LONGEST;
    private static final int DEEPEST = 8;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final String configuration;
    private final Map<String, FrozenWeights> weights;

    /** What comes before the values. */
    private record Header(@JsonProperty("format") int format, @JsonProperty("network") String network,
                          @JsonProperty("configuration") String configuration,
                          @JsonProperty("layers") List<MappedLayer> layers) {

        private Header {
            if (network == null || configuration == null || layers == null || layers.contains(null)) {
                throw new IllegalArgumentException("its header lacks network, configuration or layers");
            }
        }
    }

    private MappedFile(String configuration, Map<String, FrozenWeights> weights) {
        this.configuration = configuration;
        this.weights = weights;
    }

    /** The configuration of the network, JSON that may say anything. */
    public String configuration() {
        return configuration;
    }

    /** Weights by the content id that they claim. */
    public Map<String, FrozenWeights> weights() {
        return weights;
    }

    /**
     * Writes such a file; the weights one by one.
     *
     * @param network       which of DL4J's two classes it is
     * @param configuration of the network, as JSON
     */
    public static void write(OutputStream out, String network, String configuration, Collection<FrozenWeights> weights)
            throws IOException {
        List<MappedLayer> layers = new ArrayList<>();
        long end = 0;
        for (FrozenWeights layer : weights) {
            layers.add(MappedLayer.of(layer, end));
            end = layers.get(layers.size() - 1).end();
        }
        byte[] header = JSON.writeValueAsBytes(new Header(FORMAT, network, configuration, layers));
        if (header.length > LONGEST) {
            throw new IOException("its configuration is too long to be read back: more than " + LONGEST + " bytes");
        }
        out.write(ByteBuffer.allocate(PREFIX).order(ByteOrder.LITTLE_ENDIAN).put(MAGIC).putLong(header.length).array());
        out.write(header);
        pad(out, PREFIX + header.length);
        int i = 0;
        for (FrozenWeights layer : weights) {
            List<MappedLayer.Section> sections = layers.get(i++).sections();
            for (int part = 0; part < sections.size(); part++) {
                layer.writePart(part, out);
                pad(out, sections.get(part).length());
            }
        }
    }

    private static void pad(OutputStream out, long position) throws IOException {
        out.write(new byte[(int) (MappedLayer.aligned(position) - position)]);
    }

    /**
     * Refuses weights that could not be mapped once they are written.
     *
     * @param layer name for the message
     * @throws IllegalArgumentException if one piece is longer than Java can map
     */
    public static void requireMappable(String layer, FrozenWeights weights) {
        requireMappable(layer, MappedLayer.of(weights, 0).sections().stream().mapToLong(MappedLayer.Section::length).max()
                .orElse(0));
    }

    static void requireMappable(String layer, long bytes) {
        if (bytes > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("Layer \"" + layer + "\" has " + bytes + " bytes in one piece, but Java maps at "
                    + "most " + Integer.MAX_VALUE + ". Write the base in fewer bits, with Quantization.INT8 or NF4");
        }
    }

    /** Whether a file begins as such a file does. */
    public static boolean recognises(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return channel.size() >= PREFIX && Arrays.equals(read(channel, 0, MAGIC.length), MAGIC);
        }
    }

    /**
     * Maps a file for reading. The file may then be replaced by another of the same name, but not shortened.
     *
     * @throws IOException              if there is none, or it is of another kind
     * @throws IllegalArgumentException if it contradicts itself
     * @throws ArithmeticException      likewise
     */
    public static MappedFile open(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long size = channel.size();
            if (size < PREFIX || !Arrays.equals(read(channel, 0, MAGIC.length), MAGIC)) {
                throw new IOException("it was not written by LoRA.writeBase");
            }
            long length = ByteBuffer.wrap(read(channel, MAGIC.length, Long.BYTES)).order(ByteOrder.LITTLE_ENDIAN).getLong();
            if (length < 2 || length > Math.min(LONGEST, size - PREFIX)) {
                throw new IOException("its header claims " + length + " bytes, but only " + (size - PREFIX) + " follow");
            }
            Header header = header(read(channel, PREFIX, (int) length));
            long begin = MappedLayer.aligned(PREFIX + length);
            refuseOverlap(header.layers, size - begin);
            return new MappedFile(header.configuration, mapped(header.layers, mapping(channel, begin, size)));
        }
    }

    private static byte[] read(FileChannel channel, long from, int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes, from + bytes.position()) < 0) {
                throw new EOFException("it ends early");
            }
        }
        return bytes.array();
    }

    private static Header header(byte[] text) throws IOException {
        UntrustedJson.refuseExcess(text, DEEPEST);
        JsonNode json = JSON.readTree(text);
        if (json.path("format").asInt() != FORMAT) {
            throw new IOException("it has format " + json.path("format") + "; this version reads " + FORMAT);
        }
        return Objects.requireNonNull(JSON.treeToValue(json, Header.class));
    }

    private static void refuseOverlap(List<MappedLayer> layers, long available) throws IOException {
        List<MappedLayer.Section> sections = layers.stream().flatMap(layer -> layer.sections().stream())
                .sorted(Comparator.comparingLong(MappedLayer.Section::offset)).toList();
        long end = 0;
        for (MappedLayer.Section section : sections) {
            if (section.offset() < end || section.offset() % MappedLayer.ALIGNMENT != 0
                    || section.offset() > available - section.length() || section.length() > Integer.MAX_VALUE) {
                throw new IOException(section.length() + " bytes of values are said to begin at " + section.offset() + " of "
                        + available + ", but the values before them end at " + end + ": it is truncated or damaged");
            }
            end = section.offset() + section.length();
        }
    }

    /** Maps all of the file at once if possible: a process can have only so many mappings. */
    private static MappedLayer.Mapping mapping(FileChannel channel, long begin, long size) throws IOException {
        if (size > Integer.MAX_VALUE) {
            return section -> channel.map(FileChannel.MapMode.READ_ONLY, begin + section.offset(), section.length());
        }
        ByteBuffer whole = channel.map(FileChannel.MapMode.READ_ONLY, 0, size);
        return section -> whole.slice((int) (begin + section.offset()), (int) section.length());
    }

    private static Map<String, FrozenWeights> mapped(List<MappedLayer> layers, MappedLayer.Mapping mapping) throws IOException {
        Map<String, FrozenWeights> byId = new LinkedHashMap<>();
        for (MappedLayer layer : layers) {
            if (byId.put(layer.id(), layer.on(mapping)) != null) {
                throw new IOException("it has the weights " + layer.id() + " twice");
            }
        }
        return byId;
    }
}
