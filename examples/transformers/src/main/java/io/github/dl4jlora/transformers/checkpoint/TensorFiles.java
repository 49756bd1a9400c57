package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The tensors of a folder: of {@code model.safetensors}, or of the files that {@code model.safetensors.index.json} names. No file
 * stays open: each is open only while a tensor is read.
 */
final class TensorFiles {

    static final String WHOLE = "model.safetensors";
    private static final String PICKLE = "pytorch_model.bin";
    static final String INDEX = "model.safetensors.index.json";

    /** The file of a tensor, its shape, and the file's identity at the time. */
    private record Place(Path file, long[] shape, FileIdentity identity) {
    }

    private final Map<String, Place> places = new LinkedHashMap<>();

    private TensorFiles() {
    }

    /**
     * Reads the headers.
     *
     * @throws IOException if there is none of these files, one is damaged, or the index does not fit the files that it names
     */
    static TensorFiles open(Path folder) throws IOException {
        TensorFiles files = new TensorFiles();
        if (Files.exists(folder.resolve(WHOLE))) {
            files.add(inside(folder, WHOLE), null);
        } else if (Files.exists(folder.resolve(INDEX))) {
            files.addIndexed(folder, ConfigFile.read(inside(folder, INDEX)));
        } else {
            throw new IOException(folder + " has neither " + WHOLE + " nor " + INDEX + (Files.exists(folder.resolve(PICKLE))
                    || Files.exists(folder.resolve(PICKLE + ".index.json")) ? ", only " + PICKLE + ", which can run any program "
                            + "when it is opened. Write it again with transformers: model.save_pretrained(folder, "
                            + "safe_serialization=True)"
                    : ""));
        }
        return files;
    }

    private void addIndexed(Path folder, ConfigFile index) throws IOException {
        ObjectNode map = index.object("weight_map");
        if (map == null) {
            throw new IOException(index + " lacks \"weight_map\"");
        }
        Map<String, Set<String>> namesOf = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : (Iterable<Map.Entry<String, JsonNode>>) map::fields) {
            namesOf.computeIfAbsent(entry.getValue().asText(), file -> new LinkedHashSet<>()).add(entry.getKey());
        }
        for (String file : namesOf.keySet()) {
            if (!file.matches("[\\w.-]+\\.safetensors")) {
                throw new IOException(index + " names the file \"" + ConfigFile.shown(file) + "\", which is not a *.safetensors "
                        + "beside it");
            }
            inside(folder, file);
        }
        for (Map.Entry<String, Set<String>> file : namesOf.entrySet()) {
            add(folder.resolve(file.getKey()), file.getValue());
        }
    }

    /**
     * {@return a file of the folder} Links are only followed into the folder {@code blobs} of Hugging Face's cache, since the
     * folder is not trusted.
     */
    static Path inside(Path folder, String name) throws IOException {
        Path file = folder.resolve(name);
        if (!Files.isRegularFile(file)) {
            throw new IOException(file + " does not exist or is not a file");
        }
        Path home = folder.toRealPath();
        Path real = file.toRealPath();
        if (!real.startsWith(home) && !real.startsWith(home.resolve("../../blobs").normalize())) {
            throw new IOException(file + " is a link to " + real + ", which is outside of the folder. Copy the file into the "
                    + "folder");
        }
        return file;
    }

    /** @param expected null to accept all tensors */
    private void add(Path file, Set<String> expected) throws IOException {
        FileIdentity identity = FileIdentity.of(file);
        try (Safetensors tensors = Safetensors.open(file)) {
            for (String name : tensors.names()) {
                if (expected != null && !expected.contains(name)) {
                    String elsewhere = places.containsKey(name) ? "also in " + places.get(name).file.getFileName()
                            : "in another file or not at all";
                    throw new IOException(file + " contains the tensor \"" + name + "\", which " + INDEX + " lists " + elsewhere);
                }
                places.put(name, new Place(file, tensors.shape(name), identity));
            }
            if (expected != null && !tensors.names().containsAll(expected)) {
                expected.removeAll(tensors.names());
                throw new IOException(file + " lacks tensors that " + INDEX + " lists in it: "
                        + Few.of(expected));
            }
        }
    }

    Set<String> names() {
        return places.keySet();
    }

    long[] shape(String name) {
        return places.get(name).shape.clone();
    }

    /** @throws IOException naming file, tensor and both shapes, if it has another */
    void requireShape(String name, long... expected) throws IOException {
        if (!Arrays.equals(places.get(name).shape, expected)) {
            throw new IOException(fileOf(name) + ": tensor \"" + name + "\" has the shape "
                    + Arrays.toString(places.get(name).shape) + ", but according to config.json, or to your own graph, it is "
                    + Arrays.toString(expected));
        }
    }

    Path fileOf(String name) {
        return places.get(name).file;
    }

    /**
     * @param target of the tensor's shape
     * @throws IOException naming file and tensor, if its values are not finite, or cannot be read
     */
    void readInto(String name, INDArray target) throws IOException {
        Path file = fileOf(name);
        try (Safetensors tensors = Safetensors.open(file)) {
            requireUnchanged(name, tensors);
            tensors.readInto(name, target);
        } catch (IOException e) {
            boolean isNamed = String.valueOf(e.getMessage()).contains(file.toString());
            throw isNamed ? e : new IOException(file + ": " + e.getMessage(), e);
        }
    }

    /** {@return whether two tensors have the same type, shape and bytes} */
    boolean isSame(String one, String other) throws IOException {
        try (Safetensors first = Safetensors.open(fileOf(one)); Safetensors second = Safetensors.open(fileOf(other))) {
            requireUnchanged(one, first);
            requireUnchanged(other, second);
            return first.isSame(one, second, other);
        }
    }

    private void requireUnchanged(String name, Safetensors tensors) throws IOException {
        // Even if the shapes are the same: a training writes the same file again and again.
        if (FileIdentity.of(fileOf(name)).isAnotherThan(places.get(name).identity) || !tensors.names().contains(name)
                || !Arrays.equals(tensors.shape(name), places.get(name).shape)) {
            throw new IOException(fileOf(name) + " has been replaced or written since it was opened: tensor \"" + name
                    + "\" may have changed. Open the checkpoint again");
        }
    }
}
