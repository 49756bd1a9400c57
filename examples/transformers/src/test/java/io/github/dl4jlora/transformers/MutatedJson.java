package io.github.dl4jlora.transformers;

import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** Texts that differ from a JSON text in one value, each value in turn. */
final class MutatedJson {

    /** What a value becomes; null for nothing. */
    static final List<String> VALUES = Collections.unmodifiableList(Arrays.asList("-1", "0", "1", "7", "1000000000", "2147483647",
            "2147483648", "-2147483648", "9223372036854775807", "-9223372036854775808", "9".repeat(60), "1e9", "0.5", "-0.5",
            "1e-400", "1e400",
            "1e999999999", "NaN", "-Infinity", "9".repeat(500), "\"\"", "\"x\"", "\"../..\"", "\"\\u0000\"",
            "\"" + "long ".repeat(2000) + "\"", "null", "true", "false", "[]", "{}", "[1]", "[null]", "{\"a\": 1}",
            "[".repeat(40) + "]".repeat(40), "[", null));
    /** The same for what has many values. */
    static final List<String> SOME = Collections.unmodifiableList(Arrays.asList("-1", "0", "1", "1000000000",
            "9223372036854775807", "0.5", "\"x\"", "[]", "[1]", null));

    private final JsonNode root;

    MutatedJson(String text) throws IOException {
        root = new ObjectMapper().readTree(text);
    }

    /**
     * Hands on texts, and what is different in each.
     *
     * @param step 1 for every text, n for one in n
     */
    void forEach(List<String> values, int step, BiConsumer<String, String> use) {
        int texts = count(root) * values.size();
        for (int i = 0; i < texts; i += step) {
            int at = i / values.size();
            String value = values.get(i % values.size());
            int[] counter = {at};
            String text = text(root, counter, value);
            use.accept(text == null ? "" : text, "value " + at + " becomes " + (value == null || value.length() < 50 ? value
                    : value.substring(0, 50) + "…"));
        }
    }

    private static int count(JsonNode node) {
        int count = 1;
        for (JsonNode child : node) {
            count += count(child);
        }
        return count;
    }

    /** {@return the text, with another value where the counter comes to 0; null for a value that is left out} */
    private static String text(JsonNode node, int[] counter, String value) {
        if (counter[0]-- == 0) {
            return value;
        }
        List<String> parts = new ArrayList<>();
        if (node.isObject()) {
            for (Map.Entry<String, JsonNode> field : (Iterable<Map.Entry<String, JsonNode>>) node::fields) {
                String child = text(field.getValue(), counter, value);
                if (child != null) {
                    parts.add("\"" + field.getKey() + "\":" + child);
                }
            }
            return "{" + String.join(",", parts) + "}";
        }
        if (node.isArray()) {
            for (JsonNode item : node) {
                String child = text(item, counter, value);
                if (child != null) {
                    parts.add(child);
                }
            }
            return "[" + String.join(",", parts) + "]";
        }
        return node.toString();
    }
}
