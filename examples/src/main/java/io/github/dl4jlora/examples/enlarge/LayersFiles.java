package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The files of a TensorFlow.js layers model: {@code model.json}, with Keras's topology and a manifest of the weights, and beside
 * it the shards, which hold the weights one after the other, little-endian. The files are not trusted: the manifest is compared
 * with the sizes of the shards before anything of that size is allocated.
 */
final class LayersFiles {

    static final String MODEL = "model.json";

    private static final int LONGEST = 4 << 20;
    private static final int DEEPEST = 64;
    private static final int MOST_DIMENSIONS = 8;

    private final Path file;
    private final JsonNode layers;
    private final Map<String, Weight> weights;

    /**
     * An array.
     *
     * @param shape  row-major
     * @param values all finite
     */
    record Weight(long[] shape, float[] values) {
    }

    private LayersFiles(Path file, JsonNode layers, Map<String, Weight> weights) {
        this.file = file;
        this.layers = layers;
        this.weights = weights;
    }

    /**
     * @param folder with {@value #MODEL} and the shards
     * @throws FileNotFoundException if one of the files is missing
     * @throws IOException           if they are not a layers model with float32 weights, or are damaged
     */
    static LayersFiles read(Path folder) throws IOException {
        Path file = require(folder.resolve(MODEL));
        JsonNode root = UntrustedJson.read(file, LONGEST, DEEPEST);
        if (!"layers-model".equals(root.path("format").asText())) {
            throw new IOException(file + " says \"format\": " + shown(root.path("format")) + ", but only a layers-model is read");
        }
        JsonNode layers = root.path("modelTopology").path("model_config").path("config").path("layers");
        if (!layers.isArray()) {
            throw new IOException(file + " has no list of layers at modelTopology.model_config.config");
        }
        Map<String, Weight> weights = new LinkedHashMap<>();
        for (JsonNode group : root.path("weightsManifest")) {
            readGroup(file, group, weights);
        }
        return new LayersFiles(file, layers, weights);
    }

    /** {@return Keras's layers, in the order of the file} */
    JsonNode layers() {
        return layers;
    }

    /** {@return the weights, by name} */
    Map<String, Weight> weights() {
        return weights;
    }

    /** {@return an exception that names the file, the layer, and the problem} */
    IOException refused(String layer, String why) {
        return new IOException(file + ", layer " + layer + ": " + why);
    }

    private static Path require(Path file) throws FileNotFoundException {
        if (!Files.isRegularFile(file)) {
            throw new FileNotFoundException("There is no file " + file.toAbsolutePath().normalize());
        }
        return file;
    }

    /** Reads the weights of a group, which are in common shards. */
    private static void readGroup(Path file, JsonNode group, Map<String, Weight> weights) throws IOException {
        List<Path> shards = new ArrayList<>();
        long there = 0;
        for (JsonNode path : group.path("paths")) {
            shards.add(require(shard(file, path)));
            there += Files.size(shards.get(shards.size() - 1));
        }
        Map<String, long[]> shapes = new LinkedHashMap<>();
        long promised = 0;
        for (JsonNode weight : group.path("weights")) {
            String name = weight.path("name").asText();
            long[] shape = shape(file, name, weight);
            if (weights.containsKey(name) || shapes.put(name, shape) != null) {
                throw new IOException(file + " has two weights named \"" + name + "\"");
            }
            promised += Float.BYTES * length(shape);
            if (promised > there) {
                throw new IOException(file + " promises more weights than the " + there + " bytes of " + shards);
            }
        }
        if (promised != there || there > Integer.MAX_VALUE) {
            throw new IOException(file + " describes weights of " + promised + " bytes, but " + shards + " have " + there);
        }
        ByteBuffer bytes = bytes(shards, (int) there);
        for (Map.Entry<String, long[]> entry : shapes.entrySet()) {
            weights.put(entry.getKey(), new Weight(entry.getValue(), values(file, entry.getKey(), entry.getValue(), bytes)));
        }
    }

    /** A plain name, of a file in the same folder. */
    private static Path shard(Path file, JsonNode path) throws IOException {
        if (!path.asText().matches("\\w[\\w.-]*")) {
            throw new IOException(file + " names a shard " + shown(path) + ", which is not a plain name of a file beside it");
        }
        return file.resolveSibling(path.asText());
    }

    private static long[] shape(Path file, String name, JsonNode weight) throws IOException {
        JsonNode shape = weight.path("shape");
        if (!"float32".equals(weight.path("dtype").asText()) || weight.has("quantization")) {
            throw new IOException(file + ", weight " + name + ": only unquantised float32 is read");
        }
        boolean sizes = shape.isArray() && shape.size() <= MOST_DIMENSIONS;
        long[] dimensions = new long[sizes ? shape.size() : 0];
        for (int i = 0; sizes && i < dimensions.length; i++) {
            dimensions[i] = shape.get(i).asInt();
            sizes = shape.get(i).isInt() && dimensions[i] > 0;
        }
        if (!sizes || length(dimensions) < 0) {
            throw new IOException(file + ", weight " + name + ": the shape is " + shown(shape));
        }
        return dimensions;
    }

    /** {@return the number of values, or -1 if it is far more than any file has} */
    private static long length(long[] shape) {
        long length = 1;
        for (long size : shape) {
            length *= size;
            if (length > Integer.MAX_VALUE) {
                return -1;
            }
        }
        return length;
    }

    private static ByteBuffer bytes(List<Path> shards, int size) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        for (Path shard : shards) {
            try (InputStream in = Files.newInputStream(shard)) {
                int read = in.readNBytes(bytes.array(), bytes.position(), bytes.remaining());
                bytes.position(bytes.position() + read);
            }
        }
        if (bytes.hasRemaining()) {
            throw new IOException(shards + " became shorter while they were read");
        }
        return bytes.flip();
    }

    private static float[] values(Path file, String name, long[] shape, ByteBuffer bytes) throws IOException {
        float[] values = new float[(int) length(shape)];
        for (int i = 0; i < values.length; i++) {
            values[i] = bytes.getFloat();
            if (!Float.isFinite(values[i])) {
                throw new IOException(file + ", weight " + name + " of shape " + Arrays.toString(shape) + " has a value that is "
                        + values[i]);
            }
        }
        return values;
    }

    private static String shown(JsonNode node) {
        String text = node.toString();
        return text.length() > 100 ? text.substring(0, 100) + "…" : text;
    }
}
