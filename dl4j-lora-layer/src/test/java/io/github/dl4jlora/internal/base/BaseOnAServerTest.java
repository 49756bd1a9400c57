package io.github.dl4jlora.internal.base;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A base on a server that is slow, hostile, or wants to know who asks. */
@MayHang
class BaseOnAServerTest {

    private static final INDArray X = Networks.random(DataType.FLOAT, 3, 4, Networks.IN);
    private static long seed = 3000;

    @TempDir
    private Path directory;
    private final ComputationGraph base = Networks.trainedGraph();
    private HttpServer server;
    private byte[] file;

    @BeforeEach
    void start() throws IOException {
        base.fit(Networks.data(DataType.FLOAT, 4, ++seed));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        ModelSerializer.writeModel(base, bytes, false);
        file = bytes.toByteArray();
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
        System.clearProperty(BaseFile.TIMEOUT);
        System.clearProperty(BaseFile.LIMIT);
        System.clearProperty(BaseFile.SCHEMES);
    }

    private URI at(String path) {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + path);
    }

    private void answer(String path, int code, byte[] content) {
        server.createContext(path, (HttpExchange exchange) -> {
            exchange.sendResponseHeaders(code, content.length == 0 ? -1 : content.length);
            exchange.getResponseBody().write(content);
            exchange.close();
        });
    }

    /** A network that has not the base, as its JSON says; the base itself moves on. */
    private ComputationGraph elsewhere(URI location) {
        String json = LoRA.apply(base, LoRAConfig.builder().rank(2).baseLocation(location).build()).getConfiguration().toJson();
        return elsewhere(json);
    }

    private ComputationGraph elsewhere(String json) {
        base.params().muli(2);
        return Networks.of(ComputationGraphConfiguration.fromJson(json));
    }

    @Test
    void aBaseIsReadOverHttp() {
        answer("/base.zip", 200, file);
        INDArray expected = base.outputSingle(X).dup();

        assertThat(LoRA.unload(elsewhere(at("/base.zip"))).outputSingle(X)).isEqualTo(expected);
    }

    @ParameterizedTest
    @ValueSource(strings = {"file", "file,https", ""})
    void aServerIsNotAskedWhereItsSchemeIsNotAllowed(String allowed) {
        AtomicInteger asked = new AtomicInteger();
        server.createContext("/base.zip", exchange -> asked.incrementAndGet());
        System.setProperty(BaseFile.SCHEMES, allowed);

        assertThatThrownBy(() -> elsewhere(at("/base.zip")).outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll(at("/base.zip").toString(), "only locations of the schemes \"" + allowed + "\"",
                        "-Ddl4jlora.base.schemes=http");
        assertThat(asked).hasValue(0);
    }

    /** The JDK's handler of files asks a foreign host by FTP. */
    @ParameterizedTest
    @ValueSource(strings = {"FILE://127.0.0.2/base.zip", "file://127.0.0.3/base.zip", "file:////127.0.0.2/base.zip"})
    void aFileOfAnotherMachineIsNoFile(String location) {
        System.setProperty(BaseFile.SCHEMES, "file");

        assertThatThrownBy(() -> elsewhere(URI.create(location)).outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(location).satisfies(refusal -> assertThat(refusal.getMessage())
                        .containsAnyOf("it is not a file on this machine", "only locations of the schemes \"file\" are opened"));
    }

    @Test
    void aServerIsAskedWhereItsSchemeIsAllowed() {
        answer("/base.zip", 200, file);
        System.setProperty(BaseFile.SCHEMES, "https, HTTP");
        INDArray expected = base.outputSingle(X).dup();

        assertThat(LoRA.unload(elsewhere(at("/base.zip"))).outputSingle(X)).isEqualTo(expected);
    }

    @Test
    @Tag("heavy")
    void aServerThatHangsKeepsNobodyElseWaitingAndIsGivenUp() throws Exception {
        System.setProperty(BaseFile.TIMEOUT, "120");
        Path local = directory.resolve("base.zip");
        Files.write(local, file);
        String config = LoRA.apply(base, LoRAConfig.builder().rank(2).baseLocation(local.toUri()).build()).getConfiguration()
                .toJson();
        CountDownLatch asked = new CountDownLatch(1);
        server.createContext("/hangs.zip", exchange -> asked.countDown());
        ComputationGraph stuck = elsewhere(at("/hangs.zip"));
        ComputationGraph served = elsewhere(config);

        CompletableFuture<INDArray> waiting = CompletableFuture.supplyAsync(() -> stuck.outputSingle(X));
        assertThat(asked.await(10, TimeUnit.MINUTES)).isTrue();

        assertThat(served.outputSingle(X).rows()).isEqualTo(4);
        assertThat(waiting).isNotDone();
        assertThatThrownBy(() -> waiting.get(10, TimeUnit.MINUTES)).isInstanceOf(ExecutionException.class)
                .cause().isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll(at("/hangs.zip").toString(), "timed out");
    }

    @Test
    void aServerThatAcceptsAndSaysNothingIsGivenUp() throws IOException {
        System.setProperty(BaseFile.TIMEOUT, "1");
        try (ServerSocket silent = new ServerSocket(0)) {
            URI location = URI.create("http://localhost:" + silent.getLocalPort() + "/base.zip");

            assertThatThrownBy(() -> elsewhere(location).outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                    .hasMessageContainingAll(location.toString(), "timed out");
        }
    }

    @Test
    void aFileWithoutEndIsGivenUpAndLeavesNothingBehind(@TempDir Path temporary) {
        System.setProperty(BaseFile.LIMIT, "1000000");
        server.createContext("/endless.zip", exchange -> {
            exchange.sendResponseHeaders(200, 0);
            while (true) {
                exchange.getResponseBody().write(new byte[1 << 16]);
            }
        });
        // Other JVMs fetch bases into the system's.
        String shared = System.setProperty("java.io.tmpdir", temporary.toString());
        try {
            assertThatThrownBy(() -> elsewhere(at("/endless.zip")).outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                    .hasMessageContainingAll("/endless.zip", "longer than 1000000 bytes", BaseFile.LIMIT);
        } finally {
            System.setProperty("java.io.tmpdir", shared);
        }
        assertThat(temporary).isEmptyDirectory();
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-3", "soon"})
    void aSettingThatIsNoNumberIsNamed(String value) {
        System.setProperty(BaseFile.TIMEOUT, value);

        assertThatThrownBy(() -> elsewhere(at("/base.zip")).outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll(BaseFile.TIMEOUT, "\"" + value + "\"");
    }

    @ParameterizedTest
    @ValueSource(ints = {401, 403, 404, 500, 503})
    void whatTheServerAnswersIsSaid(int code) {
        answer("/base.zip", code, new byte[0]);

        assertThatThrownBy(() -> elsewhere(at("/base.zip")).outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll(at("/base.zip").toString(), "answered " + code);
    }

    @ParameterizedTest
    @ValueSource(strings = {"https://jane:hunter22@host/base.zip", "https://ghp_hunter22@host/base.zip",
        "https://host/base.zip?sig=hunter22"})
    void credentialsInALocationAreRefusedAndNotRepeated(URI location) {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAConfig.builder().baseLocation(location))
                .withMessageContainingAll("user info or a query", "BaseOpener", "host/base.zip")
                .matches(e -> !e.getMessage().contains("hunter22"), "keeps the secret");
    }

    /** Version 0.1.0 took them; such a network still finds its base, but hands the secret on to nobody. */
    @ParameterizedTest
    @ValueSource(ints = {200, 403, 404})
    void credentialsInAnOldConfigurationWorkAndStayWhereTheyAre(int code) {
        answer("/base.zip", code, code == 200 ? file : new byte[0]);
        String plain = at("/base.zip").toString();
        String json = LoRA.apply(base, LoRAConfig.builder().rank(2).baseLocation(at("/base.zip")).build()).getConfiguration()
                .toJson();
        String old = json.replace(plain, plain.replace("//", "//jane:hunter22@") + "?token=hunter33");
        assertThat(old).contains("hunter22", "hunter33");
        INDArray expected = base.outputSingle(X).dup();

        ComputationGraph network = elsewhere(old);

        assertThat(network.getConfiguration().toJson()).contains(plain).doesNotContain("hunter");
        if (code == 200) {
            assertThat(LoRA.unload(network).outputSingle(X)).isEqualTo(expected);
        } else {
            assertThatThrownBy(() -> network.outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                    .hasMessageContainingAll("base.zip", "answered " + code)
                    .satisfies(e -> assertThat(trace(e)).doesNotContain("hunter"));
        }
    }

    private static String trace(Throwable e) {
        StringWriter text = new StringWriter();
        e.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}
