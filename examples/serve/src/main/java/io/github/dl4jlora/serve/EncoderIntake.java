package io.github.dl4jlora.serve;

import io.github.dl4jlora.models.encoder.Tokenizer;
import io.javalin.http.Context;
import org.nd4j.shade.jackson.core.JsonGenerator;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.BiFunction;

/** What routes have in common that ask the service's sentence encoder: requests in JSON, and answers in JSON. */
final class EncoderIntake {

    private final BankEncoder encoder;
    private final Intake intake;
    private final Limits limits;
    private final Executor workers;

    /**
     * @param encoder null if the service has none
     * @param workers runs the parsing of bodies and the writing of answers, so that the bank's threads go on computing
     */
    EncoderIntake(BankEncoder encoder, Intake intake, Limits limits, Executor workers) {
        this.encoder = encoder;
        this.intake = intake;
        this.limits = limits;
        this.workers = workers;
    }

    /** Reads a body, and has the share hold what was read and the answer to it. */
    interface Reader<R> {
        R read(Blocks body, BankEncoder encoder, Intake.Share share) throws IOException;
    }

    /**
     * Answers a request when its body is there.
     *
     * @param embed of what was asked
     * @param json  the answer, of what was asked and the embeddings
     */
    <R> CompletableFuture<?> answer(Context request, Reader<R> reader,
                                    BiFunction<BankEncoder, R, CompletableFuture<float[][]>> embed,
                                    BiFunction<R, float[][], byte[]> json) throws IOException {
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
                    R asked = read(reader, body, share);
                    return embed.apply(encoder, asked).thenAcceptAsync(embeddings ->
                            request.contentType(Body.JSON).result(json.apply(asked, embeddings)), workers);
                }, workers);
    }

    private <R> R read(Reader<R> reader, Blocks body, Intake.Share share) {
        try {
            return reader.read(body, encoder, share);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Tokens that were computed, and which inputs had more: a field that OpenAI does not have, and left out if there are none.
     *
     * @param computed all texts
     * @param inputs   those that are named by index
     */
    static void writeUsage(JsonGenerator json, List<Tokenizer.Tokens> computed, List<Tokenizer.Tokens> inputs)
            throws IOException {
        long tokens = computed.stream().mapToLong(input -> input.ids().length).sum();
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
