package io.github.dl4jlora.serve;

import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonGenerator;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Inputs and outputs as JSON, row by row in nested lists: {@code {"inputs": [[…]]}}, or {@code {"inputs": {"name": [[…]]}}}, and
 * {@code "masks"} likewise. Numbers are read one by one into the network's own type; more than the network takes are refused
 * before they are held.
 */
final class JsonForm {

    /** It keeps no names, since clients may make up any number. */
    private static final JsonFactory FACTORY = new JsonFactory().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES).disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES);

    private static final int MOST_DIMENSIONS = 8;
    /** Characters of a whole number that is a long in any case. */
    private static final int LONGEST_WHOLE = 18;

    private final NetworkForm form;
    private final Intake.Share share;

    private JsonForm(NetworkForm form, Intake.Share share) {
        this.form = form;
        this.share = share;
    }

    /**
     * @param form  of the network; a list without a name is for its first input
     * @param share of the request, which also holds the numbers
     * @throws Problem if it is not such JSON, or has more numbers than the network takes or there is room for
     */
    static Features read(InputStream body, NetworkForm form, Intake.Share share) throws IOException {
        return new JsonForm(form, share).read(body);
    }

    private Features read(InputStream body) throws IOException {
        Map<String, INDArray> inputs = null;
        Map<String, INDArray> masks = Map.of();
        try (JsonParser parser = object(body, "{\"inputs\": [[...]]}")) {
            for (String field = field(parser); field != null; field = field(parser)) {
                switch (field) {
                    case "inputs" -> inputs = arrays(parser, field);
                    case "masks" -> masks = arrays(parser, field);
                    default -> throw Problem.badRequest("\"" + field + "\" is unknown; known are \"inputs\" and \"masks\"");
                }
            }
        } catch (JsonProcessingException | CharacterCodingException e) {
            throw noJson(e);
        }
        if (inputs == null) {
            throw Problem.badRequest("The JSON object lacks \"inputs\". Send {\"inputs\": [[...]]}");
        }
        return new Features(inputs, masks);
    }

    /** Behind the beginning of the object that a body must be, as the example is; what the parser throws is {@link #noJson}. */
    static JsonParser object(InputStream body, String example) throws IOException {
        JsonParser parser = FACTORY.createParser(UntrustedJson.utf8(body));
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            parser.close();
            throw Problem.badRequest("The body is not a JSON object. Send " + example);
        }
        return parser;
    }

    /** The next field of the body's object, with the parser at its value; null at the end of object and body. */
    static String field(JsonParser parser) throws IOException {
        String field = parser.nextFieldName();
        if (parser.nextToken() != null && field == null) {
            throw Problem.badRequest("The JSON object ends before the body does");
        }
        return field;
    }

    /** The problem of text that is not JSON, with the position, or not UTF-8. */
    static Problem noJson(IOException e) {
        return Problem.badRequest("The body is not JSON: " + UntrustedJson.reason(e));
    }

    /** The whole number that a parser is at. Of more than 18 digits, it is the largest or smallest: digits cost time. */
    static long whole(JsonParser parser) throws IOException {
        return parser.getTextLength() <= LONGEST_WHOLE ? parser.getLongValue()
                : parser.getText().startsWith("-") ? Long.MIN_VALUE : Long.MAX_VALUE;
    }

    private Map<String, INDArray> arrays(JsonParser parser, String field) throws IOException {
        Map<String, INDArray> arrays = new LinkedHashMap<>();
        if (parser.currentToken() == JsonToken.START_ARRAY) {
            NetworkForm.Input only = form.inputs().get(0);
            arrays.put(only.name(), new Numbers(field, only).read(parser));
        } else if (parser.currentToken() == JsonToken.START_OBJECT) {
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.getCurrentName();
                NetworkForm.Input input = form.input(name);
                if (parser.nextToken() == JsonToken.START_ARRAY) {
                    arrays.put(name, new Numbers(field + "." + name, input).read(parser));
                } else if (parser.currentToken() != JsonToken.VALUE_NULL || field.equals("inputs")) {
                    throw Problem.badRequest("\"" + field + "." + name + "\" is not a list of numbers");
                }
            }
        } else {
            throw Problem.badRequest("\"" + field + "\" is neither a list of numbers nor an object of such lists");
        }
        return arrays;
    }

    /** Nested lists of one shape. */
    private final class Numbers {

        private final String name;
        private final long[] shape = new long[MOST_DIMENSIONS];
        private final DataType type = form.type() == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT;
        private final Blocks values = new Blocks();
        private final NetworkForm.Input input;
        private final long most;
        private int rank;

        /** @param input that the numbers or masks are for */
        Numbers(String name, NetworkForm.Input input) {
            this.name = name;
            this.input = input;
            this.most = input.mostNumbers(form.mostExamples());
            Arrays.fill(shape, -1);
        }

        INDArray read(JsonParser parser) throws IOException {
            list(parser, 0);
            if (values.size() == 0) {
                throw Problem.badRequest("\"" + name + "\" is empty");
            }
            return RawValues.read(values.stream(), type, values.size() / type.width()).reshape('c', Arrays.copyOf(shape, rank));
        }

        private void list(JsonParser parser, int depth) throws IOException {
            if (depth == MOST_DIMENSIONS) {
                throw Problem.badRequest("\"" + name + "\" has more than " + MOST_DIMENSIONS + " dimensions");
            }
            long size = 0;
            for (JsonToken token = parser.nextToken(); token != JsonToken.END_ARRAY; token = parser.nextToken(), size++) {
                if (token == JsonToken.START_ARRAY) {
                    requireDepth(depth + 1, false);
                    list(parser, depth + 1);
                } else if (token == JsonToken.VALUE_NUMBER_INT || token == JsonToken.VALUE_NUMBER_FLOAT) {
                    requireDepth(depth + 1, true);
                    add(parser);
                } else {
                    throw Problem.badRequest("\"" + name + "\" contains " + (token == null ? "no end" : parser.getText())
                            + ", but numbers are needed");
                }
            }
            if (size == 0 && depth > 0) {
                throw Problem.badRequest("\"" + name + "\" contains a list that is empty");
            }
            if (shape[depth] >= 0 && shape[depth] != size) {
                throw Problem.badRequest("\"" + name + "\" has lists of " + shape[depth] + " and of " + size
                        + " in its dimension " + depth + ": all must have the same length");
            }
            shape[depth] = size;
        }

        /** All numbers must have the same depth. */
        private void requireDepth(int depth, boolean isNumber) {
            if (isNumber && rank == 0) {
                rank = depth;
            }
            if (rank != 0 && (isNumber ? rank != depth : depth >= rank)) {
                throw Problem.badRequest("\"" + name + "\" mixes numbers and lists in a list");
            }
        }

        private void add(JsonParser parser) throws IOException {
            double value = parser.getDoubleValue();
            if (!Double.isFinite(type == DataType.DOUBLE ? value : (float) value)) {
                throw Problem.badRequest("\"" + name + "\" contains " + parser.getText() + ", which is outside the range of "
                        + type);
            }
            long count = values.size() / type.width();
            if (count == most) {
                throw Problem.badRequest("\"" + name + "\" has more than " + most + " numbers, but the network takes "
                        + input.words() + " and up to " + form.mostExamples() + " examples at a time");
            }
            if (values.size() % Blocks.BLOCK == 0) {
                share.add(Blocks.BLOCK);
            }
            if (type == DataType.DOUBLE) {
                values.room().putDouble(value);
            } else {
                values.room().putFloat((float) value);
            }
        }
    }

    /** Writes an answer; the numbers of a network with one output have no name. */
    static byte[] write(String adapter, Map<String, INDArray> outputs) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("adapter", adapter);
            json.writeFieldName("outputs");
            if (outputs.size() == 1) {
                write(json, outputs.values().iterator().next());
            } else {
                json.writeStartObject();
                for (Map.Entry<String, INDArray> output : outputs.entrySet()) {
                    json.writeFieldName(output.getKey());
                    write(json, output.getValue());
                }
                json.writeEndObject();
            }
            json.writeEndObject();
        }
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator json, INDArray array) throws IOException {
        double[] values = array.dup('c').data().asDouble();
        write(json, values, array.shape(), array.dataType() == DataType.DOUBLE, 0, 0);
    }

    private static int write(JsonGenerator json, double[] values, long[] shape, boolean precise, int depth, int from)
            throws IOException {
        int next = from;
        json.writeStartArray();
        for (long i = 0; i < shape[depth]; i++) {
            if (depth + 1 < shape.length) {
                next = write(json, values, shape, precise, depth + 1, next);
            } else {
                double value = values[next++];
                if (!Double.isFinite(value)) {
                    // JSON has no NaN and no infinity.
                    json.writeNull();
                } else if (precise) {
                    json.writeNumber(value);
                } else {
                    json.writeNumber((float) value);
                }
            }
        }
        json.writeEndArray();
        return next;
    }
}
