package io.github.dl4jlora.models.encoder;

import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A {@code tokenizer.json}, of which only two sections are looked at: the rest, which has the vocabulary, may be large, and stays
 * as it is.
 *
 * @param truncation how Python last cut texts. DJL would take a stride from there, and the native library ends the program if
 *                   that is not smaller than the longest text
 * @param normalizer what is done to a text first, such as small letters
 */
record TokenizerJson(byte[] bytes, Section truncation, Section normalizer) {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String TRUNCATION = "truncation";
    private static final String NORMALIZER = "normalizer";
    /** Names of BERT's normalizer by those that they have in tokenizer_config.json. */
    private static final Map<String, String> NAMES = Map.of("do_lower_case", "lowercase", "strip_accents", "strip_accents",
            "tokenize_chinese_chars", "handle_chinese_chars");

    /**
     * @param from where the value begins in the bytes, or would begin
     * @param to   where it ends; {@code from} if there is no such section
     */
    record Section(int from, int to) {
    }

    /** Of what is no JSON there is no section either: whoever reads it as a tokenizer says so. */
    static TokenizerJson of(byte[] bytes) {
        Map<String, Section> sections = new HashMap<>();
        int first = 0;
        try (JsonParser parser = JSON.getFactory().createParser(bytes)) {
            if (parser.nextToken() == JsonToken.START_OBJECT) {
                first = Math.max(0, (int) parser.getCurrentLocation().getByteOffset());
                while (sections.size() < 2 && parser.nextToken() == JsonToken.FIELD_NAME) {
                    String key = parser.getCurrentName();
                    JsonToken value = parser.nextToken();
                    int from = (int) parser.getTokenLocation().getByteOffset();
                    parser.skipChildren();
                    boolean isSection = key.equals(TRUNCATION) || key.equals(NORMALIZER);
                    if (isSection && from >= 0 && (value == JsonToken.START_OBJECT || value == JsonToken.VALUE_NULL)) {
                        sections.put(key, new Section(from, (int) parser.getCurrentLocation().getByteOffset()));
                    }
                }
            }
        } catch (IOException e) {
            // As if it had no more.
        }
        Section none = new Section(first, first);
        return new TokenizerJson(bytes, sections.getOrDefault(TRUNCATION, none), sections.getOrDefault(NORMALIZER, none));
    }

    private JsonNode value(Section section) throws IOException {
        return JSON.readTree(bytes, section.from, section.to - section.from);
    }

    /** Whether Python last cut the beginning of longer texts, and not their end. */
    boolean cutsBeginnings() throws IOException {
        return value(truncation).path("direction").asText().equals("Left");
    }

    /**
     * The settings of BERT's normalizer that are not as given, by their names in tokenizer_config.json. None of a normalizer of
     * another type, nor of one in a sequence: Python asks the normalizer as a whole.
     */
    ObjectNode otherThan(Map<String, Optional<Boolean>> settings) throws IOException {
        JsonNode value = value(normalizer);
        ObjectNode other = JSON.createObjectNode();
        if (value.path("type").asText().equals("BertNormalizer")) {
            settings.forEach((name, setting) -> {
                JsonNode own = value.path(NAMES.get(name));
                Optional<Boolean> is = own.isBoolean() ? Optional.of(own.booleanValue()) : Optional.empty();
                if (!is.equals(setting)) {
                    other.put(name, is.orElse(null));
                }
            });
        }
        return other;
    }

    /** The same with these settings of its normalizer, which is BERT's. */
    TokenizerJson with(Map<String, Optional<Boolean>> settings) throws IOException {
        ObjectNode changed = (ObjectNode) value(normalizer);
        settings.forEach((name, setting) -> changed.put(NAMES.get(name), setting.orElse(null)));
        return of(with(normalizer, changed.toString()));
    }

    /**
     * The same for texts that are cut otherwise than Python last did. DJL keeps the direction of this section alone.
     *
     * @param beginnings whether texts lose their beginning, and not their end
     */
    byte[] cutting(int maxTokens, boolean beginnings) {
        if (!beginnings) {
            return truncation.from == truncation.to ? bytes : with(truncation, "null");
        }
        String left = "{\"direction\": \"Left\", \"max_length\": " + maxTokens + ", \"strategy\": \"LongestFirst\", "
                + "\"stride\": 0}";
        return with(truncation, truncation.from == truncation.to ? "\"" + TRUNCATION + "\": " + left + ", " : left);
    }

    private byte[] with(Section section, String value) {
        ByteArrayOutputStream changed = new ByteArrayOutputStream(bytes.length + value.length());
        changed.write(bytes, 0, section.from);
        changed.writeBytes(value.getBytes(StandardCharsets.UTF_8));
        changed.write(bytes, section.to, bytes.length - section.to);
        return changed.toByteArray();
    }
}
