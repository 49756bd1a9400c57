package io.github.dl4jlora.examples.cli;

import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a command has to tell: sentences for people, named values for scripts. */
final class Facts {

    private static final ObjectMapper JSON = new ObjectMapper();

    private final List<String> sentences = new ArrayList<>();
    private final Map<String, Object> values = new LinkedHashMap<>();

    /** Something for people. */
    Facts say(String sentence) {
        sentences.add(sentence);
        return this;
    }

    /** Something for scripts: a text, number, truth value, list or map. */
    Facts put(String name, Object value) {
        values.put(name, value);
        return this;
    }

    String text() {
        return String.join(System.lineSeparator(), sentences);
    }

    String json() throws JsonProcessingException {
        return JSON.writeValueAsString(values);
    }
}
