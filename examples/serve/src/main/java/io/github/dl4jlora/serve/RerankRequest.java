package io.github.dl4jlora.serve;

import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.List;

/**
 * A request to order documents by how well they answer a query, as Cohere's and Jina's clients send it.
 *
 * @param model     the adapter
 * @param documents their texts
 * @param read      query and documents, as tokens
 * @param top       how many of the best are asked for
 * @param isTold    whether the answer is to have the documents' texts
 */
record RerankRequest(String model, List<String> documents, Reranker.Read read, int top, boolean isTold) {

    private static final String KNOWN = "\"model\", \"query\", \"documents\", \"top_n\", "
            + "\"return_documents\" and \"max_tokens_per_doc\"";

    /**
     * @param reranker that tokenizes texts
     * @throws Problem if it is not such JSON, or the query is too long
     */
    static RerankRequest read(InputStream body, Reranker reranker) throws IOException {
        String model = null;
        String query = null;
        List<String> documents = List.of();
        int top = Integer.MAX_VALUE;
        int mostTokens = Integer.MAX_VALUE;
        boolean isTold = false;
        String example = "{\"model\": \"" + reranker.name()
                + "\", \"query\": \"a question\", \"documents\": [\"a text\", \"another\"]}";
        try (JsonParser parser = JsonForm.object(body, example)) {
            for (String field = JsonForm.field(parser); field != null; field = JsonForm.field(parser)) {
                switch (field) {
                    case "model" -> model = EmbeddingsRequest.model(parser);
                    case "query" -> query = EmbeddingsRequest.text(parser, field);
                    case "documents" -> documents = documents(parser);
                    case "top_n" -> top = atLeastOne(parser, field);
                    case "max_tokens_per_doc" -> mostTokens = atLeastOne(parser, field);
                    case "max_chunks_per_doc", "rank_fields" -> requireNull(parser, field);
                    case "return_documents" -> isTold = !EmbeddingsRequest.isNull(parser) && isTrue(parser, field);
                    default -> throw Problem.badRequest("\"" + field + "\" is unknown; known are " + KNOWN);
                }
            }
        } catch (JsonProcessingException | CharacterCodingException e) {
            throw JsonForm.noJson(e);
        }
        if (model == null) {
            throw Problem.badRequest("The JSON object lacks \"model\": the name of an adapter, or " + reranker.name());
        }
        if (query == null) {
            throw Problem.badRequest("The JSON object lacks \"query\": a text");
        }
        if (documents.isEmpty()) {
            throw Problem.badRequest("The JSON object lacks \"documents\", or the list is empty: a list of texts");
        }
        return new RerankRequest(model, documents, reranker.read(query, documents, mostTokens), top, isTold);
    }

    /** As many as there are, if null. */
    private static int atLeastOne(JsonParser parser, String field) throws IOException {
        if (EmbeddingsRequest.isNull(parser)) {
            return Integer.MAX_VALUE;
        }
        if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || JsonForm.whole(parser) < 1) {
            throw Problem.badRequest("\"" + field + "\" is " + parser.getText() + ", but must be a whole number of at least 1");
        }
        return (int) Math.min(JsonForm.whole(parser), Integer.MAX_VALUE);
    }

    /** Cohere's clients may write fields that ask for what there is not here. */
    private static void requireNull(JsonParser parser, String field) throws IOException {
        if (!EmbeddingsRequest.isNull(parser)) {
            throw Problem.badRequest("\"" + field + "\" is " + parser.getText() + ", but documents are not split, and have no "
                    + "fields beside \"text\". Leave it out");
        }
    }

    private static boolean isTrue(JsonParser parser, String field) throws IOException {
        if (!parser.currentToken().isBoolean()) {
            throw Problem.badRequest("\"" + field + "\" is " + parser.getText() + ", but must be true or false");
        }
        return parser.getBooleanValue();
    }

    /** Texts, or objects that have nothing but a text. */
    private static List<String> documents(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw noDocument(parser);
        }
        List<String> documents = new ArrayList<>();
        for (JsonToken token = parser.nextToken(); token != JsonToken.END_ARRAY; token = parser.nextToken()) {
            if (documents.size() == EmbeddingsRequest.MOST_INPUTS) {
                throw Problem.badRequest("\"documents\" has more than " + EmbeddingsRequest.MOST_INPUTS
                        + " texts. Send them in several requests");
            }
            boolean isObject = token == JsonToken.START_OBJECT;
            if (isObject && (parser.nextToken() != JsonToken.FIELD_NAME || !parser.getCurrentName().equals("text"))) {
                throw noDocument(parser);
            }
            if (isObject) {
                parser.nextToken();
            }
            if (parser.currentToken() != JsonToken.VALUE_STRING) {
                throw noDocument(parser);
            }
            documents.add(parser.getText());
            if (isObject && parser.nextToken() != JsonToken.END_OBJECT) {
                throw noDocument(parser);
            }
        }
        return documents;
    }

    private static Problem noDocument(JsonParser parser) throws IOException {
        return Problem.badRequest("\"documents\" contains " + parser.getText() + ", but must be a list of texts, or of objects "
                + "such as {\"text\": \"a text\"}");
    }
}
