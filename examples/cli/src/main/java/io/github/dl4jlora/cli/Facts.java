package io.github.dl4jlora.cli;

import io.github.dl4jlora.console.ResultTable;
import org.nd4j.shade.jackson.core.JsonGenerator;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonSerializer;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.SerializerProvider;
import org.nd4j.shade.jackson.databind.module.SimpleModule;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.Collectors;

/** The result of a command: sentences for people, named values for scripts. */
final class Facts {

    /** JSON has no word for NaN and infinity. */
    private static final JsonSerializer<Double> FINITE = new JsonSerializer<>() {
        @Override
        public void serialize(Double value, JsonGenerator json, SerializerProvider provider) throws IOException {
            if (Double.isFinite(value)) {
                json.writeNumber(value);
            } else {
                json.writeNull();
            }
        }
    };
    /** In ASCII, whatever the output's encoding. */
    private static final ObjectMapper JSON = new ObjectMapper().configure(JsonGenerator.Feature.ESCAPE_NON_ASCII, true)
            .registerModule(new SimpleModule().addSerializer(Double.class, FINITE));

    private final List<IntFunction<String>> sentences = new ArrayList<>();
    private final Map<String, Object> values = new LinkedHashMap<>();

    /** Adds a sentence for people. */
    Facts say(String sentence) {
        sentences.add(columns -> sentence);
        return this;
    }

    /** Adds a table for people, as wide as the output. */
    Facts say(ResultTable table) {
        sentences.add(columns -> table.toString(columns).stripTrailing());
        return this;
    }

    /** Adds a value for scripts: a text, number, boolean, list or map. A number that is not finite becomes null. */
    Facts put(String name, Object value) {
        values.put(name, value);
        return this;
    }

    /** @param columns how wide tables may be */
    String text(int columns) {
        return sentences.stream().map(sentence -> sentence.apply(columns)).collect(Collectors.joining(System.lineSeparator()));
    }

    String json() throws JsonProcessingException {
        return JSON.writeValueAsString(values);
    }
}
