package io.github.dl4jlora.serve;

import io.github.dl4jlora.models.encoder.Tokenizer;
import io.javalin.http.Context;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonGenerator;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/**
 * {@code POST /v1/rerank} in the form of Cohere and Jina. The score of a document is the cosine of its embedding and the query's:
 * the service's encoder reads either text alone, unlike a cross-encoder, which reads both as one.
 */
final class RerankRoute {

    private static final JsonFactory FACTORY = new JsonFactory();
    /** Approximate bytes of a result without its document. */
    private static final int RESULT_BYTES = 64;

    private final Inference inference;
    private final EncoderIntake intake;

    RerankRoute(Inference inference, EncoderIntake intake) {
        this.inference = inference;
        this.intake = intake;
    }

    CompletableFuture<?> answer(Context request) throws IOException {
        return intake.answer(request, RerankRoute::read, (encoder, asked) -> {
            List<int[]> texts = asked.tokens().stream().map(Tokenizer.Tokens::ids).toList();
            return encoder.embed(encoder.mix(asked.model()), texts, inference.untilTimeout());
        }, RerankRoute::json);
    }

    /** Reads a request. From then on the share holds texts, tokens, embeddings and answer. */
    private static RerankRequest read(Blocks body, BankEncoder encoder, Intake.Share share) throws IOException {
        RerankRequest asked = RerankRequest.read(body.stream(), encoder);
        long tokens = asked.tokens().stream().mapToLong(text -> text.ids().length).sum();
        long characters = asked.documents().stream().mapToLong(String::length).sum();
        long numbers = (long) asked.tokens().size() * encoder.width();
        // Held as text, and in the answer in up to six bytes for each character, if it has documents.
        share.hold(Integer.BYTES * tokens + Float.BYTES * numbers + (long) RESULT_BYTES * asked.documents().size()
                + characters * (Character.BYTES + (asked.isTold() ? 6 : 0)));
        return asked;
    }

    /** @param embeddings of the query, then of each document */
    private static byte[] json(RerankRequest asked, float[][] embeddings) {
        double[] scores = IntStream.range(1, embeddings.length).mapToDouble(i -> cosine(embeddings[0], embeddings[i])).toArray();
        List<Integer> best = IntStream.range(0, scores.length).boxed()
                .sorted(Comparator.comparingDouble(document -> -scores[document])).limit(asked.top()).toList();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("object", "list");
            json.writeArrayFieldStart("results");
            for (int document : best) {
                json.writeStartObject();
                json.writeNumberField("index", document);
                json.writeNumberField("relevance_score", (float) scores[document]);
                if (asked.isTold()) {
                    json.writeObjectFieldStart("document");
                    json.writeStringField("text", asked.documents().get(document));
                    json.writeEndObject();
                }
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeStringField("model", asked.model());
            EncoderIntake.writeUsage(json, asked.tokens(), asked.tokens().subList(1, asked.tokens().size()));
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /** Of vectors of length 1. */
    private static double cosine(float[] query, float[] document) {
        double sum = 0;
        for (int i = 0; i < query.length; i++) {
            sum += (double) query[i] * document[i];
        }
        return sum;
    }
}
