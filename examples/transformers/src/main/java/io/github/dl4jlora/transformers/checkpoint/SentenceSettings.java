package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.Pooling;
import org.nd4j.linalg.activations.IActivation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Files of sentence-transformers: the list of modules, and the settings of each. */
final class SentenceSettings {

    private static final String PACKAGE = "sentence_transformers.";
    private static final List<String> FIRST = List.of("Transformer", "Pooling");
    private static final Set<String> FURTHER = Set.of("Dense", "Normalize");
    /** A text is pooled once; models have up to five modules. */
    private static final int MOST_MODULES = 32;
    private static final String INCLUDE_PROMPT = "include_prompt";
    /** How many numbers of a vector are kept, in {@link SentenceTexts#PROMPTS}. */
    static final String TRUNCATED = "truncate_dim";
    private static final String TASK = "transformer_task";
    private static final String MODALITIES = "modality_config";
    private static final String OUTPUT = "module_output_name";
    /** What of the transformer the modules get, in {@link SentenceTexts#LENGTH}. */
    static final List<String> OF_TRANSFORMER = List.of(TASK, MODALITIES, OUTPUT);
    /** What sentence-transformers gives to AutoConfig and AutoModel, by older and newer names, in the same file. */
    static final List<String> OF_CONFIG = List.of("config_args", "model_args", "config_kwargs", "model_kwargs");
    /**
     * Of these, what leaves the vectors of tokens as they are but for rounding: how and where they are computed, how files are
     * read, and the pooler and the dropout, which no sentence model uses.
     */
    private static final Set<String> HARMLESS = Set.of("attn_implementation", "torch_dtype", "dtype", "trust_remote_code",
            "device_map", "low_cpu_mem_usage", "use_safetensors", "local_files_only", "add_pooling_layer", "hidden_dropout_prob",
            "attention_probs_dropout_prob");
    private static final String REMEDY = ". encoder() gives the vectors of all tokens, sentenceEncoder(pooling) pools them as "
            + "you say, and model(graph, newLayers…) puts layers of your own on top";
    /** The key of new files: a mode, or several in the order in which they stand side by side. */
    static final String MODES = "pooling_mode";
    /** The keys of old files, whose modes stand in the order of {@link Pooling}. */
    private static final Map<Pooling, String> KEYS = new EnumMap<>(Map.of(
            Pooling.FIRST_TOKEN, "pooling_mode_cls_token", Pooling.MAXIMUM, "pooling_mode_max_tokens",
            Pooling.MEAN, "pooling_mode_mean_tokens", Pooling.MEAN_SQRT_LENGTH, "pooling_mode_mean_sqrt_len_tokens",
            Pooling.WEIGHTED_MEAN, "pooling_mode_weightedmean_tokens", Pooling.LAST_TOKEN, "pooling_mode_lasttoken"));

    /** A module: the last part of its type's name, and its settings' folder. */
    record Part(String type, String path) {
    }

    private SentenceSettings() {
    }

    /** {@return the key of a mode in the settings of a pooling} */
    static String key(Pooling mode) {
        return KEYS.get(mode);
    }

    /**
     * {@return the modules: a transformer, a pooling, and what comes after them}
     *
     * @throws IOException if the list is damaged, or has other modules
     */
    static List<Part> parts(Path folder) throws IOException {
        Path file = TensorFiles.inside(folder, SentenceModules.MODULES);
        List<Part> parts = new ArrayList<>();
        for (ConfigFile module : ConfigFile.readList(file)) {
            parts.add(part(module, parts.size()));
        }
        List<String> types = parts.stream().map(Part::type).toList();
        if (types.size() < 2 || !types.subList(0, 2).equals(FIRST) || !FURTHER.containsAll(types.subList(2, types.size()))
                || types.size() > MOST_MODULES) {
            throw new CheckpointException(file + " has the modules " + ConfigFile.shown(types) + ", but expected are " + FIRST
                    + ", and then Dense and Normalize: other modules change what the model computes, in a way that is not "
                    + "supported" + REMEDY);
        }
        if (!parts.get(0).path.isEmpty()) {
            throw new CheckpointException(file + " has the transformer in the folder \"" + parts.get(0).path + "\". Only one "
                    + "beside modules.json is supported: move its files there, and set \"path\": \"\"");
        }
        Set<String> paths = new HashSet<>();
        for (Part part : parts.subList(1, parts.size())) {
            if (!paths.add(part.path)) {
                throw new CheckpointException(file + " has two modules with the \"path\": \"" + part.path + "\". Give each the "
                        + "folder that has its settings");
            }
        }
        return parts;
    }

    private static Part part(ConfigFile module, int index) throws IOException {
        String type = module.text("", "type");
        String path = module.text("", "path");
        if (!type.startsWith(PACKAGE)) {
            throw module.refused("type", type, "a module of sentence-transformers, such as "
                    + "sentence_transformers.models.Pooling: other code is not run" + REMEDY);
        }
        if (!path.matches("|\\w[\\w.-]*")) {
            throw module.refused("path", path, "the name of a folder beside it, or \"\"");
        }
        String name = type.substring(type.lastIndexOf('.') + 1);
        return new Part(name, path.isEmpty() && index > 0 && name.equals("Normalize") ? index + "_Normalize" : path);
    }

    /**
     * Requires that the modules get the vectors of the transformer's last layer, and that what they compute is not cut.
     *
     * @throws IOException if a file beside the list says otherwise, or is damaged
     */
    static void requireWholeVectors(Path folder) throws IOException {
        if (Files.exists(folder.resolve(SentenceTexts.PROMPTS))) {
            ConfigFile settings = ConfigFile.read(TensorFiles.inside(folder, SentenceTexts.PROMPTS));
            int kept = settings.number(1, 0, TRUNCATED);
            if (kept > 0) {
                throw new CheckpointException(settings + " says \"" + TRUNCATED + "\": " + kept + ", so that vectors are cut to "
                        + "their first numbers, which is not supported. Set it to null there and cut them yourself, by a "
                        + "SubsetVertex on top or in each row of the output");
            }
        }
        String transformer = SentenceTexts.length(folder);
        if (transformer != null) {
            ConfigFile settings = ConfigFile.read(TensorFiles.inside(folder, transformer));
            settings.requireOnly(TASK, "feature-extraction");
            settings.requireOnly(OUTPUT, "token_embeddings");
            for (String key : OF_CONFIG) {
                settings.requireOnlyKeys(key, HARMLESS, ": it is set over config.json, and may change the vectors. Set it in "
                        + "config.json and remove it here" + REMEDY);
            }
            ConfigFile text = settings.below(MODALITIES).below("text");
            text.requireOnly("method", "forward");
            text.requireOnly("method_output_name", "last_hidden_state");
        }
    }

    /**
     * {@return the modes of a pooling, in order}
     *
     * @param path   the folder of the module
     * @param hidden width of a token's vector
     */
    static List<Pooling> pooling(Path folder, String path, int hidden) throws IOException {
        ConfigFile settings = read(folder, path);
        for (String width : List.of("word_embedding_dimension", "embedding_dimension")) {
            settings.requireOnly(width, hidden);
        }
        if (!settings.flag(true, INCLUDE_PROMPT)) {
            throw new CheckpointException(settings + " says \"" + INCLUDE_PROMPT + "\": false, so that the tokens of a prompt "
                    + "are left out of the pooling, which is not supported. For texts without prompts it changes nothing: set it "
                    + "to true then" + REMEDY);
        }
        List<Pooling> modes = new ArrayList<>();
        List<String> named = settings.textOrTexts(MODES);
        for (Pooling mode : Pooling.values()) {
            if (named.isEmpty() ? settings.flag(false, key(mode)) : named.contains(mode.mode())) {
                modes.add(mode);
            }
        }
        if (!named.isEmpty() && modes.size() != named.size()) {
            throw new CheckpointException(settings + " has the poolings " + ConfigFile.shown(named) + ", but expected is one or "
                    + "more of " + Arrays.stream(Pooling.values()).map(Pooling::mode).toList() + REMEDY);
        }
        if (modes.isEmpty()) {
            // As in sentence-transformers from version 5.4 on. Before, a missing key of the mean counted as true.
            modes.add(Pooling.MEAN);
        }
        modes.sort(Comparator.comparing(mode -> named.indexOf(mode.mode())));
        return modes;
    }

    /**
     * {@return a dense layer}
     *
     * @param path the folder of the module
     * @param in   width of what comes before it
     */
    static SentenceModules.Dense dense(Path folder, String path, long in) throws IOException {
        ConfigFile settings = read(folder, path);
        settings.requireOnly("in_features", (int) in);
        settings.requireOnly("use_residual", false);
        requireOfSentences(settings);
        String name = settings.text("", "activation_function");
        IActivation activation = TorchActivations.of(name);
        if (activation == null) {
            throw settings.refused("activation_function", name, "one of " + TorchActivations.names() + REMEDY);
        }
        int out = settings.number(1, 0, "out_features");
        if (out == 0) {
            throw new CheckpointException(settings + " lacks \"out_features\", the width of what the layer computes");
        }
        return new SentenceModules.Dense(path, in, out, settings.flag(true, "bias"), activation);
    }

    /** Refuses settings of a normalisation, which most folders lack, that is not of a sentence's vector. */
    static void requireNormalizesSentences(Path folder, String path) throws IOException {
        if (Files.exists(folder.resolve(path).resolve(SentenceModules.CONFIG))) {
            requireOfSentences(read(folder, path));
        }
    }

    private static void requireOfSentences(ConfigFile settings) throws IOException {
        settings.requireOnly("module_input_name", "sentence_embedding");
        settings.requireOnly("module_output_name", "sentence_embedding");
    }

    private static ConfigFile read(Path folder, String path) throws IOException {
        return ConfigFile.read(TensorFiles.inside(folder, path.isEmpty() ? SentenceModules.CONFIG
                : path + "/" + SentenceModules.CONFIG));
    }
}
