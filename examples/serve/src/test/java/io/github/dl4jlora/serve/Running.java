package io.github.dl4jlora.serve;

import io.github.dl4jlora.serve.trial.ServedProcess;
import io.github.dl4jlora.serve.trial.Uploads;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.UnaryOperator;

import static org.assertj.core.api.Assertions.assertThat;

/** A service on a free port, and a client of it. */
final class Running implements AutoCloseable {

    static final String TOKEN = ServedProcess.TOKEN;
    static final ObjectMapper JSON = new ObjectMapper();
    /** Against a service that hangs; nothing here takes a hundredth of it. */
    static final Duration PATIENCE = Duration.ofMinutes(5);

    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final Service service;
    private final URI address;

    /** An answer. */
    record Answer(int status, Map<String, String> headers, byte[] body) {

        JsonNode json() throws IOException {
            return JSON.readTree(body);
        }

        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }

        /** Of an answer that says what is wrong, in the form of OpenAI's. */
        String error(int status) throws IOException {
            assertThat(this.status).as(text()).isEqualTo(status);
            assertThat(headers.get("content-type")).isEqualTo("application/json");
            JsonNode error = json().get("error");
            assertThat(error.get("type").asText()).as(text()).isNotEmpty();
            assertThat(error.has("param") && error.has("code")).as(text()).isTrue();
            return error.get("message").asText();
        }

        JsonNode ok() throws IOException {
            assertThat(status).as(text()).isBetween(200, 201);
            return json();
        }
    }

    Running(Model base, Path adapters) throws IOException {
        this(base, adapters, config -> config);
    }

    Running(Model base, Path adapters, UnaryOperator<ServiceConfig> change) throws IOException {
        this(Service.start(base, "base.zip", TextModels.NONE, adapters, change.apply(config(TOKEN))));
    }

    Running(Service service) {
        this.service = service;
        this.address = service.address();
    }

    /** A client of a service of another process. */
    Running(URI address) {
        this.service = null;
        this.address = address;
    }

    static ServiceConfig config(String token) {
        return new ServiceConfig("127.0.0.1", 0, token, new Limits(1 << 20, 4 << 20, PATIENCE), Duration.ofHours(1),
                UnaryOperator.identity());
    }

    URI address() {
        return address;
    }

    Service service() {
        return service;
    }

    Answer get(String path) throws Exception {
        return send(request(path).GET());
    }

    Answer post(String path, String type, byte[] body, String... headers) throws Exception {
        HttpRequest.Builder request = request(path).header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofByteArray(body));
        return send(headers.length == 0 ? request : request.headers(headers));
    }

    Answer post(String path, String json) throws Exception {
        return post(path, "application/json", json.getBytes(StandardCharsets.UTF_8));
    }

    /** As who may change things. */
    Answer put(String path, String type, byte[] body) throws Exception {
        return send(request(path).header("Authorization", "Bearer " + TOKEN).header("Content-Type", type)
                .PUT(HttpRequest.BodyPublishers.ofByteArray(body)));
    }

    Answer put(String path, byte[] zip) throws Exception {
        return put(path, "application/zip", zip);
    }

    Answer delete(String path) throws Exception {
        return send(request(path).header("Authorization", "Bearer " + TOKEN).DELETE());
    }

    HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(address.resolve(path)).timeout(PATIENCE);
    }

    Answer send(HttpRequest.Builder request) throws Exception {
        HttpResponse<byte[]> response = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        Map<String, String> headers = new LinkedHashMap<>();
        response.headers().map().forEach((name, values) -> headers.put(name.toLowerCase(), values.get(0)));
        return new Answer(response.statusCode(), headers, response.body());
    }

    /** Of a network with one input and one output. */
    INDArray outputs(String adapter, INDArray input) throws Exception {
        return array(post(outputsOf(adapter), "{\"inputs\": " + json(input) + "}").ok().get("outputs"));
    }

    static String outputsOf(String adapter) {
        return "/v1/adapters/" + URLEncoder.encode(adapter, StandardCharsets.UTF_8).replace("+", "%20") + "/outputs";
    }

    /** A number that a meter tells; 0 where there is no such meter yet. */
    double meter(String name) throws Exception {
        return get("/metrics").text().lines().filter(line -> line.startsWith(name + " ")).findFirst()
                .map(line -> Double.parseDouble(line.substring(name.length() + 1))).orElse(0.0);
    }

    static String json(INDArray array) throws IOException {
        return JSON.writeValueAsString(array.rank() == 2 ? array.toFloatMatrix() : floats(array));
    }

    private static float[][][] floats(INDArray array) {
        float[][][] values = new float[(int) array.size(0)][][];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.slice(i).toFloatMatrix();
        }
        return values;
    }

    static INDArray array(JsonNode lists) throws IOException {
        return lists.get(0).get(0).isArray() ? Nd4j.createFromArray(JSON.treeToValue(lists, float[][][].class))
                : Nd4j.createFromArray(JSON.treeToValue(lists, float[][].class));
    }

    static byte[] zip(Path adapter) throws IOException {
        return Uploads.zip(Uploads.files(adapter));
    }

    /** Until it is so; a service that does not get there lets the test run into its time limit. */
    static void await(Callable<Boolean> condition) throws Exception {
        while (!condition.call()) {
            Thread.sleep(5);
        }
    }

    static void assertSame(INDArray actual, INDArray expected) {
        assertThat(actual.shape()).isEqualTo(expected.shape());
        assertThat(actual.sub(expected).amaxNumber().doubleValue()).isLessThan(1e-5);
    }

    @Override
    public void close() {
        if (service != null) {
            service.close();
        }
    }
}
