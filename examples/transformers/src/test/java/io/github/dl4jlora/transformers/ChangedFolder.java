package io.github.dl4jlora.transformers;

import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URISyntaxException;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** A copy of one of the tests' checkpoints, to be changed. */
record ChangedFolder(Path path) {

    private static final ObjectMapper JSON = new ObjectMapper();

    static Path original(String name) {
        try {
            return Path.of(ChangedFolder.class.getResource("/checkpoints/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The checkpoint itself, which nobody changes. */
    static Checkpoint open(String name) throws IOException {
        return Checkpoint.open(original(name));
    }

    static ChangedFolder of(String name, Path to) throws IOException {
        Files.createDirectories(to);
        try (Stream<Path> files = Files.list(original(name))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
        return new ChangedFolder(to);
    }

    Path tensorFile() {
        return path.resolve("model.safetensors");
    }

    void config(Consumer<ObjectNode> change) throws IOException {
        Path file = path.resolve("config.json");
        ObjectNode config = (ObjectNode) JSON.readTree(file.toFile());
        change.accept(config);
        Files.write(file, JSON.writeValueAsBytes(config));
    }

    void configText(String text) throws IOException {
        Files.writeString(path.resolve("config.json"), text);
    }

    /** All but buffers of whole numbers, which our writer has no type for. */
    Map<String, INDArray> tensors() throws IOException {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        try (Safetensors file = Safetensors.open(tensorFile())) {
            for (String name : file.names()) {
                if (!name.endsWith("position_ids")) {
                    tensors.put(name, file.read(name));
                }
            }
        }
        return tensors;
    }

    void tensors(Consumer<Map<String, INDArray>> change) throws IOException {
        Map<String, INDArray> tensors = tensors();
        change.accept(tensors);
        write("model.safetensors", tensors);
    }

    private void write(String name, Map<String, INDArray> tensors) throws IOException {
        try (OutputStream out = Files.newOutputStream(path.resolve(name))) {
            Safetensors.write(out, tensors, Map.of());
        }
    }

    /** Replaces text of the tensors' file, of the same length. */
    void bytes(String old, String by) throws IOException {
        byte[] all = Files.readAllBytes(tensorFile());
        String text = new String(all, StandardCharsets.ISO_8859_1).replaceFirst(old, by);
        Files.write(tensorFile(), text.getBytes(StandardCharsets.ISO_8859_1));
    }

    void shorten(long by) throws IOException {
        try (SeekableByteChannel channel = Files.newByteChannel(tensorFile(), StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() - by);
        }
    }

    /** Has the tensors in two files, and an index of them that is changed. */
    void shards(Consumer<ObjectNode> change) throws IOException {
        Map<String, INDArray> tensors = tensors();
        List<String> names = List.copyOf(tensors.keySet());
        ObjectNode index = JSON.createObjectNode();
        index.putObject("metadata").put("total_size", 1);
        ObjectNode places = index.putObject("weight_map");
        for (int i = 0; i < 2; i++) {
            String file = "model-0000" + (i + 1) + "-of-00002.safetensors";
            Map<String, INDArray> shard = new LinkedHashMap<>();
            names.subList(i * names.size() / 2, (i + 1) * names.size() / 2).forEach(name -> {
                shard.put(name, tensors.get(name));
                places.put(name, file);
            });
            write(file, shard);
        }
        Files.delete(tensorFile());
        change.accept(index);
        Files.write(path.resolve("model.safetensors.index.json"), JSON.writeValueAsBytes(index));
    }
}
