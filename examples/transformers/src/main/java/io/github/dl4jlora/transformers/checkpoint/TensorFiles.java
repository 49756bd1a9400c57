package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.transformers.CheckpointException;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
    private static final byte[] POINTER = "version https://git-lfs".getBytes(StandardCharsets.US_ASCII);

    /** The file of a tensor, its name there, its shape, and the file's identity at the time. */
    private record Place(Path file, String name, long[] shape, FileIdentity identity) {
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
            files.add(inside(folder, WHOLE), null, "");
        } else if (Files.exists(folder.resolve(INDEX))) {
            files.addIndexed(folder, ConfigFile.read(inside(folder, INDEX)));
        } else {
            throw new CheckpointException(folder + " has neither " + WHOLE + " nor " + INDEX + pickle(folder, "transformers",
                    "model.save_pretrained(folder, safe_serialization=True)"));
        }
        return files;
    }

    /** What to do if the tensors are in files that hold programs. */
    private static String pickle(Path folder, String library, String fix) {
        for (String name : List.of(PICKLE, PICKLE + ".index.json")) {
            if (Files.exists(folder.resolve(name))) {
                return ", only " + name + (name.equals(PICKLE) ? "" : " and the .bin files that it names") + ", and such a file "
                        + "can run any program when it is opened. Write it again with " + library + ": " + fix;
            }
        }
        return "";
    }

    /**
     * {@return these tensors and those of a module of sentence-transformers}
     *
     * @param module the folder of the module, which goes before the tensors' names, with a dot
     * @throws IOException if it has no such file, or a damaged one
     */
    TensorFiles with(Path folder, String module) throws IOException {
        Path home = folder.resolve(module);
        if (!Files.exists(home.resolve(WHOLE))) {
            throw new CheckpointException(home + " has no " + WHOLE + pickle(home, "sentence-transformers",
                    "SentenceTransformer(folder).save(new_folder)"));
        }
        TensorFiles both = new TensorFiles();
        both.places.putAll(places);
        both.add(inside(folder, module + "/" + WHOLE), null, module + ".");
        return both;
    }

    private void addIndexed(Path folder, ConfigFile index) throws IOException {
        ObjectNode map = index.object("weight_map");
        if (map == null) {
            throw new CheckpointException(index + " lacks \"weight_map\"");
        }
        Map<String, Set<String>> namesOf = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : (Iterable<Map.Entry<String, JsonNode>>) map::fields) {
            namesOf.computeIfAbsent(entry.getValue().asText(), file -> new LinkedHashSet<>()).add(entry.getKey());
        }
        for (String file : namesOf.keySet()) {
            if (!file.matches("[\\w.-]+\\.safetensors")) {
                throw new CheckpointException(
                        index + " names the file \"" + ConfigFile.shown(file) + "\", which is not a *.safetensors "
                        + "beside it");
            }
            inside(folder, file);
        }
        for (Map.Entry<String, Set<String>> file : namesOf.entrySet()) {
            add(folder.resolve(file.getKey()), file.getValue(), "");
        }
    }

    /**
     * {@return a file of the folder, which is there and no Git LFS pointer} Links are only followed into the folder {@code blobs}
     * of Hugging Face's cache, since the folder is not trusted.
     */
    static Path inside(Path folder, String name) throws IOException {
        Path file = found(folder, name);
        requireFetched(file);
        return file;
    }

    /** @throws IOException if the file is what Git leaves in the place of a large file */
    static void requireFetched(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            if (Arrays.equals(in.readNBytes(POINTER.length), POINTER)) {
                throw new CheckpointException(file + " is a Git LFS pointer to a file. Fetch the file with git lfs pull");
            }
        }
    }

    /** {@return a file of the folder, as {@link #inside}, whatever is in it} */
    static Path found(Path folder, String name) throws IOException {
        Path file = folder.resolve(name);
        if (!Files.isRegularFile(file)) {
            throw new CheckpointException(file + " does not exist or is not a file");
        }
        Path home = folder.toRealPath();
        Path real = file.toRealPath();
        if (!real.startsWith(home) && !real.startsWith(home.resolve("../../blobs").normalize())) {
            throw new CheckpointException(
                    file + " is a link to " + real + ", which is outside of the folder. Copy the file into the "
                    + "folder");
        }
        return file;
    }

    /**
     * {@return tokenizer.json, if the folder has one, and not only a link to elsewhere}
     *
     * @throws IOException if it is a Git LFS pointer
     */
    static Optional<Path> tokenizer(Path folder) throws IOException {
        Path file;
        try {
            file = found(folder, "tokenizer.json");
        } catch (CheckpointException e) {
            return Optional.empty();
        }
        requireFetched(file);
        return Optional.of(file);
    }

    /**
     * @param expected null to accept all tensors
     * @param prefix   what goes before the names in the file
     */
    private void add(Path file, Set<String> expected, String prefix) throws IOException {
        FileIdentity identity = FileIdentity.of(file);
        try (Safetensors tensors = opened(file)) {
            for (String name : tensors.names()) {
                if (expected != null && !expected.contains(name)) {
                    String elsewhere = places.containsKey(name) ? "also in " + places.get(name).file.getFileName()
                            : "in another file or not at all";
                    throw new CheckpointException(
                            file + " contains the tensor \"" + name + "\", which " + INDEX + " lists " + elsewhere);
                }
                places.put(prefix + name, new Place(file, name, tensors.shape(name), identity));
            }
            if (expected != null && !tensors.names().containsAll(expected)) {
                expected.removeAll(tensors.names());
                throw new CheckpointException(file + " lacks tensors that " + INDEX + " lists in it: "
                        + Few.of(expected));
            }
        }
    }

    private static Safetensors opened(Path file) throws IOException {
        try {
            return Safetensors.open(file);
        } catch (AdapterFormatException e) {
            throw new CheckpointException(e.getMessage(), e);
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
            throw new CheckpointException(fileOf(name) + ": tensor \"" + name + "\" has the shape "
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
        try (Safetensors tensors = opened(file)) {
            requireUnchanged(name, tensors);
            tensors.readInto(places.get(name).name, target);
        } catch (CheckpointException e) {
            throw e;
        } catch (IOException e) {
            boolean isNamed = String.valueOf(e.getMessage()).contains(file.toString());
            throw new CheckpointException(isNamed ? e.getMessage() : file + ": " + e.getMessage(), e);
        }
    }

    /** {@return whether two tensors have the same type, shape and bytes} */
    boolean isSame(String one, String other) throws IOException {
        try (Safetensors first = opened(fileOf(one)); Safetensors second = opened(fileOf(other))) {
            requireUnchanged(one, first);
            requireUnchanged(other, second);
            return first.isSame(places.get(one).name, second, places.get(other).name);
        }
    }

    private void requireUnchanged(String name, Safetensors tensors) throws IOException {
        // Even if the shapes are the same: a training writes the same file again and again.
        Place place = places.get(name);
        if (FileIdentity.of(place.file).isAnotherThan(place.identity) || !tensors.names().contains(place.name)
                || !Arrays.equals(tensors.shape(place.name), place.shape)) {
            throw new CheckpointException(fileOf(name) + " has been replaced or written since it was opened: tensor \"" + name
                    + "\" may have changed. Open the checkpoint again");
        }
    }
}
