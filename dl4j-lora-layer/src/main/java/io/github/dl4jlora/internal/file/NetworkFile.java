package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.StoredWeights;
import io.github.dl4jlora.internal.stored.ModelZip;
import io.github.dl4jlora.internal.stored.StoredConfiguration;
import io.github.dl4jlora.internal.untrusted.Expansion;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import io.github.dl4jlora.internal.untrusted.UntrustedZip;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * A self-contained adapted network: what DL4J's ModelSerializer writes, and the frozen weights beside it as entries
 * {@code frozen/<content id>}, each with the little-endian values of one layer, or with its matrices in fewer bits.
 */
public final class NetworkFile {

    private static final String FROZEN = "frozen/";
    private static final String INDEX = FROZEN + "index.json";
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int DEEPEST_INDEX = 5;
    private static final int LONGEST_INDEX = 16 << 20;

    private NetworkFile() {
    }

    /**
     * @param weights the frozen weights the network refers to, verified
     */
    public static void save(Model network, Collection<FrozenWeights> weights, Path target, boolean saveUpdater,
                            SaveOption... options) throws IOException {
        Map<String, FrozenWeights> byId = new LinkedHashMap<>();
        weights.forEach(layer -> byId.put(layer.id(), layer));
        AtomicFile.write(target, out -> {
            try (ZipOutputStream zip = new ZipOutputStream(out)) {
                writeStock(network, saveUpdater, zip);
                Map<String, Object> index = new LinkedHashMap<>();
                for (FrozenWeights layer : byId.values()) {
                    StoredWeights stored = StoredWeights.of(layer);
                    index.put(layer.id(), stored.form() == null ? stored.signature() : stored);
                    zip.putNextEntry(new ZipEntry(FROZEN + layer.id()));
                    layer.write(zip);
                    zip.closeEntry();
                }
                zip.putNextEntry(new ZipEntry(INDEX));
                zip.write(JSON.writeValueAsBytes(index));
                zip.closeEntry();
            }
        }, options);
    }

    /**
     * Writes what DL4J's ModelSerializer would write; that cannot leave its zip open for more entries. All that follows the
     * configuration is not compressed: trained values hardly shrink, and zeros, as in an embedding's B before training, would
     * shrink so far that the file could not be told from one that is made to fill a reader's memory.
     */
    private static void writeStock(Model network, boolean saveUpdater, ZipOutputStream zip) throws IOException {
        zip.putNextEntry(new ZipEntry(ModelSerializer.CONFIGURATION_JSON));
        zip.write(StoredConfiguration.json(network).getBytes(StandardCharsets.UTF_8));
        zip.closeEntry();
        zip.setLevel(Deflater.NO_COMPRESSION);
        writeArray(ModelSerializer.COEFFICIENTS_BIN, network.params(), zip);
        INDArray state = saveUpdater ? ModelZip.updaterState(network) : null;
        if (state != null && state.length() > 0) {
            writeArray(ModelSerializer.UPDATER_BIN, state, zip);
        }
    }

    private static void writeArray(String name, INDArray array, ZipOutputStream zip) throws IOException {
        zip.putNextEntry(new ZipEntry(name));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(zip));
        Nd4j.write(array, out);
        out.flush();
        zip.closeEntry();
    }

    /**
     * @return the network, its frozen weights bound
     * @throws IOException if the file is truncated, no such network, or its frozen weights do not hash to their ids
     */
    public static Model load(Path source) throws IOException {
        File file = onDisk(source);
        Map<String, FrozenWeights> weights;
        try (ZipFile zip = UntrustedZip.open(file)) {
            weights = named(source, () -> frozenWeights(zip, file));
        }
        Model network = ModelZip.restore(file, true, weights.keySet(), (name, configured) -> {
            FrozenReference reference = MappedBase.reference(configured);
            if (reference != null) {
                // The registry would hash them again for each reference.
                reference.bindAny(weights);
            }
        });
        // What adapters started from is found in the registry, which holds it weakly.
        Reference.reachabilityFence(weights);
        return network;
    }

    /**
     * {@return a path as a file on the disk, as those who read zips and map files need it}
     *
     * @throws IOException naming the path, if it is in a file system of another kind, such as one in memory or in a zip
     */
    public static File onDisk(Path path) throws IOException {
        try {
            return path.toFile();
        } catch (UnsupportedOperationException e) {
            throw new IOException(path + " is not on the disk, but in a file system of the kind \""
                    + path.getFileSystem().provider().getScheme() + "\". Copy the file to the disk, and name the copy", e);
        }
    }

    private static Map<String, FrozenWeights> named(Path source, StoredConfiguration.Step<Map<String, FrozenWeights>> step)
            throws IOException {
        try {
            return step.read();
        } catch (ZipException | EOFException | JsonProcessingException e) {
            throw new IOException(source + " is truncated, damaged or not a saved network: " + e.getMessage(), e);
        } catch (IOException | RuntimeException e) {
            throw new IOException(source + ": " + e.getMessage(), e);
        }
    }

    /**
     * {@return whether LoRA.save wrote a file; such a file contains its network's frozen weights}
     *
     * @throws IOException naming the file, if it is missing, damaged or no zip file
     */
    public static boolean isSelfContained(File file) throws IOException {
        return ModelZip.has(file, INDEX);
    }

    private static Map<String, FrozenWeights> frozenWeights(ZipFile zip, File file) throws IOException {
        ZipEntry index = zip.getEntry(INDEX);
        if (index == null) {
            throw new IOException("it was not written by LoRA.save: it lacks " + INDEX + ". Restore a file of DL4J's "
                    + "ModelSerializer with LoRA.restore and, if the network is adapted, attach its base with LoRA.attach");
        }
        byte[] text;
        try (InputStream in = zip.getInputStream(index)) {
            text = in.readNBytes(LONGEST_INDEX + 1);
        }
        if (text.length > LONGEST_INDEX) {
            throw new IOException(INDEX + " is longer than " + LONGEST_INDEX + " bytes");
        }
        UntrustedJson.refuseExcess(text, DEEPEST_INDEX);
        JsonNode ids = JSON.readTree(text);
        Map<String, FrozenWeights> weights = new LinkedHashMap<>();
        // Saved uncompressed; but a program that adds an entry, as DL4J's addNormalizerToModel does, compresses them.
        long left = Expansion.most(file);
        for (Map.Entry<String, JsonNode> entry : (Iterable<Map.Entry<String, JsonNode>>) ids::fields) {
            FrozenWeights layer = read(zip, entry.getKey(), entry.getValue(), file, left);
            left -= layer.bytes();
            weights.put(layer.id(), layer);
        }
        return weights;
    }

    private static FrozenWeights read(ZipFile zip, String id, JsonNode index, File file, long left) throws IOException {
        ZipEntry entry = zip.getEntry(FROZEN + id);
        if (entry == null) {
            throw new IOException("it lacks the frozen weights " + id + " (" + index.path("signature").asText(index.asText())
                    + ")");
        }
        long most = Math.min(left, Expansion.most(entry, file));
        try (InputStream in = zip.getInputStream(entry)) {
            StoredWeights stored = stored(index);
            if (stored.bytes() > most) {
                throw new IOException("\"" + stored.signature() + "\" is more than the file can hold: at most " + most
                        + " bytes");
            }
            return stored.read(in, id);
        } catch (IllegalArgumentException | ArithmeticException e) {
            throw new IOException("it is damaged: " + e.getMessage(), e);
        }
    }

    private static StoredWeights stored(JsonNode index) throws IOException {
        if (!index.isObject()) {
            return new StoredWeights(index.asText(), null, Map.of());
        }
        StoredWeights stored = JSON.treeToValue(index, StoredWeights.class);
        if (stored.form() == null) {
            throw new IllegalArgumentException("quantised weights without form: \"" + stored.signature() + "\"");
        }
        return stored;
    }
}
