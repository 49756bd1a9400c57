package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.javalin.http.Context;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** Lists adapters as the models of OpenAI's clients, and changes them if the client may. */
final class AdaptersRoute {

    private static final ObjectMapper JSON = new ObjectMapper();

    private final AdapterStore store;
    private final AdapterBank bank;
    private final NetworkForm form;
    private final String baseName;
    private final Access access;
    private final AdapterUpload upload;
    private final Intake intake;
    private final TextModels texts;
    private final long started = Instant.now().getEpochSecond();

    /**
     * @param baseName what the base is called
     * @param texts    how the base reads texts, if it does
     */
    AdaptersRoute(AdapterStore store, AdapterBank bank, NetworkForm form, String baseName, TextModels texts, Access access,
                  Intake intake, AdapterUpload upload) {
        this.store = store;
        this.bank = bank;
        this.form = form;
        this.baseName = baseName;
        this.access = access;
        this.texts = texts;
        this.intake = intake;
        this.upload = upload;
    }

    void list(Context request) throws IOException {
        ObjectNode list = JSON.createObjectNode().put("object", "list");
        ArrayNode data = list.putArray("data");
        data.add(base(AdapterBank.BASE));
        if (texts.name() != null) {
            data.add(base(texts.name()));
        }
        for (String name : store.names()) {
            if (!isBase(name)) {
                data.add(adapter(name));
            }
        }
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(list));
    }

    void one(Context request) throws IOException {
        String name = request.pathParam("name");
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(isBase(name) ? base(name) : mix(name)));
    }

    private boolean isBase(String name) {
        return name.equals(AdapterBank.BASE) || name.equals(texts.name());
    }

    private ObjectNode base(String name) {
        ObjectNode base = model(name, started).put("root", baseName).put("reads", texts.reads()).put("type", form.type().name());
        ArrayNode inputs = base.putArray("inputs");
        for (NetworkForm.Input input : form.inputs()) {
            ObjectNode node = inputs.addObject().put("name", input.name());
            input.shape().ifPresentOrElse(shape -> Arrays.stream(shape).forEach(node.withArray("shape")::add),
                    () -> node.putNull("shape"));
        }
        form.outputs().forEach(base.putArray("outputs")::add);
        return base;
    }

    private ObjectNode adapter(String name) {
        return adapted(name, store.since(name));
    }

    /** One adapter or several, which is a model from when the last of them came. */
    private ObjectNode mix(String text) throws IOException {
        Set<String> names = Inference.mix(text).weights().keySet();
        if (names.isEmpty()) {
            return base(AdapterBank.BASE);
        }
        long since = 0;
        Set<String> there = new HashSet<>(store.names());
        for (String name : names) {
            store.requireName(name);
            if (!there.contains(name)) {
                throw Problem.unknownAdapter(name);
            }
            since = Math.max(since, store.since(name));
        }
        return adapted(text, since);
    }

    private static ObjectNode adapted(String name, long since) {
        return model(name, since).put("parent", AdapterBank.BASE);
    }

    private static ObjectNode model(String name, long created) {
        return JSON.createObjectNode().put("id", name).put("object", "model").put("created", created)
                .put("owned_by", "dl4j-lora");
    }

    CompletableFuture<?> put(Context request) throws IOException {
        access.require(request);
        String name = request.pathParam("name");
        store.requireName(name);
        if (isBase(name)) {
            throw Problem.badRequest("An adapter cannot be called \"" + name + "\": it is the name of the base");
        }
        return upload.accept(name, request, intake.of(request.req())).thenAccept(replaced ->
                request.status(replaced ? 200 : 201).contentType(Body.JSON).result(adapter(name).toString()));
    }

    void delete(Context request) throws IOException {
        access.require(request);
        String name = request.pathParam("name");
        store.requireName(name);
        boolean deleted;
        try {
            // Also the bank's copy of an adapter whose folder somebody else has deleted.
            deleted = store.changing(name, bank::refresh, () -> store.delete(name));
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
        if (!deleted) {
            throw Problem.unknownAdapter(name);
        }
        ObjectNode gone = JSON.createObjectNode().put("id", name).put("object", "model").put("deleted", true);
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(gone));
    }
}
