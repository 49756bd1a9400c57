package io.github.dl4jlora.transformers.checkpoint;

import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Map;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/**
 * The id with which a folder's tokenizer pads texts. Multilingual models of class BertModel, such as multilingual-e5-small, have
 * the padding 0 in config.json, while their tokenizer pads with 1 and begins texts with 0. transformers asks config.json for no
 * mask, so the tokenizer is right.
 */
final class TokenizerPadding {

    private static final String FILE = "tokenizer_config.json";

    /** Tokenizers whose vocabularies all begin with the tokens that begin a text, pad it and end it. */
    private static final Pattern PADDING_SECOND = Pattern.compile("(XLMRoberta|Roberta|Camembert|MPNet)Tokenizer(Fast)?");
    private static final int SECOND = 1;

    private TokenizerPadding() {
    }

    /**
     * {@return the id; empty if the folder does not say}
     *
     * @throws IOException if tokenizer_config.json is there and is no JSON
     */
    static OptionalInt of(Path folder) throws IOException {
        if (!Files.exists(folder.resolve(FILE))) {
            return OptionalInt.empty();
        }
        JsonNode settings = ConfigFile.json(TensorFiles.inside(folder, FILE));
        JsonNode token = content(settings.path("pad_token"));
        for (Iterator<Map.Entry<String, JsonNode>> added = settings.path("added_tokens_decoder").fields(); added.hasNext();) {
            Map.Entry<String, JsonNode> entry = added.next();
            if (token.isTextual() && content(entry.getValue()).equals(token) && entry.getKey().matches("\\d{1,9}")) {
                return OptionalInt.of(Integer.parseInt(entry.getKey()));
            }
        }
        return PADDING_SECOND.matcher(settings.path("tokenizer_class").asText()).matches() ? OptionalInt.of(SECOND)
                : OptionalInt.empty();
    }

    /** A token is its text, or an object that has it. */
    private static JsonNode content(JsonNode token) {
        return token.isObject() ? token.path("content") : token;
    }
}
