package io.github.dl4jlora.internal.untrusted;

import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A first look at JSON that anybody may have written, before a parser makes objects of it: depth costs stack, and digits
 * cost time.
 */
public final class UntrustedJson {

    private static final JsonFactory FACTORY = new JsonFactory();
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final int LONGEST_NUMBER = 400;

    /** Looks at one token; the parser knows where it stands. */
    @FunctionalInterface
    interface Look {
        void at(JsonToken token, JsonParser parser) throws IOException;
    }

    private UntrustedJson() {
    }

    /**
     * {@return what a file holds}
     *
     * @param longest bytes
     * @throws IOException naming the file, if it cannot be read, is longer, is no JSON, or is refused as by
     *                     {@link #refuseExcess(byte[], int)}
     */
    public static JsonNode read(Path file, int longest, int deepest) throws IOException {
        byte[] text;
        try (InputStream in = Files.newInputStream(file)) {
            text = in.readNBytes(longest + 1);
        }
        if (text.length > longest) {
            throw new IOException(file + " is longer than " + longest + " bytes");
        }
        try {
            refuseExcess(text, deepest);
            return MAPPER.readTree(text);
        } catch (IOException e) {
            throw new IOException(file + " is no JSON, or damaged: " + e.getMessage(), e);
        }
    }

    /**
     * @throws IOException if it is no JSON, is nested deeper than {@code deepest}, or has a number of absurd length
     */
    public static void refuseExcess(byte[] text, int deepest) throws IOException {
        refuseExcess(text, deepest, (token, parser) -> { });
    }

    static void refuseExcess(byte[] text, int deepest, Look look) throws IOException {
        int depth = 0;
        try (JsonParser parser = FACTORY.createParser(text)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
                if (depth > deepest) {
                    throw new IOException("it is nested more than " + deepest + " deep");
                }
                if (token.isNumeric() && parser.getTextLength() > LONGEST_NUMBER) {
                    throw new IOException("it has a number of " + parser.getTextLength() + " digits");
                }
                look.at(token, parser);
            }
        }
    }
}
