package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.BankConfig;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import javax.management.ObjectName;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

import static io.github.dl4jlora.serve.Running.assertSame;
import static io.github.dl4jlora.serve.Running.await;
import static io.github.dl4jlora.serve.Running.outputsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

/** Clients that send slowly, read slowly, or stay: others are answered while they are there, and they are sent away. */
@Tag("serve")
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class HostileClientsTest {

    private static final String CHUNKED = "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: localhost\r\n"
            + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    private static final String SIZED = "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: localhost\r\n"
            + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    private static final String UPLOAD = "PUT /v1/adapters/spam HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/zip\r\n"
            + "Authorization: Bearer " + Running.TOKEN + "\r\nContent-Length: 100\r\n\r\n";
    private static final Duration AN_HOUR = Duration.ofHours(1);
    private static final Pace PATIENT = new Pace(AN_HOUR, 1);
    private static final Pace IMPATIENT = new Pace(Duration.ofMillis(100), 1 << 20);
    /** More than there once were threads. */
    private static final int MANY = 80;

    @TempDir
    private Path adapters;
    private final MultiLayerNetwork base = Networks.dense(1);
    private final INDArray input = Networks.input(7, 1, Networks.IN);
    private final List<Socket> sockets = new ArrayList<>();

    @AfterEach
    void leave() throws IOException {
        for (Socket socket : sockets) {
            socket.close();
        }
    }

    private Running running(Limits limits) throws IOException {
        return running(base, limits, bank -> bank);
    }

    private Running running(MultiLayerNetwork network, Limits limits, UnaryOperator<BankConfig.Builder> bank)
            throws IOException {
        return new Running(network, adapters, config -> new ServiceConfig(config.host(), 0, Running.TOKEN, limits,
                config.verifyEvery(), bank));
    }

    private static Limits patient(long maxBody) {
        return new Limits(maxBody, 1 << 20, AN_HOUR, PATIENT, 4 * MANY);
    }

    private Socket open(Running running, String sent) throws IOException {
        Socket socket = new Socket("127.0.0.1", running.address().getPort());
        sockets.add(socket);
        socket.getOutputStream().write(sent.getBytes(StandardCharsets.US_ASCII));
        return socket;
    }

    private static String rest(Socket socket) throws IOException {
        return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    private void assertServes(Running running) throws Exception {
        assertThat(running.get("/health").ok().get("status").asText()).isEqualTo("ready");
        assertThat(running.get("/metrics").status()).isEqualTo(200);
        assertSame(running.outputs("__base__", input), base.output(input));
        byte[] body = ("{\"inputs\": " + Running.json(input) + "}").getBytes(StandardCharsets.UTF_8);
        assertThat(running.send(running.request(outputsOf("__base__")).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body)))).status())
                .as("chunked").isEqualTo(200);
    }

    /** Eight such bodies took all that there was. */
    @Test
    void aBodyOfUnknownLengthHoldsWhatHasArrived() throws Exception {
        try (Running running = running(patient(100_000))) {
            for (int i = 0; i < MANY; i++) {
                open(running, CHUNKED + "1\r\n{\r\n");
            }
            await(() -> running.service().intake().held() == MANY);
            open(running, CHUNKED + "a\r\n{\"inputs\":\r\n");
            await(() -> running.service().intake().held() == MANY + 10);
            assertServes(running);

            leave();
            await(() -> running.service().intake().held() == 0);
        }
    }

    /** Jetty keeps what it told of the body for as long as the connection stays open, which may be for good. */
    @Test
    void whoStaysAfterTheAnswerHoldsNothingOfTheBody() throws Exception {
        try (Running running = running(patient(100_000))) {
            Socket socket = open(running, SIZED + "{");
            await(HostileClientsTest::areBodiesInMemory);
            socket.getOutputStream().write(("\"inputs\":[[1,1,1,1,1,1]]}" + " ".repeat(74)).getBytes(StandardCharsets.US_ASCII));
            assertThat(socket.getInputStream().readNBytes(12)).asString().isEqualTo("HTTP/1.1 200");

            await(() -> !areBodiesInMemory());
            assertThat(running.service().connections().count()).isEqualTo(1);
        }
    }

    /** Collects garbage first. */
    private static boolean areBodiesInMemory() throws Exception {
        String classes = (String) ManagementFactory.getPlatformMBeanServer().invoke(
                new ObjectName("com.sun.management:type=DiagnosticCommand"), "gcClassHistogram", new Object[] {null},
                new String[] {String[].class.getName()});
        return classes.lines().anyMatch(line -> line.endsWith(" " + Blocks.class.getName()));
    }

    /** A thread waited for each of them, and there were 64. */
    @Test
    void whoSendsSlowlyKeepsNobodyElseWaiting() throws Exception {
        try (Running running = running(patient(100_000))) {
            for (int i = 0; i < MANY; i++) {
                open(running, SIZED + "{");
            }
            for (int i = 0; i < MANY; i++) {
                open(running, UPLOAD + "P");
            }
            for (int i = 0; i < MANY; i++) {
                open(running, "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: localhost\r\nContent-");
            }
            await(() -> running.service().connections().count() >= 3 * MANY && running.service().intake().held() == MANY);
            assertServes(running);
        }
    }

    /** Each asks for megabytes that it does not read. */
    @Test
    void whoReadsSlowlyKeepsNobodyElseWaiting() throws Exception {
        String page = "GET / HTTP/1.1\r\nHost: localhost\r\n";
        String pages = "http_server_requests_seconds_count{method=\"GET\",status=\"200\",uri=\"/\"}";
        try (Running running = running(patient(100_000))) {
            List<Socket> silent = new ArrayList<>();
            for (int i = 0; i < MANY; i++) {
                silent.add(open(running, (page + "\r\n").repeat(499) + page + "Connection: close\r\n\r\n"));
            }
            double[] sent = {-1};
            await(() -> {
                double before = sent[0];
                Thread.sleep(100);
                sent[0] = running.meter(pages);
                return sent[0] >= MANY && sent[0] == before;
            });
            assertServes(running);
            assertThat(sent[0]).as("answers are kept back").isLessThan(500 * MANY);
            assertThat(rest(silent.get(0)).split("HTTP/1.1 200", -1)).hasSize(501);
        }
    }

    @Test
    void whoSendsTooSlowlyIsSentAwayWithASentence() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, IMPATIENT, 100))) {
            for (String sent : List.of(CHUNKED + "1\r\n{\r\n", CHUNKED, SIZED + "{", SIZED, UPLOAD + "P",
                    "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: loc", "G")) {
                assertThat(rest(open(running, sent))).as(sent).startsWith("HTTP/1.1 408").contains("Connection: close")
                        .contains("{\"error\":{\"message\":\"The request took too long to arrive.");
            }
            await(() -> running.service().intake().held() == 0);
            assertThat(adapters.resolve(".dl4j-lora").resolve("staged")).isEmptyDirectory();
        }
    }

    /** Each byte gives it a microsecond more, not another time. */
    @Test
    void whoTricklesIsSentAwayToo() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, IMPATIENT, 100))) {
            for (String sent : List.of(CHUNKED + "1\r\n{\r\n", "GET /health HTTP/1.1\r\nX: ")) {
                Socket socket = open(running, sent);
                Thread trickle = new Thread(() -> {
                    try {
                        while (true) {
                            socket.getOutputStream().write(sent.startsWith("G") ? "y".getBytes() : "1\r\n \r\n".getBytes());
                            Thread.sleep(5);
                        }
                    } catch (IOException | InterruptedException e) {
                        // It was sent away.
                    }
                });
                trickle.start();
                assertThat(socket.getInputStream().readNBytes(12)).asString().isEqualTo("HTTP/1.1 408");
                trickle.join();
            }
        }
    }

    /** Sizes of chunks, and what may stand behind them, may be of any length: no byte of the body ever comes. */
    @Test
    void whoSendsWhatIsNoBodyIsSentAwayToo() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, IMPATIENT, 100))) {
            for (String sent : List.of("1;name=", "0")) {
                Socket socket = open(running, CHUNKED + sent);
                byte[] more = "0".repeat(1 << 16).getBytes(StandardCharsets.US_ASCII);
                assertThatIOException().isThrownBy(() -> {
                    while (true) {
                        socket.getOutputStream().write(more);
                    }
                });
            }
            await(() -> running.service().connections().count() == 0);
        }
    }

    @Test
    void whoDoesNotReadTheAnswerIsSentAway() throws Exception {
        String body = "{\"inputs\":[" + "[1,1,1,1,1,1],".repeat(300_000) + "[1,1,1,1,1,1]]}";
        try (Running running = running(base, new Limits(20 << 20, 1 << 20, AN_HOUR,
                new Pace(Duration.ofSeconds(20), 64 << 20), 100), bank -> bank.maxQueued(1_000_000))) {
            open(running, "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Content-Length: " + body.length() + "\r\n\r\n" + body);
            await(() -> running.service().intake().held() > 0);
            await(() -> running.service().intake().held() == 0);
        }
    }

    /** Who has sent a part of a large body, and no more for a second, makes room for who sends now. */
    @Test
    void whereMemoryIsShortWhoKeepsItWaitingGoesFirst() throws Exception {
        try (Running running = running(patient(100_000))) {
            String most = "1869f\r\n" + " ".repeat(99_999) + "\r\n";
            List<Socket> large = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                large.add(open(running, CHUNKED + most));
            }
            await(() -> running.service().intake().held() == 8 * 99_999);
            String body = "{\"inputs\":[[1,1,1,1,1,1]]" + " ".repeat(50_000) + "}";
            await(() -> running.post(outputsOf("__base__"), body).status() == 200);

            // One of them is told so, maybe a little later.
            await(() -> large.stream().anyMatch(HostileClientsTest::isTold));
            List<Socket> told = large.stream().filter(HostileClientsTest::isTold).toList();
            assertThat(told).hasSize(1);
            assertThat(told.get(0).getInputStream().readNBytes(12)).asString().isEqualTo("HTTP/1.1 429");
        }
    }

    private static boolean isTold(Socket socket) {
        try {
            return socket.getInputStream().available() > 0;
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Two that opened at once chose the same one to go, and one too many stayed for good. */
    @Test
    void connectionsThatOpenAtOnceStayWithinTheBoundToo() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, PATIENT, 10))) {
            List<Socket> opened = IntStream.range(0, 8).parallel().mapToObj(thread -> IntStream.range(0, 100)
                    .mapToObj(i -> connected(running)).toList()).flatMap(List::stream).toList();
            sockets.addAll(opened);
            await(() -> running.service().connections().count() <= 10);
        }
    }

    /** A connection that opens while the service begins to stop would keep it for as long as a request may take. */
    @Test
    void connectionThatOpensWhileTheServiceStopsDoesNotKeepIt() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, PATIENT, 10))) {
            running.service().connections().drain();

            assertThat(open(running, "").getInputStream().read()).isEqualTo(-1);
        }
    }

    /** Who has begun a request is told, once that is noticed. */
    @Test
    void whoMakesRoomIsToldToComeAgain() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, PATIENT, 1))) {
            String[] told = {""};
            await(() -> {
                Socket begun = open(running, "GET /hea");
                Thread.sleep(300);
                open(running, "");
                try {
                    told[0] = rest(begun);
                } catch (IOException e) {
                    // It was not noticed.
                }
                return !told[0].isEmpty();
            });
            assertThat(told[0]).startsWith("HTTP/1.1 503").contains("Retry-After: 1\r\n", "There are 1 connections already");
        }
    }

    /** Proxies keep connections for a minute, whatever the service's --timeout is. */
    @Test
    void whoAsksForNothingMayStayLongerThanARequestMayTake() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, Duration.ofMillis(100), PATIENT, 10))) {
            Socket socket = open(running, "");
            Thread.sleep(5_500);
            socket.getOutputStream().write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            assertThat(socket.getInputStream().readNBytes(12)).asString().isEqualTo("HTTP/1.1 200");
        }
    }

    private static Socket connected(Running running) {
        try {
            return new Socket("127.0.0.1", running.address().getPort());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void whereThereAreTooManyConnectionsWhoAsksForNothingMakesRoom() throws Exception {
        try (Running running = running(new Limits(1 << 20, 1 << 20, AN_HOUR, PATIENT, 10))) {
            Socket body = open(running, SIZED + "{");
            await(() -> running.service().intake().held() == 1);
            Socket idle = open(running, "");
            await(() -> running.service().connections().count() == 2);
            for (int i = 0; i < 30; i++) {
                open(running, "GET /hea");
            }
            assertThat(idle.getInputStream().read()).isEqualTo(-1);
            assertServes(running);
            await(() -> running.service().connections().count() <= 11);

            body.getOutputStream().write(("\"inputs\":[[1,1,1,1,1,1]]}" + " ".repeat(74)).getBytes(StandardCharsets.US_ASCII));
            assertThat(body.getInputStream().readNBytes(12)).asString().isEqualTo("HTTP/1.1 200");
        }
    }
}
