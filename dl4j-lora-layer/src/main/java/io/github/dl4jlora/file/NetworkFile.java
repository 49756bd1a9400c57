package io.github.dl4jlora.file;

import io.github.dl4jlora.frozen.FrozenWeights;
import io.github.dl4jlora.frozen.ModelZip;
import io.github.dl4jlora.frozen.RawValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.Reference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * A self-contained adapted network: what DL4J's ModelSerializer writes, and the frozen weights beside it as entries
 * {@code frozen/<content id>}, each the little-endian values of one layer.
 */
public final class NetworkFile {

    private static final String FROZEN = "frozen/";
    private static final String INDEX = FROZEN + "index.json";
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int LONGEST_INDEX = 16 << 20;

    private NetworkFile() {
    }

    /**
     * @param weights the frozen weights the network refers to, verified
     */
    public static void save(Model network, Collection<FrozenWeights> weights, Path target, boolean saveUpdater) throws IOException {
        Map<String, FrozenWeights> byId = new LinkedHashMap<>();
        weights.forEach(layer -> byId.put(layer.id(), layer));
        AtomicFile.write(target, out -> {
            Path stock = Files.createTempFile("dl4j-lora", ".zip");
            try (ZipOutputStream zip = new ZipOutputStream(out)) {
                ModelSerializer.writeModel(network, stock.toFile(), saveUpdater);
                copyEntries(stock, zip);
                zip.setLevel(0);
                Map<String, String> index = new LinkedHashMap<>();
                for (FrozenWeights layer : byId.values()) {
                    index.put(layer.id(), layer.signature());
                    zip.putNextEntry(new ZipEntry(FROZEN + layer.id()));
                    RawValues.write(layer.values(), zip);
                    zip.closeEntry();
                }
                zip.putNextEntry(new ZipEntry(INDEX));
                zip.write(JSON.writeValueAsBytes(index));
                zip.closeEntry();
            } finally {
                Files.deleteIfExists(stock);
            }
        });
    }

    private static void copyEntries(Path from, ZipOutputStream to) throws IOException {
        try (ZipFile zip = new ZipFile(from.toFile())) {
            for (Enumeration<? extends ZipEntry> entries = zip.entries(); entries.hasMoreElements();) {
                ZipEntry entry = entries.nextElement();
                to.putNextEntry(new ZipEntry(entry.getName()));
                try (InputStream in = zip.getInputStream(entry)) {
                    in.transferTo(to);
                }
                to.closeEntry();
            }
        }
    }

    /**
     * @return the network, its frozen weights bound
     * @throws IOException if the file is truncated, no such network, or its frozen weights do not hash to their ids
     */
    public static Model load(Path source) throws IOException {
        File file = source.toFile();
        // Held until the network has found them in the registry, which is weak.
        List<FrozenWeights> weights = new ArrayList<>();
        if (!file.isFile()) {
            throw new IOException(source + " does not exist or is no file");
        }
        try (ZipFile zip = new ZipFile(file)) {
            ZipEntry index = zip.getEntry(INDEX);
            if (index == null) {
                throw new IOException(source + " was not written by LoRA.save: it lacks " + INDEX + ". Restore what DL4J's "
                        + "ModelSerializer wrote with ModelSerializer and, if it is adapted, give it its base with LoRA.attach");
            }
            JsonNode ids = JSON.readTree(bounded(zip, index));
            for (Map.Entry<String, JsonNode> entry : (Iterable<Map.Entry<String, JsonNode>>) ids::fields) {
                weights.add(read(zip, source, entry.getKey(), entry.getValue().asText()));
            }
        } catch (ZipException | EOFException | JsonProcessingException e) {
            throw new IOException(source + " is truncated, damaged or no saved network: " + e.getMessage(), e);
        }
        Model network = ModelZip.restore(file, true);
        Reference.reachabilityFence(weights);
        return network;
    }

    private static byte[] bounded(ZipFile zip, ZipEntry entry) throws IOException {
        try (InputStream in = zip.getInputStream(entry)) {
            byte[] bytes = in.readNBytes(LONGEST_INDEX + 1);
            if (bytes.length > LONGEST_INDEX) {
                throw new IOException(entry.getName() + " is longer than " + LONGEST_INDEX + " bytes");
            }
            return bytes;
        }
    }

    private static FrozenWeights read(ZipFile zip, Path source, String id, String signature) throws IOException {
        ZipEntry entry = zip.getEntry(FROZEN + id);
        if (entry == null) {
            throw new IOException(source + " lacks the frozen weights " + id + " (" + signature + ")");
        }
        INDArray values;
        try (InputStream in = zip.getInputStream(entry)) {
            values = RawValues.read(in, signature, source.toFile().length());
        }
        FrozenWeights weights = FrozenWeights.of(values, signature);
        if (!weights.id().equals(id)) {
            throw new IOException(source + " is damaged: the frozen weights " + id + " (" + signature + ") hash to " + weights.id());
        }
        return weights;
    }
}
