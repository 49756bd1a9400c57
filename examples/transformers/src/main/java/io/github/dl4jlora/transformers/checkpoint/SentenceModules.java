package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.CheckpointException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What sentence-transformers computes with a folder, according to its {@code modules.json}: modules in order, each with a folder
 * of settings. Supported are a transformer, the mean of a text's token vectors, and the division by its length.
 *
 * @param normalized whether a text's vector is divided by its length
 */
public record SentenceModules(boolean normalized) {

    private static final Logger LOG = LoggerFactory.getLogger(SentenceModules.class);
    private static final String PROMPTS = "config_sentence_transformers.json";
    private static final String MODULES = "modules.json";
    private static final String POOLING = "1_Pooling";
    private static final String CONFIG = "config.json";
    private static final String PACKAGE = "sentence_transformers.";
    private static final List<String> OTHER_MODES = List.of("cls_token", "max_tokens", "mean_sqrt_len_tokens",
            "weightedmean_tokens", "lasttoken");
    private static final String REMEDY = ". encoder() gives the vectors of all tokens, and model(graph, newLayers…) puts layers "
            + "of your own on top";

    /** A module: the last part of its type's name, and its settings' folder. */
    private record Part(String type, String path) {
    }

    /**
     * Reads modules.json and the settings of the modules. Without modules.json, the embeddings are taken to be means of length 1;
     * if there are settings of a pooling, they must be those of the mean.
     *
     * @param folder of the checkpoint
     * @param hidden width of a token's vector
     * @throws IOException if a file is damaged, or a module or a setting is not supported; the message names file and value
     */
    static SentenceModules read(Path folder, int hidden) throws IOException {
        if (!Files.exists(folder.resolve(MODULES))) {
            if (Files.exists(folder.resolve(POOLING).resolve(CONFIG))) {
                requireMean(folder, POOLING, hidden);
            }
            return new SentenceModules(true);
        }
        Path file = TensorFiles.inside(folder, MODULES);
        List<Part> modules = modules(file);
        List<String> types = modules.stream().map(Part::type).toList();
        boolean normalized = types.equals(List.of("Transformer", "Pooling", "Normalize"));
        if (!normalized && !types.equals(List.of("Transformer", "Pooling"))) {
            throw new CheckpointException(file + " has the modules " + types + ", but expected are [Transformer, Pooling], and "
                    + "optionally Normalize: other modules change what the model computes, in a way that is not "
                    + "supported" + REMEDY);
        }
        if (!modules.get(0).path.isEmpty()) {
            throw new CheckpointException(file + " has the transformer in the folder \"" + modules.get(0).path + "\". Only one beside "
                    + "modules.json is supported: move its files there, and set \"path\": \"\"");
        }
        requireMean(folder, modules.get(1).path, hidden);
        tellPrompt(folder);
        return new SentenceModules(normalized);
    }

    private static List<Part> modules(Path file) throws IOException {
        List<Part> modules = new ArrayList<>();
        for (ConfigFile module : ConfigFile.readList(file)) {
            String type = module.text("", "type");
            String path = module.text("", "path");
            if (!type.startsWith(PACKAGE)) {
                throw module.refused("type", type, "a module of sentence-transformers, such as "
                        + "sentence_transformers.models.Pooling: other code is not run" + REMEDY);
            }
            if (!path.matches("|\\w[\\w.-]*")) {
                throw module.refused("path", path, "the name of a folder beside it, or \"\"");
            }
            modules.add(new Part(type.substring(type.lastIndexOf('.') + 1), path));
        }
        return modules;
    }

    private static void requireMean(Path folder, String path, int hidden) throws IOException {
        ConfigFile pooling = ConfigFile.read(TensorFiles.inside(folder, path.isEmpty() ? CONFIG : path + "/" + CONFIG));
        try {
            pooling.requireOnly("pooling_mode", "mean");
            pooling.requireOnly("pooling_mode_mean_tokens", true);
            for (String other : OTHER_MODES) {
                pooling.requireNone("pooling_mode_" + other);
            }
            pooling.requireOnly("include_prompt", true);
            pooling.requireOnly("word_embedding_dimension", hidden);
        } catch (CheckpointException e) {
            throw new CheckpointException(e.getMessage() + REMEDY, e);
        }
    }

    /** A prompt is text, which this class does not see: the code that tokenizes texts has to add it. */
    private static void tellPrompt(Path folder) throws IOException {
        if (!Files.exists(folder.resolve(PROMPTS))) {
            return;
        }
        ConfigFile settings = ConfigFile.read(TensorFiles.inside(folder, PROMPTS));
        String name = settings.text(null, "default_prompt_name");
        if (name != null) {
            LOG.warn("{} has the default prompt \"{}\": sentence-transformers puts its text before every text. Do the same "
                    + "before you tokenize texts", settings, name);
        }
    }
}
