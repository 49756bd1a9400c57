package io.github.dl4jlora.transformers.checkpoint;

import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.MissingNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/**
 * The id with which a folder's tokenizer pads texts. Multilingual models of class BertModel, such as multilingual-e5-small, have
 * the padding 0 in config.json, while their tokenizer pads with 1 and begins texts with 0. transformers asks config.json for no
 * mask, so the tokenizer is right.
 *
 * <p>Which files say it depends on what wrote the folder. Old transformers leave it to tokenizer.json, which is read token by
 * token, since its vocabulary may be larger than all else that is read as JSON.
 */
final class TokenizerPadding {

    private static final String SPECIAL = "special_tokens_map.json";
    private static final String TOKEN = "pad_token";
    private static final String CONTENT = "content";

    /** Tokenizers whose vocabularies all begin with the tokens that begin a text, pad it and end it. */
    private static final Pattern PADDING_SECOND = Pattern.compile("(XLMRoberta|Roberta|Camembert|MPNet)Tokenizer(Fast)?");
    private static final int SECOND = 1;
    private static final Pattern ID = Pattern.compile("\\d{1,9}");

    /** An object of tokenizer.json. */
    private record Entry(OptionalInt id, String content) {
    }

    private TokenizerPadding() {
    }

    /**
     * {@return the id; empty if the folder does not say}
     *
     * @throws IOException if a file that may say it is there and cannot be read
     */
    static OptionalInt of(Path folder) throws IOException {
        JsonNode settings = json(folder, TokenizerConfig.FILE);
        JsonNode token = content(settings.path(TOKEN));
        for (Iterator<Map.Entry<String, JsonNode>> added = settings.path("added_tokens_decoder").fields(); added.hasNext();) {
            Map.Entry<String, JsonNode> entry = added.next();
            if (token.isTextual() && content(entry.getValue()).equals(token) && id(entry.getKey()).isPresent()) {
                return id(entry.getKey());
            }
        }
        Optional<Path> tokenizer = TensorFiles.tokenizer(folder);
        if (tokenizer.isPresent()) {
            String content = (token.isTextual() ? token : content(json(folder, SPECIAL).path(TOKEN))).textValue();
            OptionalInt padding = ConfigFile.search(tokenizer.get(), parser -> search(parser, content));
            if (padding.isPresent()) {
                return padding;
            }
        }
        boolean isSecond = PADDING_SECOND.matcher(settings.path("tokenizer_class").asText()).matches();
        return isSecond ? OptionalInt.of(SECOND) : OptionalInt.empty();
    }

    private static JsonNode json(Path folder, String name) throws IOException {
        return Files.exists(folder.resolve(name)) ? ConfigFile.json(TensorFiles.inside(folder, name)) : MissingNode.getInstance();
    }

    /** A token is its text, or an object that has it. */
    private static JsonNode content(JsonNode token) {
        return token.isObject() ? token.path(CONTENT) : token;
    }

    private static OptionalInt id(String number) {
        return ID.matcher(number).matches() ? OptionalInt.of(Integer.parseInt(number)) : OptionalInt.empty();
    }

    /**
     * Reads tokenizer.json up to what says the id, which mostly comes before the vocabulary.
     *
     * @param token that pads; null if no file names it
     */
    private static OptionalInt search(JsonParser parser, String token) throws IOException {
        OptionalInt padding = OptionalInt.empty();
        boolean isPaddingKnown = false;
        boolean areTokensKnown = token == null;
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            return padding;
        }
        while (!(isPaddingKnown && areTokensKnown) && parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.getCurrentName();
            JsonToken value = parser.nextToken();
            if (key.equals("padding")) {
                padding = value == JsonToken.START_OBJECT ? entry(parser, "pad_id").id : padding;
                isPaddingKnown = true;
            } else if (key.equals("added_tokens") && value == JsonToken.START_ARRAY && !areTokensKnown) {
                OptionalInt added = added(parser, token);
                if (added.isPresent()) {
                    return added;
                }
                areTokensKnown = true;
            }
            parser.skipChildren();
        }
        return padding;
    }

    private static OptionalInt added(JsonParser parser, String token) throws IOException {
        for (JsonToken next = parser.nextToken(); next != JsonToken.END_ARRAY; next = parser.nextToken()) {
            if (next == JsonToken.START_OBJECT) {
                Entry entry = entry(parser, "id");
                if (token.equals(entry.content) && entry.id.isPresent()) {
                    return entry.id;
                }
            }
            parser.skipChildren();
        }
        return OptionalInt.empty();
    }

    /** Reads an object to its end. */
    private static Entry entry(JsonParser parser, String nameOfId) throws IOException {
        OptionalInt id = OptionalInt.empty();
        String content = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.getCurrentName();
            JsonToken value = parser.nextToken();
            if (key.equals(nameOfId) && value == JsonToken.VALUE_NUMBER_INT) {
                id = id(parser.getText());
            } else if (key.equals(CONTENT) && value == JsonToken.VALUE_STRING) {
                content = parser.getText();
            }
            parser.skipChildren();
        }
        return new Entry(id, content);
    }
}
