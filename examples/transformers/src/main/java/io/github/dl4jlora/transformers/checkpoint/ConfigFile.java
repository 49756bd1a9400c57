package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import io.github.dl4jlora.transformers.CheckpointException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/** A JSON object in an untrusted file. Messages about it name file, key and value. */
final class ConfigFile {

    /**
     * In bytes: enough for the names of tens of thousands of classes or tensors. Small objects take thirty times the memory of
     * their text.
     */
    private static final int LONGEST = 4 << 20;
    /** Of a file that no objects are made of: three times the tokenizer of XLM-RoBERTa, with its 250,000 tokens. */
    private static final int LONGEST_SEARCHED = 64 << 20;
    private static final int DEEPEST = 32;
    private static final String UNSUPPORTED = ": the setting changes what the model computes, in a way that is not supported";
    private static final ObjectMapper JSON = new ObjectMapper();

    private interface Reading<T> {
        T result() throws IOException;
    }

    private final Path file;
    private final ObjectNode root;

    private ConfigFile(Path file, ObjectNode root) {
        this.file = file;
        this.root = root;
    }

    /**
     * @throws IOException if there is no such file, or it is not a JSON object, or a very long or deep one
     */
    static ConfigFile read(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new CheckpointException(
                    file + " does not exist or is not a file: a checkpoint is a folder with config.json and "
                    + "model.safetensors");
        }
        if (json(file) instanceof ObjectNode object) {
            return new ConfigFile(file, object);
        }
        throw new CheckpointException(file + " is not a JSON object");
    }

    /**
     * {@return the objects of a list}
     *
     * @throws IOException if the file is not a list of JSON objects, or a very long or deep one
     */
    static List<ConfigFile> readList(Path file) throws IOException {
        List<ConfigFile> objects = new ArrayList<>();
        JsonNode list = json(file);
        for (JsonNode item : list) {
            if (item instanceof ObjectNode object) {
                objects.add(new ConfigFile(file, object));
            }
        }
        if (!list.isArray() || objects.size() != list.size()) {
            throw new CheckpointException(file + " is not a list of JSON objects");
        }
        return objects;
    }

    /** {@return what is in a file, which may be a stranger's} */
    static JsonNode json(Path file) throws IOException {
        return result(() -> UntrustedJson.read(file, LONGEST, DEEPEST));
    }

    /** {@return what is found in a file that may be a stranger's, and of which no objects are made} */
    static <T> T search(Path file, UntrustedJson.Search<T> search) throws IOException {
        return result(() -> UntrustedJson.search(file, LONGEST_SEARCHED, DEEPEST, search));
    }

    private static <T> T result(Reading<T> reading) throws IOException {
        try {
            return reading.result();
        } catch (FileSystemException e) {
            throw e;
        } catch (IOException e) {
            throw new CheckpointException(e.getMessage(), e);
        }
    }

    /** {@return the folder that it is in} */
    Path folder() {
        return file.toAbsolutePath().getParent();
    }

    /** {@return a copy} */
    ObjectNode content() {
        return root.deepCopy();
    }

    static byte[] text(JsonNode node) throws IOException {
        return JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(node);
    }

    /** {@return the value of the first of the keys that is there and not null; otherwise null} */
    private JsonNode value(String... keys) {
        return Arrays.stream(keys).filter(root::hasNonNull).findFirst().map(root::get).orElse(null);
    }

    /** As {@link #value(String...)}; a value that is there, but not as expected, is refused. */
    private JsonNode value(Predicate<JsonNode> is, String expected, String... keys) throws IOException {
        JsonNode value = value(keys);
        if (value != null && !is.test(value)) {
            throw refused(keys, value, expected);
        }
        return value;
    }

    /** {@return a whole number of at least {@code least}, below 2³¹} */
    int number(int least, int ifMissing, String... keys) throws IOException {
        JsonNode value = value(some -> some.isIntegralNumber() && some.canConvertToInt() && some.intValue() >= least,
                "a whole number of at least " + least + ", below 2^31", keys);
        return value == null ? ifMissing : value.intValue();
    }

    double fraction(double ifMissing, String key) throws IOException {
        JsonNode value = value(JsonNode::isNumber, "a number", key);
        return value == null ? ifMissing : value.doubleValue();
    }

    String text(String ifMissing, String... keys) throws IOException {
        JsonNode value = value(JsonNode::isTextual, "a text", keys);
        return value == null ? ifMissing : value.textValue();
    }

    boolean flag(boolean ifMissing, String key) throws IOException {
        return flag(key).orElse(ifMissing);
    }

    Optional<Boolean> flag(String key) throws IOException {
        return Optional.ofNullable(value(JsonNode::isBoolean, "true or false", key)).map(JsonNode::booleanValue);
    }

    /** {@return the texts of a list, none if it is missing} */
    List<String> texts(String key) throws IOException {
        JsonNode value = value(key);
        if (value == null) {
            return List.of();
        }
        List<String> texts = new ArrayList<>();
        for (JsonNode text : value) {
            texts.add(text.textValue());
        }
        if (!value.isArray() || texts.contains(null)) {
            throw refused(new String[] {key}, value, "a list of texts");
        }
        return texts;
    }

    /** {@return a text, or the texts of a list; none if it is missing} */
    List<String> textOrTexts(String key) throws IOException {
        JsonNode value = value(key);
        return value != null && value.isTextual() ? List.of(value.textValue()) : texts(key);
    }

    /** {@return the object below a key; null if it is missing} */
    ObjectNode object(String key) throws IOException {
        return (ObjectNode) value(JsonNode::isObject, "an object", key);
    }

    /** {@return the object below a key, an empty one if it is missing} */
    ConfigFile below(String key) throws IOException {
        ObjectNode object = object(key);
        return new ConfigFile(file, object == null ? JSON.createObjectNode() : object);
    }

    /** {@return the texts below a key by their names, in the file's order; none if the key is missing} */
    Map<String, String> textsByName(String key) throws IOException {
        Map<String, String> texts = new LinkedHashMap<>();
        ObjectNode object = object(key);
        if (object != null) {
            for (Map.Entry<String, JsonNode> entry : (Iterable<Map.Entry<String, JsonNode>>) object::fields) {
                if (!entry.getValue().isTextual()) {
                    throw refused(new String[] {key}, object, "an object of texts");
                }
                texts.put(entry.getKey(), entry.getValue().textValue());
            }
        }
        return texts;
    }

    boolean isExplicitlyNull(String key) {
        return root.has(key) && root.get(key).isNull();
    }

    /**
     * @param only the only supported value, which is also the default
     * @throws IOException if the file says otherwise
     */
    void requireOnly(String key, Object only) throws IOException {
        JsonNode supported = JSON.valueToTree(only);
        value(supported::equals, supported + UNSUPPORTED, key);
    }

    /** @throws IOException if the key has a value that is neither empty nor false */
    void requireNone(String key) throws IOException {
        value(some -> some.isContainerNode() && some.isEmpty() || some.isBoolean() && !some.booleanValue(),
                "nothing" + UNSUPPORTED, key);
    }

    /**
     * @param allowed keys of the object below the key
     * @param remedy  what to do about another one
     * @throws IOException if the object has another key with a value
     */
    void requireOnlyKeys(String key, Set<String> allowed, String remedy) throws IOException {
        for (Map.Entry<String, JsonNode> entry : (Iterable<Map.Entry<String, JsonNode>>) below(key).root::fields) {
            if (!entry.getValue().isNull() && !allowed.contains(entry.getKey())) {
                throw new CheckpointException(file + " says \"" + key + "\": {\"" + shown(entry.getKey()) + "\": "
                        + shown(entry.getValue()) + "}, which is not supported" + remedy);
            }
        }
    }

    /** {@return an exception that names a key, what the file says, and what is expected} */
    CheckpointException refused(String[] keys, JsonNode value, String expected) {
        String key = Arrays.stream(keys).filter(root::hasNonNull).findFirst().orElse(keys[0]);
        return new CheckpointException(file + " says \"" + key + "\": " + shown(value) + ", but expected is " + expected);
    }

    CheckpointException refused(String key, String value, String expected) {
        return new CheckpointException(file + " says \"" + key + "\": \"" + shown(value) + "\", but expected is " + expected);
    }

    /** {@return a value of a file for a message, which is short whatever the file says} */
    static String shown(Object value) {
        return UntrustedJson.line(String.valueOf(value));
    }

    @Override
    public String toString() {
        return file.toString();
    }
}
