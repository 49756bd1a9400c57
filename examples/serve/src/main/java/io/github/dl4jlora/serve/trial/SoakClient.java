package io.github.dl4jlora.serve.trial;

import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** One of many clients: does random things that clients do, and knows the right outcomes. */
final class SoakClient implements AutoCloseable {

    /** Bytes of the largest upload that the service accepts. */
    static final int MOST_BYTES = 3 << 20;

    private static final String AUTHORIZATION = "Authorization: Bearer " + ServedProcess.TOKEN;
    private static final String BASE = "__base__";
    private static final double[] WEIGHTS = {0.7, 0.3};
    private static final int MANY_ROWS = 512;
    private static final List<String> PAGES =
            List.of("/v1/models", "/health", "/metrics", "/statistics", "/", "/openapi.json");

    private final Soak soak;
    private final Versions versions;
    private final Tally tally;
    private final Random random;
    private Connection connection;

    SoakClient(Soak soak, long seed) {
        this.soak = soak;
        this.versions = soak.versions();
        this.tally = soak.tally();
        this.random = new Random(seed);
    }

    /** Does one thing at random. */
    void act() {
        if (connection == null || !connection.service().equals(soak.service())) {
            close();
            connection = new Connection(soak.service());
        }
        int kind = random.nextInt(100);
        try {
            if (kind < 50) {
                ask(List.of(anySlot()));
            } else if (kind < 63) {
                ask(List.of(anySlot(), anySlot()));
            } else if (kind < 71) {
                ask(List.of());
            } else if (kind < 79) {
                change();
            } else if (kind < 84) {
                spoiltUpload();
            } else if (kind < 89) {
                leave();
            } else if (kind < 94) {
                nonsense();
            } else {
                look();
            }
        } catch (IOException e) {
            if (soak.isDown()) {
                tally.other("cut off by kill -9");
            } else {
                tally.fault("a connection was lost: " + e);
            }
        } catch (RuntimeException e) {
            tally.fault("an answer cannot be read: " + e);
        }
    }

    private Slot anySlot() {
        return soak.slots().get(random.nextInt(soak.slots().size()));
    }

    private Connection.Answer send(byte[] request) throws IOException {
        tally.request();
        return connection.ask(request);
    }

    private static byte[] outputs(String mix, String type, byte[] body) {
        return Connection.request("POST", "/v1/adapters/" + URLEncoder.encode(mix, StandardCharsets.UTF_8).replace("+", "%20")
                + "/outputs", type, body);
    }

    /** Asks for the outputs of an adapter, a mix of two, or the base. */
    private void ask(List<Slot> slots) throws IOException {
        boolean json = random.nextBoolean();
        int input = random.nextInt(Versions.INPUTS);
        boolean twice = slots.size() == 2 && slots.get(0) == slots.get(1);
        List<Slot> asked = twice ? slots.subList(0, 1) : slots;
        String mix = asked.isEmpty() ? BASE : asked.size() == 1 ? asked.get(0).name()
                : asked.get(0).name() + ":" + WEIGHTS[0] + " + " + asked.get(1).name() + ":" + WEIGHTS[1];
        byte[] request = outputs(mix, json ? Rows.JSON : Rows.SAFETENSORS,
                json ? Rows.json(versions.input(input)) : Rows.safetensors(versions.input(input)));
        long start = System.nanoTime();
        Connection.Answer answer = send(request);
        long end = System.nanoTime();
        List<Set<Integer>> possible = asked.stream().map(slot -> slot.possible(start, end)).toList();
        if (answer.status() == 404 && possible.stream().anyMatch(some -> some.contains(Slot.ABSENT))) {
            tally.other("404");
        } else if (answer.status() != 200) {
            unexpected("asked for " + mix, answer);
        } else {
            tally.answer();
            float[][] rows = Rows.read(answer);
            if (mixes(possible).stream().noneMatch(weights -> versions.isRight(rows, input, weights))) {
                tally.fault("a wrong answer: " + mix + ", input " + input + ", matches none of the versions " + possible);
            }
        }
    }

    /** All mixes that slots with these versions may mean. */
    private static List<Map<Integer, Double>> mixes(List<Set<Integer>> possible) {
        List<Map<Integer, Double>> mixes = List.of(Map.of());
        for (int i = 0; i < possible.size(); i++) {
            double weight = possible.size() == 1 ? 1 : WEIGHTS[i];
            List<Map<Integer, Double>> longer = new ArrayList<>();
            for (Map<Integer, Double> mix : mixes) {
                for (int version : possible.get(i)) {
                    if (version != Slot.ABSENT) {
                        Map<Integer, Double> more = new HashMap<>(mix);
                        more.merge(version, weight, Double::sum);
                        longer.add(more);
                    }
                }
            }
            mixes = longer;
        }
        return mixes;
    }

    /** Puts another version, or, one time in eight, deletes. */
    private void change() throws IOException {
        Slot slot = anySlot();
        if (!slot.change().tryLock()) {
            return;
        }
        try {
            boolean deletes = random.nextInt(8) == 0;
            Set<Integer> there = slot.possibleNow();
            int version = random.nextInt(Versions.COUNT);
            while (!deletes && there.contains(version)) {
                version = random.nextInt(Versions.COUNT);
            }
            int disk = soak.disk().changes();
            slot.begin(deletes ? Slot.ABSENT : version);
            Connection.Answer answer = deletes ? send(delete(slot)) : send(put(slot, version));
            boolean wasThere = !there.contains(Slot.ABSENT);
            if (answer.status() == (deletes ? wasThere ? 200 : 404 : wasThere ? 200 : 201)) {
                slot.succeeded();
                tally.other(deletes ? answer.status() == 200 ? "deleted" : "404 not deleted" : "put");
            } else {
                slot.failed();
                refused(deletes ? "deleted " + slot.name() : "put " + slot.name(), answer, Set.of(), disk);
            }
        } finally {
            slot.change().unlock();
        }
    }

    private byte[] put(Slot slot, int version) throws IOException {
        boolean zipped = random.nextBoolean();
        Map<String, byte[]> files = versions.files(version);
        return Connection.request("PUT", "/v1/adapters/" + slot.name(), zipped ? Uploads.ZIP : Uploads.FORM,
                zipped ? Uploads.zip(files) : Uploads.form(files), AUTHORIZATION);
    }

    private static byte[] delete(Slot slot) {
        return Connection.request("DELETE", "/v1/adapters/" + slot.name(), "", new byte[0], AUTHORIZATION);
    }

    private void spoiltUpload() throws IOException {
        Versions.Spoilt spoilt = soak.spoilt().get(random.nextInt(soak.spoilt().size()));
        int disk = soak.disk().changes();
        Connection.Answer answer = send(Connection.request("PUT", "/v1/adapters/" + anySlot().name(), spoilt.type(),
                spoilt.body(), AUTHORIZATION));
        refused("put a damaged upload: " + spoilt.kind(), answer, Set.of(spoilt.status()), disk);
    }

    private void refused(String what, Connection.Answer answer, Set<Integer> statuses, int disk) {
        if (answer.status() == 507 && soak.disk().wasFull(disk)) {
            tally.other("507 disk full");
        } else if (statuses.contains(answer.status()) && !answer.text().contains("No space")) {
            // A full disk must not be reported as the client's fault.
            tally.other(answer.status() + " upload");
        } else {
            unexpected(what, answer);
        }
    }

    private void unexpected(String what, Connection.Answer answer) {
        tally.fault("an unexpected status " + answer.status() + ", " + what + ": " + answer.text());
    }

    /** Leaves in the middle of a request or an answer, which must have no effect. */
    private void leave() throws IOException {
        tally.request();
        switch (random.nextInt(3)) {
            case 0 -> {
                byte[] upload = put(anySlot(), random.nextInt(Versions.COUNT));
                // The first half of a zip has at most one complete file.
                connection.leaveInRequest(upload, 1 + random.nextInt(upload.length / 2), random.nextBoolean());
                tally.other("left in an upload");
            }
            case 1 -> {
                byte[] request = outputs(anySlot().name(), Rows.JSON, Rows.json(versions.input(0)));
                connection.leaveInRequest(request, 1 + random.nextInt(request.length), random.nextBoolean());
                tally.other("left in a request");
            }
            default -> {
                byte[] request = outputs(BASE, Rows.JSON, Rows.json(new float[MANY_ROWS][Versions.IN]));
                int status = connection.leaveInAnswer(request, random.nextInt(4_000));
                tally.other("left in an answer");
                if (status != 200) {
                    tally.fault("an unexpected status " + status + " of many rows");
                }
            }
        }
    }

    private void nonsense() throws IOException {
        float[][] narrow = {{1, 2, 3}};
        switch (random.nextInt(4)) {
            case 0 -> expect(404, outputs("nobody-" + random.nextInt(), Rows.JSON, Rows.json(versions.input(0))));
            case 1 -> expect(400, outputs(BASE, Rows.SAFETENSORS, Rows.safetensors(narrow)));
            case 2 -> expect(400, outputs(BASE, Rows.JSON, "{\"inputs\": [[1, 2".getBytes(StandardCharsets.UTF_8)));
            default -> expect(401, Connection.request("DELETE", "/v1/adapters/" + anySlot().name(), "", new byte[0]));
        }
    }

    private void expect(int status, byte[] request) throws IOException {
        Connection.Answer answer = send(request);
        if (answer.status() == status) {
            tally.other(String.valueOf(status));
        } else {
            unexpected("sent nonsense", answer);
        }
    }

    private void look() throws IOException {
        String path = PAGES.get(random.nextInt(PAGES.size()));
        Connection.Answer answer = send(Connection.request("GET", path, "", new byte[0]));
        if (answer.status() != 200) {
            unexpected("looked at " + path, answer);
        }
    }

    @Override
    public void close() {
        if (connection != null) {
            connection.close();
            connection = null;
        }
    }
}
