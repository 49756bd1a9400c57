package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.transformers.Pooling;
import io.github.dl4jlora.transformers.TextSettings;
import io.github.dl4jlora.transformers.TransformerShape;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** The files of sentence-transformers for a sentence model, all but the weights. */
final class SentenceFiles {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String PACKAGE = "sentence_transformers.models.";
    private static final String TYPE = "model_type";
    private static final String SENTENCES = "SentenceTransformer";

    private SentenceFiles() {
    }

    /**
     * {@return the files by their names in the folder}
     *
     * @param origin folder of the checkpoint, whose settings of texts are kept as far as they are a sentence model's
     * @param texts  prompts and longest text instead of these; null for none
     */
    static Map<String, AtomicFile.Content> of(SentenceModules modules, TransformerShape shape, Path origin,
                                              TextSettings texts) throws IOException {
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        add(files, SentenceModules.MODULES, list(modules));
        add(files, SentenceModules.POOLING + "/" + SentenceModules.CONFIG, pooling(modules, shape.hidden()));
        for (SentenceModules.Dense dense : modules.dense()) {
            add(files, dense.path() + "/" + SentenceModules.CONFIG, dense(dense));
        }
        ObjectNode prompts = kept(SentenceTexts.PROMPTS, origin, prompts());
        if (!prompts.path(TYPE).asText(SENTENCES).equals(SENTENCES)) {
            // Of a CrossEncoder, say. SentenceTransformer would not read modules.json, and prompts are for another purpose.
            prompts = prompts();
        }
        ObjectNode length = kept(SentenceTexts.length(origin), origin,
                JSON.createObjectNode().put("max_seq_length", SentenceTexts.tokenizersLongest(origin, shape.longestText()))
                        .put("do_lower_case", false));
        // A pooling of one's own may be on a model whose modules are refused for these.
        prompts.remove(SentenceSettings.TRUNCATED);
        length.remove(SentenceSettings.OF_TRANSFORMER);
        length.remove(SentenceSettings.OF_CONFIG);
        length.remove(SentenceTexts.OF_TOKENIZER);
        length.remove(SentenceTexts.OF_AUTO_TOKENIZER);
        if (texts != null) {
            SentenceTexts.put(texts, prompts, length);
        }
        add(files, SentenceTexts.PROMPTS, prompts);
        add(files, SentenceTexts.LENGTH, length);
        return files;
    }

    private static void add(Map<String, AtomicFile.Content> files, String name, JsonNode content) throws IOException {
        byte[] text = ConfigFile.text(content);
        files.put(name, out -> out.write(text));
    }

    /** What a file of the origin has, or other content if there is none; its name is null then. */
    private static ObjectNode kept(String name, Path origin, ObjectNode otherwise) throws IOException {
        return name == null || !Files.exists(origin.resolve(name)) ? otherwise
                : ConfigFile.read(TensorFiles.inside(origin, name)).content();
    }

    private static ArrayNode list(SentenceModules modules) {
        ArrayNode list = JSON.createArrayNode();
        addTo(list, "", "Transformer");
        addTo(list, SentenceModules.POOLING, "Pooling");
        modules.steps().forEach(step -> addTo(list, step.path(), step.type()));
        return list;
    }

    private static void addTo(ArrayNode list, String path, String type) {
        int index = list.size();
        list.addObject().put("idx", index).put("name", String.valueOf(index)).put("path", path).put("type", PACKAGE + type);
    }

    private static ObjectNode pooling(SentenceModules modules, int hidden) {
        ObjectNode settings = JSON.createObjectNode().put("word_embedding_dimension", hidden);
        // Every version of sentence-transformers reads the old keys, but they cannot say an order.
        if (modules.pooling().stream().sorted().toList().equals(modules.pooling())) {
            for (Pooling mode : Pooling.values()) {
                settings.put(SentenceSettings.key(mode), modules.pooling().contains(mode));
            }
        } else {
            ArrayNode modes = settings.putArray(SentenceSettings.MODES);
            modules.pooling().forEach(mode -> modes.add(mode.mode()));
        }
        return settings.put("include_prompt", true);
    }

    private static ObjectNode dense(SentenceModules.Dense dense) {
        return JSON.createObjectNode().put("in_features", dense.in()).put("out_features", dense.out()).put("bias", dense.bias())
                .put("activation_function", TorchActivations.name(dense.activation()));
    }

    private static ObjectNode prompts() {
        ObjectNode settings = JSON.createObjectNode().put(TYPE, SENTENCES);
        settings.putObject("prompts");
        return settings.putNull("default_prompt_name").put("similarity_fn_name", "cosine");
    }
}
