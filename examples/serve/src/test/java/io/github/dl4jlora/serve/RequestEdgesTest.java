package io.github.dl4jlora.serve;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;

import static io.github.dl4jlora.serve.Running.outputsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

/** How requests are framed, whom they are meant for, and bodies that would take more than their bytes. */
@Tag("serve")
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class RequestEdgesTest {

    private static final String BODY = "{\"inputs\":[[1,1,1,1,1,1]]}";
    private static final String OUTPUTS = "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: localhost\r\n"
            + "Content-Type: application/json\r\n";
    private static final int MOST_EXAMPLES = 50;

    @TempDir
    private static Path adapters;
    private static MultiLayerNetwork base;
    private static Running running;

    @BeforeAll
    static void start() throws IOException {
        base = Networks.dense(1);
        running = new Running(base, adapters, config -> new ServiceConfig(config.host(), 0, Running.TOKEN, config.limits(),
                config.verifyEvery(), bank -> bank.maxQueued(MOST_EXAMPLES),
                List.of("models.example.com", "Proxy.example.com:8443", "fd00::1", "[fd00::2]:8443")));
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    /** All that is answered to it until the service, or this client, ends the connection. */
    private static String raw(Running running, String request) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", running.address().getPort())) {
            socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
            socket.shutdownOutput();
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static String chunked(String body) {
        return Integer.toHexString(body.length()) + "\r\n" + body + "\r\n";
    }

    @ParameterizedTest
    @CsvSource({"localhost", "localhost:1", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080",
            "models.example.com", "Models.Example.com:443", "proxy.example.com:8443", "proxy.example.com", "[fd00::1]:80",
            "[fd00::2]"})
    void itMayBeAskedByItsOwnNames(String host) throws IOException {
        assertThat(raw(running, "GET /health HTTP/1.1\r\nHost: " + host + "\r\n\r\n")).startsWith("HTTP/1.1 200");
    }

    @ParameterizedTest
    @ValueSource(strings = {"*", "localhost", "Models.Example.com", "proxy.example.com:8443", "192.168.0.1", "fd00::1",
            "[fd00::2]:1", "my_proxy", "xn--mnchen-3ya.de"})
    void namesThatARequestCanHaveMayBeAllowed(String name) {
        assertThatCode(() -> Hosts.requireName(name)).doesNotThrowAnyException();
    }

    /** As a browser tells it to whom a stranger's page was shown whose name leads here. */
    @ParameterizedTest
    @CsvSource({"evil.example.com", "evil.example.com:8080", "localhost.example.com", "127.0.0.1.example.com", "192.168.0.1",
            "example.com", "127.0.0.2", "localhost@example.com"})
    void itMayNotBeAskedByOtherNames(String host) throws IOException {
        for (String line : List.of("GET /health", "GET /v1/models", "POST /v1/adapters/__base__/outputs", "DELETE /v1/adapters/a",
                "GET /nothing")) {
            assertThat(raw(running, line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")).as(line).startsWith("HTTP/1.1 4")
                    .doesNotStartWith("HTTP/1.1 404").contains("{\"error\":{\"message\":\"");
        }
    }

    @Test
    void whomARequestWasMeantForIsSaid() throws IOException {
        String answer = raw(running, "GET /health HTTP/1.1\r\nHost: evil.example.com\r\n\r\n");

        assertThat(answer).startsWith("HTTP/1.1 421")
                .contains("\\\"evil.example.com\\\"", "--allow-host evil.example.com", "host_not_allowed");
        assertThat(raw(running, "GET http://evil.example.com/health HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                .doesNotStartWith("HTTP/1.1 200");
        assertThat(raw(running, "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n"))
                .startsWith("HTTP/1.1 400");
        assertThat(raw(running, "GET /health HTTP/1.0\r\n\r\n")).as("no browser").startsWith("HTTP/1.1 200");
    }

    @Test
    void whereOthersMayAskAddressesWillDo(@TempDir Path none) throws IOException {
        try (Running open = new Running(base, none, config -> new ServiceConfig("0.0.0.0", 0, null, config.limits(),
                config.verifyEvery(), config.bankOptions()));
             Running any = new Running(base, none, config -> new ServiceConfig("127.0.0.1", 0, null, config.limits(),
                     config.verifyEvery(), config.bankOptions(), List.of("*")))) {
            for (String host : List.of("192.168.0.1:8080", "[fe80::1]", "localhost", "0.0.0.0")) {
                assertThat(raw(open, "GET /health HTTP/1.1\r\nHost: " + host + "\r\n\r\n")).as(host).startsWith("HTTP/1.1 200");
            }
            assertThat(raw(open, "GET /health HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")).startsWith("HTTP/1.1 421");
            assertThat(raw(any, "GET /health HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")).startsWith("HTTP/1.1 200");
        }
    }

    @Test
    void aBodyEndsAsItsFrameSays() throws IOException {
        String chunks = OUTPUTS + "Transfer-Encoding: chunked\r\n\r\n";

        assertThat(raw(running, chunks + chunked("{\"inputs\":[[1,1,1") + chunked(",1,1,1]]}") + "0\r\nX-Sum: 1\r\n\r\n"))
                .as("trailers").startsWith("HTTP/1.1 200");
        assertThat(raw(running, chunks + chunked(BODY))).as("no end").startsWith("HTTP/1.1 400");
        assertThat(raw(running, chunks + "nonsense\r\n")).as("no size").startsWith("HTTP/1.1 400");
        assertThat(raw(running, OUTPUTS + "Content-Length: 100\r\n\r\n" + BODY)).as("cut").startsWith("HTTP/1.1 400")
                .contains("ended before the request did");
    }

    /** Two programs would see two requests where one sees one. */
    @Test
    void aBodyWhoseFrameIsToldTwiceIsRefused() throws IOException {
        for (String headers : List.of("Content-Length: 26\r\nTransfer-Encoding: chunked\r\n",
                "Content-Length: 26\r\nContent-Length: 27\r\n", "Content-Length: -1\r\n", "Content-Length: 1x\r\n",
                "Transfer-Encoding: gzip\r\n")) {
            String answer = raw(running, OUTPUTS + headers + "\r\n" + BODY);
            assertThat(answer).as(headers).matches("(?s)HTTP/1\\.1 (400|501).*").contains("{\"error\":{\"message\":\"");
        }
    }

    /**
     * As CVE-2026-2332 has it: a proxy that reads a quoted line break as a part of the chunk's extension sees one request here,
     * and would let the second pass.
     */
    @ParameterizedTest
    @ValueSource(strings = {"/v1/adapters/__base__/outputs", "/nothing", "/health", "/v1/adapters/%2e%2e%2fa/outputs"})
    void whatFollowsChunksIsNoFurtherRequest(String path) throws IOException {
        String head = OUTPUTS.replace("/v1/adapters/__base__/outputs", path) + "Transfer-Encoding: chunked\r\n\r\n";
        String hidden = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

        for (String chunks : List.of("1;a=\"\r\n{\r\n0\r\n\r\n" + hidden + "\"\r\n{\r\n0\r\n\r\n",
                chunked(BODY) + "0\r\n\r\n" + hidden)) {
            String answer = raw(running, head + chunks);
            assertThat(answer.split("HTTP/1.1 ", -1)).as(answer).hasSize(2);
            assertThat(answer).contains("Connection: close").doesNotContain("\"ready\"");
        }
        assertThat(raw(running, OUTPUTS + "Content-Length: 26\r\n\r\n" + BODY)).doesNotContain("Connection: close");
    }

    @Test
    void aCompressedBodyIsRefused() throws Exception {
        ByteArrayOutputStream zipped = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(zipped)) {
            gzip.write(BODY.getBytes(StandardCharsets.UTF_8));
        }
        assertThat(running.post(outputsOf("__base__"), "application/json", zipped.toByteArray(), "Content-Encoding", "gzip")
                .error(415)).contains("\"gzip\"", "uncompressed");
        assertThat(running.send(running.request("/v1/adapters/a").header("Authorization", "Bearer " + Running.TOKEN)
                .header("Content-Type", "application/zip").header("Content-Encoding", "br")
                .PUT(HttpRequest.BodyPublishers.ofByteArray(new byte[9]))).error(415)).contains("\"br\"");
    }

    /** Before it has sent anything. */
    @Test
    void whoAsksWhetherToSendIsToldSo() throws IOException {
        String expect = "Expect: 100-continue\r\n";

        assertThat(raw(running, OUTPUTS + expect + "Content-Length: 26\r\n\r\n" + BODY)).contains("HTTP/1.1 200");
        assertThat(raw(running, OUTPUTS + expect + "Content-Length: 99999999\r\n\r\n")).startsWith("HTTP/1.1 413");
        assertThat(raw(running, OUTPUTS.replace("json", "xml") + expect + "Content-Length: 26\r\n\r\n"))
                .startsWith("HTTP/1.1 415");
        assertThat(raw(running, "PUT /v1/adapters/a HTTP/1.1\r\nHost: localhost\r\n" + expect + "Content-Length: 26\r\n\r\n"))
                .startsWith("HTTP/1.1 401");
    }

    @Test
    void severalRequestsMayComeOnAConnection() throws IOException {
        String asked = OUTPUTS + "Content-Length: 26\r\n\r\n" + BODY;
        assertThat(raw(running, asked.repeat(3) + "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").split("HTTP/1.1 200", -1))
                .as("pipelined").hasSize(5);

        String old = asked.replace("HTTP/1.1", "HTTP/1.0");
        assertThat(raw(running, old.replace("Content-Type", "Connection: keep-alive\r\nContent-Type").repeat(2))
                .split("HTTP/1.1 200", -1)).hasSize(3);
        assertThat(raw(running, old.repeat(2)).split("HTTP/1.1 200", -1)).as("not asked to stay").hasSize(2);
    }

    /** Two bytes of it would each be eight in memory, and more. */
    @Test
    void moreNumbersThanTheNetworkTakesAreRefused() throws Exception {
        String zeros = "0,".repeat(500_000) + "0";
        long most = (long) MOST_EXAMPLES * Networks.IN;
        for (String json : List.of("{\"inputs\":[[" + zeros + "]]}", "{\"inputs\":{\"input\":[" + zeros + "]}}",
                "{\"inputs\":[[1,1,1,1,1,1]],\"masks\":[[" + zeros + "]]}")) {
            assertThat(running.post(outputsOf("__base__"), json).error(400))
                    .contains("more than " + most + " numbers", "[examples, 6] and up to 50 examples");
        }
        String row = "[0,0,0,0,0,0],";
        assertThat(running.post(outputsOf("__base__"), "{\"inputs\":[" + row.repeat(MOST_EXAMPLES - 1) + "[0,0,0,0,0,0]]}")
                .status()).isEqualTo(200);
    }

    @Test
    void moreExamplesThanMayWaitAreRefusedInEveryForm() throws Exception {
        byte[] body = OutputsTest.binary(Map.of("input", Networks.input(1, MOST_EXAMPLES + 1, Networks.IN)));
        assertThat(running.post(outputsOf("__base__"), "application/safetensors", body).error(400))
                .contains("The request has 51 examples, but may have 50 at most");
        assertThat(running.post(outputsOf("__base__"), "application/safetensors",
                OutputsTest.binary(Map.of("input", Networks.input(1, MOST_EXAMPLES, Networks.IN)))).status()).isEqualTo(200);
    }

    @Test
    void inputsThatThereAreNotAreRefusedBeforeTheyAreRead() throws Exception {
        assertThat(running.post(outputsOf("__base__"), "{\"inputs\":{\"other\":[1, ").error(400))
                .contains("There is no input \"other\"; the network's are \"input\"");
        String name = "n".repeat(500_000);
        assertThat(running.post(outputsOf("__base__"), "{\"inputs\":{\"" + name + "\":[1]}}").error(400))
                .startsWith("There is no input \"nnn").hasSizeLessThan(1_100);
        assertThat(running.post(outputsOf("__base__"), "{\"inputs\":\"" + name + "\"}").error(400)).hasSizeLessThan(1_100);
        assertThat(running.post(outputsOf("__base__"), "{\"inputs\":" + "[".repeat(100_000)).error(400))
                .contains("more than 8 dimensions");
    }

    /** Numbers of 16 bits are as wide as the network's once they wait for it. */
    @Test
    void whatIsHeldIsCountedInTheNetworksType() {
        Features features = new Features(Map.of("a", Nd4j.zeros(DataType.HALF, 10, 6)),
                Map.of("a", Nd4j.zeros(DataType.DOUBLE, 10, 2)));

        assertThat(features.bytes(DataType.FLOAT)).isEqualTo(10 * 6 * 4 + 10 * 2 * 8);
    }

    @Test
    void aTensorFilesHeaderIsShort() throws Exception {
        for (long length : new long[] {(1 << 16) + 1, Long.MAX_VALUE, -1}) {
            byte[] body = ByteBuffer.allocate(1 << 18).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
            assertThat(running.post(outputsOf("__base__"), "application/safetensors", body).error(400))
                    .contains("header claims " + Long.toUnsignedString(length) + " bytes, but may have 65536");
        }
    }
}
