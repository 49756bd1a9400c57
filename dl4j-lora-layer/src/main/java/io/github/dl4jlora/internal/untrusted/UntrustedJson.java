package io.github.dl4jlora.internal.untrusted;

import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.core.json.JsonReadFeature;
import org.nd4j.shade.jackson.core.util.JsonParserDelegate;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;

/**
 * A first look at JSON that anybody may have written, before a parser makes objects of it, or instead: depth costs stack, and
 * digits cost time.
 */
public final class UntrustedJson {

    /** For a first look, which leaves it to a parser after it whether NaN and Infinity, which Python writes, are numbers. */
    private static final JsonFactory FACTORY = JsonFactory.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();
    /** Keeps no table of all names that it has met: a vocabulary has hundreds of thousands. */
    private static final JsonFactory FORGETFUL = JsonFactory.builder().disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES).build();
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final int LONGEST_NUMBER = 400;
    /** Most tokens: as objects they take a hundred megabytes at most. Five thousand layers need half as many. */
    private static final int MOST = 2_000_000;
    private static final int LONGEST_SHOWN = 200;
    private static final char BYTE_ORDER_MARK = '\ufeff';
    private static final Pattern CONTROL = Pattern.compile("[\\p{Cntrl}\\u2028\\u2029]");

    /** Looks at one token; the parser knows its place. */
    @FunctionalInterface
    public interface Look {
        void at(JsonToken token, JsonParser parser) throws IOException;
    }

    /** Finds something in JSON; need not read to its end. */
    @FunctionalInterface
    public interface Search<T> {
        T in(JsonParser parser) throws IOException;
    }

    /** Refuses depth and long numbers wherever its user goes, also in what is skipped. */
    private static final class Guarded extends JsonParserDelegate {

        private final int deepest;
        private int depth;

        Guarded(JsonParser parser, int deepest) {
            super(parser);
            this.deepest = deepest;
        }

        @Override
        public @Nullable JsonToken nextToken() throws IOException {
            JsonToken token = super.nextToken();
            if (token != null) {
                depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
                if (depth > deepest) {
                    throw new IOException("it is nested more than " + deepest + " levels deep");
                }
                if (token.isNumeric() && getTextLength() > LONGEST_NUMBER) {
                    throw new IOException("it has a number of " + getTextLength() + " digits");
                }
            }
            return token;
        }

        @Override
        public JsonParser skipChildren() throws IOException {
            if (isExpectedStartObjectToken() || isExpectedStartArrayToken()) {
                for (int outside = depth - 1; depth > outside;) {
                    nextToken();
                }
            }
            return this;
        }
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
        try (InputStream in = opened(file)) {
            text = in.readNBytes(longest + 1);
        }
        requireLength(file, text.length, longest);
        try {
            refuseExcess(text, deepest);
            return MAPPER.readTree(text);
        } catch (IOException e) {
            throw damaged(file, e);
        }
    }

    /**
     * {@return what is found in a file that is too large to make objects of} It may have any number of values, of which none is
     * kept; depth and numbers are refused as by {@link #refuseExcess(byte[], int)}.
     *
     * @param longest bytes of the file; a single name may take four times the memory
     * @throws IOException naming the file, if it cannot be read, is longer, or what is searched of it is no JSON, or is refused
     */
    public static <T> T search(Path file, int longest, int deepest, Search<T> search) throws IOException {
        try (InputStream in = opened(file)) {
            requireLength(file, Files.size(file), longest);
            try (JsonParser parser = new Guarded(FORGETFUL.createParser(utf8(in)), deepest)) {
                return search.in(parser);
            } catch (IOException e) {
                throw damaged(file, e);
            }
        }
    }

    /**
     * {@return the characters of JSON, which is in UTF-8, without a byte order mark} For parsers that keep no table of names: of
     * bytes they would guess the encoding, and put a replacement character in the place of what is not in it.
     *
     * @throws CharacterCodingException here or where they are read, if there are bytes that are not UTF-8
     */
    public static Reader utf8(InputStream in) throws IOException {
        Reader characters = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8.newDecoder()));
        characters.mark(1);
        if (characters.read() != BYTE_ORDER_MARK) {
            characters.reset();
        }
        return characters;
    }

    private static InputStream opened(Path file) throws IOException {
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new IOException(file + " is not a regular file");
        }
        return Files.newInputStream(file);
    }

    private static void requireLength(Path file, long found, int longest) throws IOException {
        if (found > longest) {
            throw new IOException(file + " is longer than " + longest + " bytes");
        }
    }

    private static IOException damaged(Path file, IOException e) {
        return new IOException(file + " is not JSON, or is damaged: " + reason(e), e);
    }

    /** {@return what is wrong with JSON, in one short line: a parser's own message has several, and quotes what it read} */
    public static String reason(Exception e) {
        String told = e instanceof CharacterCodingException ? "it is not UTF-8" : String.valueOf(e.getMessage());
        if (e instanceof JsonProcessingException parsing) {
            told = parsing.getOriginalMessage() + (parsing.getLocation() == null ? "" : ", at line "
                    + parsing.getLocation().getLineNr() + ", column " + parsing.getLocation().getColumnNr());
        }
        return line(told);
    }

    /** {@return a text that anybody may have written, for a message: one line, and not a long one} */
    public static String line(String text) {
        String shown = text.length() > LONGEST_SHOWN ? text.substring(0, LONGEST_SHOWN) + "…" : text;
        return CONTROL.matcher(shown).replaceAll("?");
    }

    /**
     * @throws IOException if it is no JSON, is nested deeper than {@code deepest}, has a number of absurd length, or more values
     *                     than there is memory for
     */
    public static void refuseExcess(byte[] text, int deepest) throws IOException {
        refuseExcess(text, deepest, (token, parser) -> { });
    }

    /** Whether an object itself has a field; fields of objects within it do not count. */
    public static boolean hasField(String json, String name) throws IOException {
        try (JsonParser parser = FACTORY.createParser(json)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (token == JsonToken.FIELD_NAME) {
                    if (parser.getCurrentName().equals(name)) {
                        return true;
                    }
                    parser.nextToken();
                    parser.skipChildren();
                }
            }
        }
        return false;
    }

    public static void refuseExcess(byte[] text, int deepest, Look look) throws IOException {
        int tokens = 0;
        try (JsonParser parser = new Guarded(FACTORY.createParser(text), deepest)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (++tokens > MOST) {
                    throw new IOException("it has more than " + MOST + " names, values and brackets");
                }
                look.at(token, parser);
            }
        }
    }
}
