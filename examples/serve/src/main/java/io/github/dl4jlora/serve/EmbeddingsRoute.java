package io.github.dl4jlora.serve;

import io.github.dl4jlora.models.encoder.Tokenizer;
import io.javalin.http.Context;
import org.nd4j.shade.jackson.core.JsonFactory;
import org.nd4j.shade.jackson.core.JsonGenerator;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

/** OpenAI's {@code POST /v1/embeddings}, where the model is an adapter, a mix of several, or the encoder's own name for none. */
final class EmbeddingsRoute {

    private static final JsonFactory FACTORY = new JsonFactory();
    /** Approximate bytes of a number in an answer. */
    private static final int BASE64_BYTES = 6;
    private static final int JSON_BYTES = 13;

    private final Inference inference;
    private final BankEncoder encoder;
    private final TextIntake intake;

    /** @param encoder null if the service has none */
    EmbeddingsRoute(Inference inference, BankEncoder encoder, TextIntake intake) {
        this.inference = inference;
        this.encoder = encoder;
        this.intake = intake;
    }

    CompletableFuture<?> answer(Context request) throws IOException {
        if (encoder == null) {
            throw new Problem(404, null, "This service has no sentence encoder. Start it with --encoder, or ask for a network's "
                    + "outputs: POST /v1/adapters/{name}/outputs");
        }
        return intake.answer(request, this::read, asked -> encoder.embed(Inference.mix(asked.model(), encoder.name()),
                asked.inputs().stream().map(Tokenizer.Tokens::ids).toList(), inference.untilTimeout()), EmbeddingsRoute::json);
    }

    /** Reads a request. From then on the share holds the answer, too: the shortest texts have embeddings as long as others. */
    private EmbeddingsRequest read(Blocks body, Intake.Share share) throws IOException {
        EmbeddingsRequest asked = EmbeddingsRequest.read(body.stream(), encoder);
        long numbers = (long) asked.inputs().size() * encoder.width();
        share.hold(Integer.BYTES * asked.tokens() + numbers * (Float.BYTES + (asked.isBase64() ? BASE64_BYTES : JSON_BYTES)));
        return asked;
    }

    private static byte[] json(EmbeddingsRequest asked, float[][] embeddings) {
        Stream.of(embeddings).forEach(embedding -> TextIntake.requireFinite(embedding, asked.model()));
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
            TextIntake.writeUsage(json, asked.tokens(), TextIntake.indexes(asked.inputs(), Tokenizer.Tokens::isCut));
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
}
