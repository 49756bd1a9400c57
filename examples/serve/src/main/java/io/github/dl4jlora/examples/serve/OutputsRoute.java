package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.javalin.http.Context;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;

/** {@code POST /v1/adapters/{name}/outputs}: what the network computes with an adapter, or a mix of several. */
final class OutputsRoute {

    private final Inference inference;
    private final NetworkForm form;
    private final Limits limits;
    private final Executor writers;

    /** @param writers on whose threads answers are written, so that the bank's go on computing */
    OutputsRoute(Inference inference, NetworkForm form, Limits limits, Executor writers) {
        this.inference = inference;
        this.form = form;
        this.limits = limits;
        this.writers = writers;
    }

    void answer(Context request) throws IOException {
        AdapterMix mix = Inference.mix(request.pathParam("name"));
        Features features = read(request);
        boolean binary = isAskedForBinary(request);
        request.future(() -> inference.untilTimeout().apply(features.request(mix, form)).thenAcceptAsync(outputs -> {
            try {
                request.contentType(binary ? Body.SAFETENSORS : Body.JSON);
                Map<String, INDArray> named = named(outputs);
                request.result(binary ? SafetensorsForm.write(mix.toString(), named) : JsonForm.write(mix.toString(), named));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }, writers));
    }

    private Features read(Context request) throws IOException {
        String first = form.inputs().get(0).name();
        try (InputStream body = Body.stream(request, limits.maxBody(), limits.timeout())) {
            return switch (Body.type(request)) {
                case Body.JSON -> JsonForm.read(body, first);
                case Body.SAFETENSORS -> SafetensorsForm.read(body, first);
                default -> throw Body.unknownType(request, Body.JSON + " or " + Body.SAFETENSORS);
            };
        }
    }

    /** The form of the question, if the client does not ask for the other. */
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
