package io.github.dl4jlora.serve;

import io.javalin.http.Context;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonGenerator;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/** {@code POST /v1/rerank} in the form of Cohere and Jina; Cohere's newer clients ask for {@code /v2/rerank}. */
final class RerankRoute {

    private static final JsonFactory FACTORY = new JsonFactory();
    /** Approximate bytes of a result without its document. */
    private static final int RESULT_BYTES = 64;

    private final Inference inference;
    private final Reranker reranker;
    private final TextIntake intake;

    /** @param reranker null if the service has none */
    RerankRoute(Inference inference, Reranker reranker, TextIntake intake) {
        this.inference = inference;
        this.reranker = reranker;
        this.intake = intake;
    }

    CompletableFuture<?> answer(Context request) throws IOException {
        if (reranker == null) {
            throw new Problem(404, null, "This service has no reranker and no sentence encoder. Start it with --reranker or "
                    + "--encoder, or ask for a network's outputs: POST /v1/adapters/{name}/outputs");
        }
        return intake.answer(request, this::read, asked -> asked.read().scores(Inference.mix(asked.model(), reranker.name()),
                inference.untilTimeout()), RerankRoute::json);
    }

    /** Reads a request. From then on the share holds texts, tokens, what is computed of them, and the answer. */
    private RerankRequest read(Blocks body, Intake.Share share) throws IOException {
        RerankRequest asked = RerankRequest.read(body.stream(), reranker);
        long characters = asked.documents().stream().mapToLong(String::length).sum();
        // Held as text, and in the answer in up to six bytes for each character, if it has documents.
        share.hold(Integer.BYTES * asked.read().tokens() + Float.BYTES * asked.read().numbers()
                + (long) RESULT_BYTES * asked.documents().size() + characters * (Character.BYTES + (asked.isTold() ? 6 : 0)));
        return asked;
    }

    /** Some clients of Cohere's, such as langchain4j's, read what a request costs there and fail without. */
    private static void writeMeta(JsonGenerator json) throws IOException {
        json.writeObjectFieldStart("meta");
        json.writeObjectFieldStart("api_version");
        json.writeStringField("version", "1");
        json.writeEndObject();
        json.writeObjectFieldStart("billed_units");
        json.writeNumberField("search_units", 1);
        json.writeEndObject();
        json.writeEndObject();
    }

    private static byte[] json(RerankRequest asked, float[] scores) {
        TextIntake.requireFinite(scores, asked.model());
        List<Integer> best = IntStream.range(0, scores.length).boxed()
                .sorted(Comparator.comparingDouble(document -> -scores[document])).limit(asked.top()).toList();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("object", "list");
            json.writeStringField("id", UUID.randomUUID().toString());
            json.writeArrayFieldStart("results");
            for (int document : best) {
                json.writeStartObject();
                json.writeNumberField("index", document);
                json.writeNumberField("relevance_score", scores[document]);
                if (asked.isTold()) {
                    json.writeObjectFieldStart("document");
                    json.writeStringField("text", asked.documents().get(document));
                    json.writeEndObject();
                }
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeStringField("model", asked.model());
            TextIntake.writeUsage(json, asked.read().tokens(), asked.read().cut());
            writeMeta(json);
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }
}
