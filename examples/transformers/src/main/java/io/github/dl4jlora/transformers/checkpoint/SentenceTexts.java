package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.TextSettings;
import org.nd4j.shade.jackson.databind.node.ObjectNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** Files of sentence-transformers that are about texts. */
final class SentenceTexts {

    static final String PROMPTS = "config_sentence_transformers.json";
    static final String LENGTH = "sentence_bert_config.json";

    /** What older versions called it. */
    private static final List<String> OLD_LENGTHS = List.of("sentence_roberta_config.json", "sentence_distilbert_config.json",
            "sentence_camembert_config.json", "sentence_xlm-roberta_config.json");
    private static final Logger LOG = LoggerFactory.getLogger(SentenceTexts.class);
    private static final String DEFAULT = "default_prompt_name";
    private static final String ALL = "prompts";
    private static final String MAX_LENGTH = "max_seq_length";
    private static final String LOWER_CASE = "do_lower_case";
    /** Where sentence-transformers has the longest text from version 5.4 on. */
    private static final String TOKENIZER = TokenizerConfig.FILE;
    /** What sentence-transformers tells the tokenizer beside the longest text, for all texts or for those of one purpose. */
    static final List<String> OF_TOKENIZER = List.of("processing_kwargs", "query_length", "document_length", "query_expansion");
    /** What it gives to AutoTokenizer, by older and newer names. */
    static final List<String> OF_AUTO_TOKENIZER = List.of("tokenizer_args", "tokenizer_kwargs", "processor_kwargs");
    /** Of these, what leaves the tokens as they are. */
    private static final Set<String> HARMLESS = Set.of("trust_remote_code", "local_files_only", "clean_up_tokenization_spaces");

    private SentenceTexts() {
    }

    /**
     * {@return what the folder says about texts}
     *
     * @param longest text that has a position for each token
     */
    static TextSettings read(Path folder, int longest) throws IOException {
        Map<String, String> prompts = Map.of();
        String name = null;
        if (Files.exists(folder.resolve(PROMPTS))) {
            ConfigFile settings = ConfigFile.read(TensorFiles.inside(folder, PROMPTS));
            prompts = settings.textsByName(ALL);
            name = settings.text(null, DEFAULT);
            if (name != null && !prompts.containsKey(name)) {
                throw new CheckpointException(settings + " says \"" + DEFAULT + "\": \"" + ConfigFile.shown(name) + "\", but "
                        + "there is no such prompt among \"" + ALL + "\": " + ConfigFile.shown(prompts.keySet())
                        + ". Name one of these, or null for none");
            }
        }
        String length = length(folder);
        int most = tokenizersLongest(folder, longest);
        if (length == null) {
            return new TextSettings(prompts, name, most, false);
        }
        ConfigFile settings = ConfigFile.read(TensorFiles.inside(folder, length));
        for (String key : OF_TOKENIZER) {
            settings.requireNone(key);
        }
        for (String key : OF_AUTO_TOKENIZER) {
            settings.requireOnlyKeys(key, HARMLESS, ": it is set over " + TOKENIZER + ", and may change the tokens. Load the "
                    + "tokenizer with it in Python and save it, so that tokenizer.json has it, and remove it here");
        }
        return new TextSettings(prompts, name, Math.min(longest, settings.number(1, most, MAX_LENGTH)),
                settings.flag(false, LOWER_CASE));
    }

    /** {@return what the tokenizer's own settings allow, but not more than {@code longest}} */
    static int tokenizersLongest(Path folder, int longest) throws IOException {
        if (!Files.exists(folder.resolve(TOKENIZER))) {
            return longest;
        }
        // 1e30 in a tokenizer without a limit.
        double most = ConfigFile.read(TensorFiles.inside(folder, TOKENIZER)).fraction(longest, "model_max_length");
        return most >= 1 && most < longest ? (int) most : longest;
    }

    /**
     * Writes settings of texts.
     *
     * @param prompts what {@link #PROMPTS} is to have
     * @param length  what {@link #LENGTH} is to have
     */
    static void put(TextSettings texts, ObjectNode prompts, ObjectNode length) {
        ObjectNode byName = prompts.putObject(ALL);
        texts.prompts().forEach(byName::put);
        prompts.put(DEFAULT, texts.defaultPrompt());
        length.put(MAX_LENGTH, texts.maxTokens()).put(LOWER_CASE, texts.lowerCase());
    }

    /** {@return the name of the file that has the longest text; null if there is none} */
    static String length(Path folder) {
        return Stream.concat(Stream.of(LENGTH), OLD_LENGTHS.stream()).filter(name -> Files.exists(folder.resolve(name)))
                .findFirst().orElse(null);
    }

    /** A prompt is text, which networks do not see. */
    static void tellDefaultPrompt(Path folder, int longest) throws IOException {
        String name = read(folder, longest).defaultPrompt();
        if (name != null) {
            LOG.warn("{} has the default prompt \"{}\": sentence-transformers puts its text before every text. So does "
                    + "textSettings().prepared(text), before you cut texts into tokens", folder.resolve(PROMPTS), name);
        }
    }
}
