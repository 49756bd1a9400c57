package io.github.dl4jlora.serve;

import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.TextSettings;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * A request of an OpenAI client for embeddings.
 *
 * @param model   the adapter
 * @param inputs  texts, or tokens that the client made
 * @param isBase64 whether embeddings are to be the bytes of little-endian floats instead of lists of numbers
 */
record EmbeddingsRequest(String model, List<Tokenizer.Tokens> inputs, boolean isBase64) {

    /** OpenAI's own limit. */
    static final int MOST_INPUTS = 2048;
    /** As long as a URL may be, which has the name elsewhere. */
    private static final int LONGEST_MODEL = 8192;

    /** Tokens that are computed. */
    long tokens() {
        return inputs.stream().mapToLong(input -> input.ids().length).sum();
    }

    /**
     * @param encoder that tokenizes texts
     * @throws Problem if it is not such JSON
     */
    static EmbeddingsRequest read(InputStream body, BankEncoder encoder) throws IOException {
        String model = null;
        String prompt = null;
        List<Input> inputs = List.of();
        boolean isBase64 = false;
        String example = "{\"model\": \"" + encoder.name() + "\", \"input\": \"a text\"}";
        try (JsonParser parser = JsonForm.object(body, example)) {
            for (String field = JsonForm.field(parser); field != null; field = JsonForm.field(parser)) {
                switch (field) {
                    case "model" -> model = model(parser);
                    case "input" -> inputs = inputs(parser, encoder);
                    case "encoding_format" -> isBase64 = !isNull(parser) && isBase64(text(parser, field));
                    case "dimensions" -> requireWidth(parser, encoder.width());
                    case "prompt_name" -> prompt = isNull(parser) ? null : text(parser, field);
                    case "user" -> requireUser(parser);
                    default -> throw Problem.badRequest("\"" + field + "\" is unknown; known are \"model\", \"input\", "
                            + "\"encoding_format\", \"dimensions\", \"prompt_name\" and \"user\"");
                }
            }
        } catch (JsonProcessingException | CharacterCodingException e) {
            throw JsonForm.noJson(e);
        }
        if (model == null) {
            throw Problem.badRequest("The JSON object lacks \"model\": the name of an adapter, or " + encoder.name());
        }
        if (inputs.isEmpty()) {
            throw Problem.badRequest("The JSON object lacks \"input\", or it is empty: a text, or a list of texts");
        }
        if (prompt != null && !inputs.stream().allMatch(Input::isText)) {
            throw Problem.badRequest("\"prompt_name\" goes before texts, but \"input\" has token ids. Leave it out, or "
                    + "send texts");
        }
        UnaryOperator<String> prepared = prepared(encoder.texts(), prompt);
        return new EmbeddingsRequest(model, inputs.stream().map(input -> input.of(prepared)).toList(), isBase64);
    }

    /** A text, which becomes tokens when its prompt is known, or tokens that the client made. */
    private record Input(boolean isText, Function<UnaryOperator<String>, Tokenizer.Tokens> tokens) {

        Tokenizer.Tokens of(UnaryOperator<String> prepared) {
            return tokens.apply(prepared);
        }
    }

    /** What is done with a text before it becomes tokens. */
    private static UnaryOperator<String> prepared(TextSettings settings, String prompt) {
        if (prompt == null) {
            return settings::prepared;
        }
        if (!settings.prompts().containsKey(prompt)) {
            throw Problem.badRequest("\"prompt_name\" is \"" + prompt + "\", but the model has "
                    + (settings.prompts().isEmpty() ? "no prompts" : "the prompts " + settings.prompts().keySet())
                    + ". Leave it out, or name one of these");
        }
        return text -> settings.prepared(prompt, text);
    }

    /** A model's name, which is a mix of adapters' names and stays in memory as long as the request. */
    static String model(JsonParser parser) throws IOException {
        String model = text(parser, "model");
        if (model.length() > LONGEST_MODEL) {
            throw Problem.badRequest("\"model\" has " + model.length() + " characters, but at most " + LONGEST_MODEL
                    + " are read");
        }
        return model;
    }

    static String text(JsonParser parser, String field) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            throw Problem.badRequest("\"" + field + "\" is " + parser.getText() + ", but must be a string");
        }
        return parser.getText();
    }

    /** Clients may write null for unset fields: the same as leaving them out. */
    static boolean isNull(JsonParser parser) {
        return parser.currentToken() == JsonToken.VALUE_NULL;
    }

    /** The value is ignored, but must not be nested: skipping it would take a hundred times its bytes. */
    private static void requireUser(JsonParser parser) throws IOException {
        if (!isNull(parser)) {
            text(parser, "user");
        }
    }

    private static boolean isBase64(String format) {
        if (!format.equals("float") && !format.equals("base64")) {
            throw Problem.badRequest("\"encoding_format\" is \"" + format + "\", but must be \"float\" or \"base64\"");
        }
        return format.equals("base64");
    }

    private static void requireWidth(JsonParser parser, int width) throws IOException {
        if (isNull(parser)) {
            return;
        }
        if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || JsonForm.whole(parser) != width) {
            throw Problem.badRequest("\"dimensions\" is " + (parser.currentToken() == JsonToken.VALUE_STRING
                    ? '"' + parser.getText() + '"' : parser.getText()) + ", but must be the number " + width
                    + ". Leave it out");
        }
    }

    /** A text, texts, tokens, or lists of tokens. */
    private static List<Input> inputs(JsonParser parser, BankEncoder encoder) throws IOException {
        List<Input> inputs = new ArrayList<>();
        if (parser.currentToken() == JsonToken.VALUE_STRING) {
            inputs.add(text(parser.getText(), encoder));
            return inputs;
        }
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw noInput(parser, encoder);
        }
        for (JsonToken token = parser.nextToken(); token != JsonToken.END_ARRAY; token = parser.nextToken()) {
            if (inputs.size() == MOST_INPUTS) {
                throw Problem.badRequest("\"input\" has more than " + MOST_INPUTS + " texts. Send them in several requests");
            }
            if (token == JsonToken.VALUE_STRING) {
                inputs.add(text(parser.getText(), encoder));
            } else if (token == JsonToken.START_ARRAY) {
                parser.nextToken();
                inputs.add(tokens(parser, encoder));
            } else if (token == JsonToken.VALUE_NUMBER_INT && inputs.isEmpty()) {
                return List.of(tokens(parser, encoder));
            } else {
                throw noInput(parser, encoder);
            }
        }
        return inputs;
    }

    private static Input text(String text, BankEncoder encoder) {
        return new Input(true, prepared -> encoder.tokens(prepared.apply(text)));
    }

    private static Input tokens(JsonParser parser, BankEncoder encoder) throws IOException {
        Tokenizer.Tokens tokens = encoder.checked(ids(parser, encoder));
        return new Input(false, prepared -> tokens);
    }

    /** The ids from the first to the end of the list; at most one too many is read. */
    private static int[] ids(JsonParser parser, BankEncoder encoder) throws IOException {
        int most = encoder.maxTokens();
        int[] ids = new int[most + 1];
        int count = 0;
        for (; parser.currentToken() != JsonToken.END_ARRAY; parser.nextToken()) {
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT) {
                throw noInput(parser, encoder);
            }
            if (count > most) {
                throw Problem.badRequest("An input has more than " + most + " tokens, which is the limit. Shorten it");
            }
            long id = JsonForm.whole(parser);
            if (id != (int) id) {
                throw noInput(parser, encoder);
            }
            ids[count++] = (int) id;
        }
        return Arrays.copyOf(ids, count);
    }

    private static Problem noInput(JsonParser parser, BankEncoder encoder) throws IOException {
        return Problem.badRequest("\"input\" contains " + parser.getText() + ", but must be a text, a list of texts, or token "
                + "ids of " + encoder.name());
    }
}
