package io.github.dl4jlora.serve;

import io.javalin.http.Context;
import org.nd4j.shade.jackson.core.JsonGenerator;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/** What routes for texts have in common: requests in JSON, and answers in JSON. */
final class TextIntake {

    private final Intake intake;
    private final Limits limits;
    private final Executor workers;

    /**
     * @param workers runs the parsing of bodies and the writing of answers, so that the bank's threads go on computing
     */
    TextIntake(Intake intake, Limits limits, Executor workers) {
        this.intake = intake;
        this.limits = limits;
        this.workers = workers;
    }

    /** Reads a body, and has the share hold what was read and the answer to it. */
    interface Reader<R> {
        R read(Blocks body, Intake.Share share) throws IOException;
    }

    /**
     * Answers a request when its body is there.
     *
     * @param compute of what was asked
     * @param json    the answer, of what was asked and computed
     */
    <R, A> CompletableFuture<?> answer(Context request, Reader<R> reader, Function<R, CompletableFuture<A>> compute,
                                       BiFunction<R, A, byte[]> json) throws IOException {
        if (!Body.type(request).equals(Body.JSON)) {
            throw Body.unknownType(request, Body.JSON);
        }
        Intake.Share share = intake.of(request.req());
        return Reception.inMemory(request, share, limits.maxBody(), limits.timeout())
                .thenComposeAsync(body -> {
                    R asked = read(reader, body, share);
                    return compute.apply(asked).thenAcceptAsync(computed ->
                            request.contentType(Body.JSON).result(json.apply(asked, computed)), workers);
                }, workers);
    }

    private static <R> R read(Reader<R> reader, Blocks body, Intake.Share share) {
        try {
            return reader.read(body, share);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Of those that something holds for. */
    static <T> BitSet indexes(List<T> texts, Predicate<T> which) {
        return IntStream.range(0, texts.size()).filter(i -> which.test(texts.get(i)))
                .collect(BitSet::new, BitSet::set, BitSet::or);
    }

    /** @throws Problem if what was computed of a text has numbers that JSON does not have */
    static void requireFinite(float[] computed, String model) {
        for (float value : computed) {
            if (!Float.isFinite(value)) {
                throw Problem.badRequest("What \"" + model + "\" computes of a text is not finite, but " + value
                        + ": its adapter diverged in training, or is weighted too much");
            }
        }
    }

    /**
     * Writes usage, and which texts were cut: a field that OpenAI does not have, and left out if there are none.
     *
     * @param tokens that were computed
     * @param cut    by index
     */
    static void writeUsage(JsonGenerator json, long tokens, BitSet cut) throws IOException {
        json.writeObjectFieldStart("usage");
        json.writeNumberField("prompt_tokens", tokens);
        json.writeNumberField("total_tokens", tokens);
        json.writeEndObject();
        if (!cut.isEmpty()) {
            json.writeArrayFieldStart("truncated");
            for (int i : cut.stream().toArray()) {
                json.writeNumber(i);
            }
            json.writeEndArray();
        }
    }
}
