package io.github.dl4jlora.models.encoder;

import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A {@code tokenizer.json}, of which only the section is looked at that says how Python last cut texts. DJL would take a stride
 * from there, and the native library ends the program if that is not smaller than the longest text.
 *
 * @param from where the section's value begins in the bytes; their end if there is no such section
 * @param to   where it ends
 */
record TokenizerJson(byte[] bytes, int from, int to) {

    private static final ObjectMapper JSON = new ObjectMapper();

    /** Of what is no JSON there is no section either: whoever reads it as a tokenizer says so. */
    static TokenizerJson of(byte[] bytes) {
        try (JsonParser parser = JSON.getFactory().createParser(bytes)) {
            if (parser.nextToken() == JsonToken.START_OBJECT) {
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    boolean isSection = parser.getCurrentName().equals("truncation");
                    boolean isObject = parser.nextToken() == JsonToken.START_OBJECT;
                    int from = (int) parser.getTokenLocation().getByteOffset();
                    parser.skipChildren();
                    if (isSection && isObject && from >= 0) {
                        return new TokenizerJson(bytes, from, (int) parser.getCurrentLocation().getByteOffset());
                    }
                }
            }
        } catch (IOException e) {
            // As if it had none.
        }
        return new TokenizerJson(bytes, bytes.length, bytes.length);
    }

    /** Whether Python cuts the beginning of longer texts, and not their end. */
    boolean cutsBeginnings() throws IOException {
        return from < to && JSON.readTree(Arrays.copyOfRange(bytes, from, to)).path("direction").asText("")
                .equals("Left");
    }

    /** The same with an empty section. */
    byte[] withoutTruncation() {
        if (from == to) {
            return bytes;
        }
        ByteArrayOutputStream without = new ByteArrayOutputStream(bytes.length);
        without.write(bytes, 0, from);
        without.writeBytes("null".getBytes(StandardCharsets.UTF_8));
        without.write(bytes, to, bytes.length - to);
        return without.toByteArray();
    }
}
