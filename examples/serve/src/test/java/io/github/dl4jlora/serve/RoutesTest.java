package io.github.dl4jlora.serve;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static io.github.dl4jlora.serve.Running.assertSame;
import static io.github.dl4jlora.serve.Running.await;
import static io.github.dl4jlora.serve.Running.outputsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

/** What a service tells of itself, what it refuses, and how it ends. */
@Tag("serve")
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class RoutesTest {

    @TempDir
    private static Path adapters;
    private static MultiLayerNetwork base;
    private static Running running;

    private final INDArray input = Networks.input(7, 1, Networks.IN);

    @BeforeAll
    static void start() throws IOException {
        base = Networks.dense(1);
        Networks.adapter(base, 1).save(adapters.resolve("spam"));
        running = new Running(base, adapters);
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    private static String body(INDArray input) throws IOException {
        return "{\"inputs\": " + Running.json(input) + "}";
    }

    @Test
    void modelsAreListedAsOpenAIsClientsReadThem() throws Exception {
        JsonNode list = running.get("/v1/models").ok();

        assertThat(list.get("object").asText()).isEqualTo("list");
        JsonNode first = list.get("data").get(0);
        assertThat(first.get("id").asText()).isEqualTo("__base__");
        assertThat(first.get("root").asText()).isEqualTo("base.zip");
        assertThat(first.at("/inputs/0").toString()).isEqualTo("{\"name\":\"input\",\"shape\":[-1,6]}");
        assertThat(first.get("outputs").toString()).isEqualTo("[\"output\"]");
        JsonNode spam = list.get("data").get(1);
        assertThat(spam).isEqualTo(running.get("/v1/models/spam").ok());
        assertThat(spam.get("object").asText()).isEqualTo("model");
        assertThat(spam.get("created").asLong()).isPositive();
        assertThat(spam.get("parent").asText()).isEqualTo("__base__");
        assertThat(running.get("/v1/models/nobody").error(404)).contains("nobody", "GET /v1/models");
    }

    @Test
    void aMixIsAModelIfAllItsAdaptersAreThere(@TempDir Path folder) throws Exception {
        Networks.adapter(base, 1).save(folder.resolve("spam"));
        Networks.adapter(base, 2).save(folder.resolve("tone"));
        try (Running two = new Running(base, folder)) {
            JsonNode mix = two.get("/v1/models/spam:0.7%20+%20tone:0.3").ok();
            assertThat(mix.get("id").asText()).isEqualTo("spam:0.7 + tone:0.3");
            assertThat(mix.get("created").asLong()).isEqualTo(Math.max(two.get("/v1/models/spam").ok().get("created").asLong(),
                    two.get("/v1/models/tone").ok().get("created").asLong()));
            assertThat(mix.get("parent").asText()).isEqualTo("__base__");
            assertThat(two.get("/v1/models/spam:0.7%20+%20nobody").error(404)).contains("\"nobody\"");
            assertThat(two.get("/v1/models/spam:NaN").error(400)).contains("NaN");
            assertThat(two.get("/v1/models/%20__base__").ok().get("root").asText()).isEqualTo("base.zip");
        }
    }

    /** As OpenAI's clients do it. */
    @Test
    void aModelIsDeletedAsAnAdapterIs(@TempDir Path folder) throws Exception {
        Networks.adapter(base, 1).save(folder.resolve("spam"));
        try (Running one = new Running(base, folder)) {
            assertThat(one.send(one.request("/v1/models/spam").DELETE()).error(401)).contains("token");
            assertThat(one.delete("/v1/models/spam").ok().toString())
                    .isEqualTo("{\"id\":\"spam\",\"object\":\"model\",\"deleted\":true}");
            assertThat(one.delete("/v1/models/spam").error(404)).contains("spam");
            assertThat(one.get("/v1/models/spam").error(404)).contains("spam");
        }
    }

    @Test
    void aFrozenBaseTellsTheShapesOfItsInputs(@TempDir Path none) throws Exception {
        try (Running frozen = new Running(LoRA.freeze(Networks.twice(1)), none)) {
            assertThat(frozen.get("/v1/models/__base__").ok().get("inputs").toString())
                    .isEqualTo("[{\"name\":\"left\",\"shape\":[-1,6]},{\"name\":\"right\",\"shape\":[-1,6]}]");
            assertThat(frozen.post(outputsOf("__base__"), "{\"inputs\": {\"left\": [[1]], \"right\": [[1]]}}").error(400))
                    .contains("left", "[examples, 6]");
        }
    }

    @Test
    void healthIsReadyOnceTheBaseIsVerified() throws Exception {
        JsonNode health = running.get("/health").ok();

        assertThat(health.get("status").asText()).isEqualTo("ready");
        assertThat(health.at("/base/verified").asText()).endsWith("Z");
        assertThat(health.at("/base/defect").isNull()).isTrue();
    }

    @Test
    void aBaseThatIsChangedIsSeenAndServesNoMore(@TempDir Path none) throws Exception {
        MultiLayerNetwork base = Networks.dense(5);
        try (Running running = new Running(base, none, config -> new ServiceConfig(config.host(), 0, null, config.limits(),
                Duration.ofMillis(20), config.bankOptions()))) {
            running.outputs("__base__", input);
            base.getLayer(0).getParam("W").addi(1);

            await(() -> running.get("/health").status() == 503);
            assertThat(running.get("/health").json().get("status").asText()).isEqualTo("broken");
            assertThat(head(running, "/health").status()).as("as some balancers ask").isEqualTo(503);
            assertThat(running.post(outputsOf("__base__"), body(input)).error(503)).contains("has changed since");
        }
    }

    private static Running.Answer head(Running running, String path) throws Exception {
        return running.send(running.request(path).method("HEAD", HttpRequest.BodyPublishers.noBody()));
    }

    @Test
    void headSaysWhatGetSays() throws Exception {
        for (String path : List.of("/health", "/v1/models/spam", "/v1/models/nobody", "/v1/models/.hidden")) {
            Running.Answer whole = running.get(path);
            Running.Answer head = head(running, path);
            assertThat(head.status()).as(path).isEqualTo(whole.status());
            assertThat(head.headers().get("content-type")).as(path).isEqualTo(whole.headers().get("content-type"));
            assertThat(head.body()).isEmpty();
        }
    }

    @Test
    void metricsCountWhatWasAsked() throws Exception {
        String answered = "dl4jlora_requests_seconds_count{adapter=\"spam\",outcome=\"answered\"}";
        String failed = "dl4jlora_requests_seconds_count{adapter=\"(others)\",outcome=\"failed\"}";
        double answeredBefore = running.meter(answered);
        double failedBefore = running.meter(failed);

        running.outputs("spam", input);
        running.post(outputsOf("a-name-that-a-stranger-made-up"), body(input)).error(404);

        // Counted by the thread that computed it, maybe after the answer is there.
        await(() -> running.meter(answered) == answeredBefore + 1);
        await(() -> running.meter(failed) == failedBefore + 1);
        assertThat(running.meter("dl4jlora_adapters")).isEqualTo(1);
        assertThat(running.meter("dl4jlora_adapter_bytes")).isPositive();
        assertThat(running.meter("dl4jlora_queued")).isZero();
        for (String count : List.of("{method=\"GET\",status=\"200\",uri=\"/metrics\"}",
                "{method=\"POST\",status=\"404\",uri=\"/v1/adapters/{name}/outputs\"}")) {
            await(() -> running.meter("http_server_requests_seconds_count" + count) > 0);
        }
        assertThat(running.get("/metrics").text()).doesNotContain("stranger").contains("jvm_memory_used_bytes");
    }

    @Test
    void whatThereIsNotIsSaidInTheSameForm() throws Exception {
        assertThat(running.get("/nothing").error(404)).contains("/nothing", "GET /openapi.json lists the routes");
        assertThat(running.post("/v1/embeddings", "{\"model\": \"spam\", \"input\": \"text\"}").error(404)).contains("--encoder");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            POST  | /v1/models                | GET, HEAD
            PUT   | /v1/models/spam           | GET, DELETE, HEAD
            GET   | /v1/adapters/spam/outputs | POST
            PATCH | /v1/adapters/spam         | PUT, DELETE
            TRACE | /health                   | GET, HEAD
            """)
    void methodsThatThereAreAreSaid(String method, String path, String allowed) throws Exception {
        for (String accepted : List.of("*/*", "text/html")) {
            Running.Answer answer = running.send(running.request(path).header("Accept", accepted)
                    .method(method, HttpRequest.BodyPublishers.noBody()));
            assertThat(answer.error(405)).isEqualTo(path + " has no " + method + ", but " + allowed);
            assertThat(answer.headers()).containsEntry("allow", allowed);
        }
    }

    @Test
    void whatIsNoHttpIsAnsweredInTheSameForm() throws Exception {
        assertThat(raw("NONSENSE\r\n\r\n")).startsWith("HTTP/1.1 400").contains("{\"error\":{\"message\":");
        assertThat(raw("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + "y".repeat(20_000) + "\r\n\r\n"))
                .startsWith("HTTP/1.1 431").contains("{\"error\":{\"message\":");
    }

    private static String raw(String request) throws IOException {
        try (Socket socket = new Socket(running.address().getHost(), running.address().getPort())) {
            socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** One waits for a third example, so that another two are too many; one more is the third. */
    @Test
    void whoComesWhenTooManyWaitIsRefused(@TempDir Path none) throws Exception {
        try (Running busy = new Running(base, none, config -> new ServiceConfig(config.host(), 0, null, config.limits(),
                config.verifyEvery(), bank -> bank.maxBatch(3).maxQueued(3).maxDelay(Duration.ofHours(1))))) {
            INDArray two = Networks.input(1, 2, Networks.IN);
            CompletableFuture<INDArray> first = new CompletableFuture<>();
            new Thread(() -> complete(first, () -> busy.outputs("__base__", two))).start();
            await(() -> busy.meter("dl4jlora_queued") == 2);
            Running.Answer refused = busy.post(outputsOf("__base__"), body(two));
            assertThat(refused.error(429)).contains("3 examples may wait");
            assertThat(refused.headers()).containsEntry("retry-after", "1");
            assertThat(busy.meter("dl4jlora_refused_total")).isEqualTo(1);

            assertSame(busy.outputs("__base__", input), base.output(input));
            assertSame(first.join(), base.output(two));
        }
    }

    @Test
    void whoIsNotAnsweredInTimeIsToldSo(@TempDir Path none) throws Exception {
        try (Running slow = new Running(base, none, config -> new ServiceConfig(config.host(), 0, null,
                new Limits(1 << 20, 1 << 20, Duration.ofSeconds(3)), config.verifyEvery(),
                bank -> bank.maxBatch(3).maxDelay(Duration.ofHours(1))))) {
            Running.Answer answer = slow.post(outputsOf("__base__"), body(input));
            assertThat(answer.error(503)).contains("no answer in time");
            assertThat(answer.json().at("/error/code").asText()).isEqualTo("timeout");
            assertThat(answer.headers()).as("it would take as long again").doesNotContainKey("retry-after");
        }
    }

    @Test
    void whoSendsTooSlowlyIsToldSo(@TempDir Path none) throws Exception {
        try (Running slow = new Running(base, none, config -> new ServiceConfig(config.host(), 0, null,
                new Limits(1 << 20, 1 << 20, Duration.ofMillis(300)), config.verifyEvery(), config.bankOptions()));
             Socket socket = new Socket("127.0.0.1", slow.address().getPort())) {
            socket.getOutputStream().write(("POST " + outputsOf("__base__") + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                    + "application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
                    .getBytes(StandardCharsets.US_ASCII));
            assertThat(line(socket.getInputStream())).startsWith("HTTP/1.1 100");
            Thread.sleep(400);
            socket.getOutputStream().write('{');
            assertThat(line(socket.getInputStream())).isBlank();
            assertThat(line(socket.getInputStream())).startsWith("HTTP/1.1 408");
        }
    }

    /** Six large ones wait for a seventh; there is room for a seventh of their size, but not for the largest. */
    @Test
    void whoComesWithMoreThanThereIsMemoryForIsRefused(@TempDir Path none) throws Exception {
        MultiLayerNetwork recurrent = Networks.recurrent(1);
        try (Running busy = new Running(recurrent, none, config -> new ServiceConfig(config.host(), 0, null,
                new Limits(100_000, 1000, Running.PATIENCE), config.verifyEvery(),
                bank -> bank.maxBatch(7).maxDelay(Duration.ofHours(1))))) {
            String large = steps(4_000);
            List<CompletableFuture<Running.Answer>> waiting = new ArrayList<>();
            for (int i = 1; i <= 6; i++) {
                int queued = i;
                CompletableFuture<Running.Answer> answer = new CompletableFuture<>();
                waiting.add(answer);
                new Thread(() -> complete(answer, () -> busy.post(outputsOf("__base__"), large))).start();
                await(() -> busy.meter("dl4jlora_queued") == queued);
            }
            assertThat(busy.service().intake().held()).isEqualTo(6 * 4L * Networks.IN * 4_000);
            assertThat(busy.post(outputsOf("__base__"), steps(8_000)).error(429)).contains("800000 bytes");
            assertThat(busy.get("/v1/models").status()).isEqualTo(200);

            assertThat(busy.post(outputsOf("__base__"), large).status()).isEqualTo(200);
            for (CompletableFuture<Running.Answer> answer : waiting) {
                answer.join().ok();
            }
            for (int i = 0; i < 10; i++) {
                busy.post(outputsOf("nobody"), large).error(404);
            }
            await(() -> busy.service().intake().held() == 0);
        }
    }

    /** One example of ones, {@code [1, IN, steps]}. */
    private static String steps(int steps) {
        String row = "[1" + ",1".repeat(steps - 1) + "]";
        return "{\"inputs\":[[" + row + ("," + row).repeat(Networks.IN - 1) + "]]}";
    }

    private static <T> void complete(CompletableFuture<T> answer, Callable<T> work) {
        try {
            answer.complete(work.call());
        } catch (Exception e) {
            answer.completeExceptionally(e);
        }
    }

    /** Whoever is in when the service ends is answered, whoever comes is not let in. */
    @Test
    void anEndingServiceAnswersWhoIsInAndNobodyElse(@TempDir Path none) throws Exception {
        Running ending = new Running(base, none);
        byte[] body = body(input).getBytes(StandardCharsets.UTF_8);
        String head = "POST " + outputsOf("__base__") + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: " + body.length + "\r\n";
        try (Socket in = new Socket("127.0.0.1", ending.address().getPort());
             Socket late = new Socket("127.0.0.1", ending.address().getPort())) {
            in.getOutputStream().write((head + "Expect: 100-continue\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
            late.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
            assertThat(line(in.getInputStream())).as("it is in").startsWith("HTTP/1.1 100");
            CompletableFuture<Void> end = CompletableFuture.runAsync(ending::close);
            await(ending.service()::isDraining);
            late.getOutputStream().write("\r\n".getBytes(StandardCharsets.US_ASCII));
            late.getOutputStream().write(body);
            String refused = new String(late.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(refused).startsWith("HTTP/1.1 503")
                    .contains("Connection: close", "Retry-After: 1", "{\"error\":{\"message\":", "server_error");

            Thread.sleep(1_500);
            assertThat(end).as("a body may pause").isNotDone();
            in.getOutputStream().write(body);
            String answer = new String(in.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(answer).contains("HTTP/1.1 200", "Connection: close", "\"outputs\":[[");
            end.join();
        }
        assertThatIOException().isThrownBy(() -> new Socket("127.0.0.1", ending.address().getPort()).close());
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int c = in.read(); c >= 0 && c != '\n'; c = in.read()) {
            line.append((char) c);
        }
        return line.toString();
    }

    @Test
    void aPortThatIsTakenIsSaid(@TempDir Path none) {
        assertThatIOException().isThrownBy(() -> new Running(base, none, config -> new ServiceConfig("127.0.0.1",
                running.address().getPort(), null, config.limits(), config.verifyEvery(), config.bankOptions())))
                .withMessageContaining(String.valueOf(running.address().getPort())).withMessageContaining("--port");
    }

    @Test
    void anAdapterThatIsBrokenOnDiskIsNotTheClientsFault(@TempDir Path folder) throws Exception {
        Files.createDirectory(folder.resolve("broken"));
        Files.writeString(folder.resolve("broken").resolve("adapter_model.safetensors"), "nonsense");
        try (Running running = new Running(base, folder)) {
            assertThat(running.post(outputsOf("broken"), body(input)).error(500)).contains("log says why")
                    .doesNotContain(folder.toString());
            assertThat(List.of(running.meter("dl4jlora_loads_failed_total"))).containsExactly(1.0);
        }
    }
}
