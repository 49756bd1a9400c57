package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.javalin.http.Context;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.time.Instant;
import java.util.Arrays;

/** Adapters as OpenAI's clients see models: listed, and changed by who may. */
final class AdaptersRoute {

    private static final ObjectMapper JSON = new ObjectMapper();

    private final AdapterStore store;
    private final AdapterBank bank;
    private final NetworkForm form;
    private final String baseName;
    private final Access access;
    private final AdapterUpload upload;
    private final long started = Instant.now().getEpochSecond();

    AdaptersRoute(AdapterStore store, AdapterBank bank, NetworkForm form, String baseName, Access access, Limits limits) {
        this.store = store;
        this.bank = bank;
        this.form = form;
        this.baseName = baseName;
        this.access = access;
        this.upload = new AdapterUpload(store, bank, limits);
    }

    void list(Context request) throws IOException {
        ObjectNode list = JSON.createObjectNode().put("object", "list");
        ArrayNode data = list.putArray("data");
        data.add(base());
        for (String name : store.names()) {
            data.add(adapter(name));
        }
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(list));
    }

    void one(Context request) throws IOException {
        String name = request.pathParam("name");
        if (!name.equals(AdapterBank.BASE)) {
            requireThere(name);
        }
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(name.equals(AdapterBank.BASE) ? base() : adapter(name)));
    }

    private ObjectNode base() {
        ObjectNode base = model(AdapterBank.BASE, started).put("root", baseName).put("type", form.type().name());
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
        return model(name, store.since(name)).put("parent", AdapterBank.BASE);
    }

    private static ObjectNode model(String name, long created) {
        return JSON.createObjectNode().put("id", name).put("object", "model").put("created", created)
                .put("owned_by", "dl4j-lora");
    }

    void put(Context request) throws IOException {
        access.require(request);
        String name = request.pathParam("name");
        store.requireName(name);
        boolean replaced = upload.accept(name, request);
        bank.refresh(name);
        request.status(replaced ? 200 : 201).contentType(Body.JSON).result(JSON.writeValueAsBytes(adapter(name)));
    }

    void delete(Context request) throws IOException {
        access.require(request);
        String name = request.pathParam("name");
        requireThere(name);
        boolean deleted;
        try {
            deleted = store.delete(name);
        } catch (IOException e) {
            throw Problem.cannotWrite(e);
        }
        bank.refresh(name);
        if (!deleted) {
            throw unknown(name);
        }
        ObjectNode gone = JSON.createObjectNode().put("id", name).put("object", "model").put("deleted", true);
        request.contentType(Body.JSON).result(JSON.writeValueAsBytes(gone));
    }

    private void requireThere(String name) throws IOException {
        store.requireName(name);
        if (!store.names().contains(name)) {
            throw unknown(name);
        }
    }

    private static Problem unknown(String name) {
        return Problem.unknownAdapter("There is no adapter \"" + name + "\". GET /v1/models lists what there is");
    }
}
