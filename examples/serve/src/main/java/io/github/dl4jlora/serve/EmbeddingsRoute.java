package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.javalin.http.Context;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonGenerator;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;

/** OpenAI's {@code POST /v1/embeddings}, where the model is an adapter, a mix of several, or the encoder's own name for none. */
final class EmbeddingsRoute {

    private static final JsonFactory FACTORY = new JsonFactory();
    /** Approximate bytes of a number in an answer. */
    private static final int BASE64_BYTES = 6;
    private static final int JSON_BYTES = 13;

    private final Inference inference;
    private final BankEncoder encoder;
    private final Intake intake;
    private final Limits limits;
    private final Executor workers;

    /**
     * @param encoder null if the service has none
     * @param workers runs the parsing of bodies and the writing of answers, so that the bank's threads go on computing
     */
    EmbeddingsRoute(Inference inference, BankEncoder encoder, Intake intake, Limits limits, Executor workers) {
        this.inference = inference;
        this.encoder = encoder;
        this.intake = intake;
        this.limits = limits;
        this.workers = workers;
    }

    CompletableFuture<?> answer(Context request) throws IOException {
        if (encoder == null) {
            throw new Problem(404, null, "This service has no sentence encoder. Start it with --encoder, or ask for a network's "
                    + "outputs: POST /v1/adapters/{name}/outputs");
        }
        if (!Body.type(request).equals(Body.JSON)) {
            throw Body.unknownType(request, Body.JSON);
        }
        Intake.Share share = intake.of(request.req());
        return Reception.inMemory(request, share, limits.maxBody(), limits.timeout())
                .thenComposeAsync(body -> {
                    EmbeddingsRequest asked = read(body, share);
                    AdapterMix mix = asked.model().equals(BankEncoder.NAME) ? AdapterMix.base() : Inference.mix(asked.model());
                    List<int[]> texts = asked.inputs().stream().map(Tokenizer.Tokens::ids).toList();
                    return encoder.embed(mix, texts, inference.untilTimeout()).thenAcceptAsync(embeddings ->
                            request.contentType(Body.JSON).result(json(asked, embeddings)), workers);
                }, workers);
    }

    /** Reads a request. From then on the share holds the answer, too: the shortest texts have embeddings as long as others. */
    private EmbeddingsRequest read(Blocks body, Intake.Share share) {
        try {
            EmbeddingsRequest asked = EmbeddingsRequest.read(body.stream(), encoder);
            long numbers = (long) asked.inputs().size() * BankEncoder.WIDTH;
            long tokens = asked.inputs().stream().mapToLong(input -> input.ids().length).sum();
            share.hold(Integer.BYTES * tokens + numbers * (Float.BYTES + (asked.isBase64() ? BASE64_BYTES : JSON_BYTES)));
            return asked;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] json(EmbeddingsRequest asked, float[][] embeddings) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("object", "list");
            json.writeArrayFieldStart("data");
            for (int i = 0; i < embeddings.length; i++) {
                json.writeStartObject();
                json.writeStringField("object", "embedding");
                json.writeNumberField("index", i);
                json.writeFieldName("embedding");
                write(json, embeddings[i], asked.isBase64());
                json.writeEndObject();
            }
            json.writeEndArray();
            json.writeStringField("model", asked.model());
            writeUsage(json, asked.inputs());
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator json, float[] embedding, boolean isBase64) throws IOException {
        if (isBase64) {
            ByteBuffer bytes = ByteBuffer.allocate(embedding.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asFloatBuffer().put(embedding);
            json.writeBinary(bytes.array());
        } else {
            json.writeStartArray();
            for (float value : embedding) {
                json.writeNumber(value);
            }
            json.writeEndArray();
        }
    }

    /**
     * Tokens that were computed, and which inputs had more: a field that OpenAI does not have, and left out if there are none.
     */
    private static void writeUsage(JsonGenerator json, List<Tokenizer.Tokens> inputs) throws IOException {
        long tokens = inputs.stream().mapToLong(input -> input.ids().length).sum();
        json.writeObjectFieldStart("usage");
        json.writeNumberField("prompt_tokens", tokens);
        json.writeNumberField("total_tokens", tokens);
        json.writeEndObject();
        if (inputs.stream().anyMatch(Tokenizer.Tokens::isCut)) {
            json.writeArrayFieldStart("truncated");
            for (int i = 0; i < inputs.size(); i++) {
                if (inputs.get(i).isCut()) {
                    json.writeNumber(i);
                }
            }
            json.writeEndArray();
        }
    }
}
