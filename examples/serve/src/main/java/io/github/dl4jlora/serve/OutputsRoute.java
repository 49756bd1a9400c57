package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.javalin.http.Context;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;

/** {@code POST /v1/adapters/{name}/outputs}: what the network computes with an adapter, or a mix of several. */
final class OutputsRoute {

    private static final Set<String> TYPES = Set.of(Body.JSON, Body.SAFETENSORS);
    /** Approximate bytes of a number in JSON, and bytes in an array. */
    private static final int JSON_BYTES = 12;
    private static final int ARRAY_BYTES = 8;

    private final Inference inference;
    private final String own;
    private final NetworkForm form;
    private final Intake intake;
    private final Limits limits;
    private final Executor workers;

    /**
     * @param own     the model's own name; null if it has none
     * @param workers runs the parsing of bodies and the writing of answers, so that the bank's threads go on computing
     */
    OutputsRoute(Inference inference, String own, NetworkForm form, Intake intake, Limits limits, Executor workers) {
        this.inference = inference;
        this.own = own;
        this.form = form;
        this.intake = intake;
        this.limits = limits;
        this.workers = workers;
    }

    CompletableFuture<?> answer(Context request) throws IOException {
        AdapterMix mix = Inference.mix(request.pathParam("name"), own);
        if (!TYPES.contains(Body.type(request))) {
            throw Body.unknownType(request, Body.JSON + " or " + Body.SAFETENSORS);
        }
        boolean binary = isAskedForBinary(request);
        Intake.Share share = intake.of(request.req());
        return Reception.inMemory(request, share, limits.maxBody(), limits.timeout())
                .thenComposeAsync(body -> {
                    Features features = read(Body.type(request), body, share);
                    return inference.untilTimeout().apply(features.request(mix, form));
                }, workers)
                .thenAcceptAsync(outputs -> {
                    long numbers = Arrays.stream(outputs).mapToLong(INDArray::length).sum();
                    share.add(numbers * (ARRAY_BYTES + (binary ? ARRAY_BYTES : JSON_BYTES)));
                    request.contentType(binary ? Body.SAFETENSORS : Body.JSON).result(write(mix, binary, named(outputs)));
                }, workers);
    }

    private Features read(String type, Blocks body, Intake.Share share) {
        try {
            Features features = type.equals(Body.JSON) ? JsonForm.read(body.stream(), form, share)
                    : SafetensorsForm.read(body.channel(), form, share);
            // The body is no longer needed.
            share.hold(features.bytes(form.type()));
            return features;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] write(AdapterMix mix, boolean binary, Map<String, INDArray> outputs) {
        try {
            return binary ? SafetensorsForm.write(mix.toString(), outputs) : JsonForm.write(mix.toString(), outputs);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The form of the request, unless the client asks for the other. */
    private static boolean isAskedForBinary(Context request) {
        String accepted = String.valueOf(request.header("Accept"));
        boolean json = accepted.contains(Body.JSON);
        boolean binary = accepted.contains(Body.SAFETENSORS);
        return json == binary ? Body.type(request).equals(Body.SAFETENSORS) : binary;
    }

    private Map<String, INDArray> named(INDArray[] outputs) {
        List<String> names = form.outputs();
        Map<String, INDArray> named = new LinkedHashMap<>();
        for (int i = 0; i < outputs.length; i++) {
            named.put(names.get(i), outputs[i]);
        }
        return named;
    }
}
