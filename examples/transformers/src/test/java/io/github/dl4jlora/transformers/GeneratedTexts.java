package io.github.dl4jlora.transformers;

import io.github.dl4jlora.adapter.LoRAAdapter;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.StreamSupport;

/** What {@code write_generation.py} wrote: a tiny GPT-2, and the texts that PyTorch has it write. */
final class GeneratedTexts {

    static final int VOCABULARY = 19;

    private final Path folder;
    private final JsonNode file;

    private GeneratedTexts(Path folder) throws Exception {
        this.folder = folder;
        this.file = new ObjectMapper().readTree(folder.resolve("generated.json").toFile());
    }

    static GeneratedTexts ofPyTorch() {
        try {
            return new GeneratedTexts(Path.of(GeneratedTexts.class.getResource("/generation").toURI()));
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    Checkpoint checkpoint() throws Exception {
        return Checkpoint.open(folder);
    }

    LoRAAdapter adapter() throws Exception {
        return LoRAAdapter.load(folder.resolve("adapter"));
    }

    List<int[]> prompts() {
        return lists("prompts");
    }

    /** Up to the last position. */
    List<int[]> base() {
        return lists("base");
    }

    List<int[]> adapted() {
        return lists("adapted");
    }

    JsonNode sampling() {
        return file.get("sampling");
    }

    private List<int[]> lists(String name) {
        return StreamSupport.stream(file.get(name).spliterator(), false)
                .map(list -> StreamSupport.stream(list.spliterator(), false).mapToInt(JsonNode::intValue).toArray()).toList();
    }
}
