package io.github.dl4jlora.serve;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.serve.trial.ServedProcess;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

import static io.github.dl4jlora.serve.Running.assertSame;
import static org.assertj.core.api.Assertions.assertThat;

/** The command as a process: it ends when it is told to, and whenever it is killed its adapters are whole. */
@Tag("serve")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class ServeProcessTest {

    private static final List<String> JVM = List.of("-Xmx512m");
    private static final int KILLS = 3;
    private static final int TASKS = 4;

    @TempDir
    private Path folder;
    private final MultiLayerNetwork base = Networks.dense(1);
    private final INDArray input = Networks.input(7, 1, Networks.IN);

    private Path saved() throws IOException {
        Path file = folder.resolve("base.zip");
        ModelSerializer.writeModel(base, file.toFile(), false);
        return file;
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "Windows has no SIGTERM to send")
    void aSignalEndsItWhenWhoIsInHasHisAnswer() throws Exception {
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        Networks.adapter(base, 1).save(adapters.resolve("spam"));
        ServedProcess served = ServedProcess.start(JVM, ServedProcess.TOKEN, saved(), adapters, "--timeout", "10m");
        Running client = new Running(served.address());
        assertSame(client.outputs("spam", input), Networks.output(base, 1, input));
        byte[] body = ("{\"inputs\": " + Running.json(input) + "}").getBytes(StandardCharsets.UTF_8);
        try (Socket in = new Socket("127.0.0.1", served.address().getPort())) {
            in.getOutputStream().write(("POST /v1/adapters/spam/outputs HTTP/1.1\r\nHost: localhost\r\n"
                    + "Content-Type: application/json\r\nContent-Length: " + body.length + "\r\nExpect: 100-continue\r\n\r\n")
                    .getBytes(StandardCharsets.US_ASCII));
            assertThat(in.getInputStream().read()).as("it is in").isEqualTo('H');

            served.signal();
            Running.await(() -> !isOpen(served.address().getPort()));
            assertThat(served.process().isAlive()).isTrue();
            in.getOutputStream().write(body);
            assertThat(new String(in.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                    .contains("HTTP/1.1 200", "\"outputs\":[[");
        }
        assertThat(served.process().waitFor()).isZero();
        assertThat(served.said()).containsExactly("Ended.");
    }

    private static boolean isOpen(int port) {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            return socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    /** Adapters are replaced all the time by four clients, until it is killed; what is there is one of those that were sent. */
    @Test
    void whenItIsKilledWhileAdaptersComeTheyAreWhole() throws Exception {
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        Path file = saved();
        byte[][] zips = new byte[TASKS][];
        LoRAAdapter[] tasks = new LoRAAdapter[TASKS];
        for (int task = 0; task < TASKS; task++) {
            tasks[task] = Networks.adapter(base, task);
            tasks[task].save(folder.resolve("task-" + task));
            zips[task] = Running.zip(folder.resolve("task-" + task));
        }
        for (int kill = 0; kill < KILLS; kill++) {
            ServedProcess served = ServedProcess.start(JVM, ServedProcess.TOKEN, file, adapters);
            AtomicInteger sent = new AtomicInteger();
            List<CompletableFuture<Void>> clients = Stream.of("a", "b", "a", "c").map(name -> CompletableFuture.runAsync(() ->
                    putUntilItEnds(new Running(served.address()), name, zips, sent))).toList();
            while (sent.get() < 20 + 7 * kill) {
                Thread.sleep(1);
            }
            served.kill();
            clients.forEach(CompletableFuture::join);
        }

        ServedProcess last = ServedProcess.start(JVM, ServedProcess.TOKEN, file, adapters);
        try {
            Running client = new Running(last.address());
            for (String name : List.of("a", "b", "c")) {
                LoRAAdapter there = LoRAAdapter.load(adapters.resolve(name));
                assertThat(Stream.of(tasks).filter(task -> there.cosine(task) > 0.999999)).as(name).hasSize(1);
                client.outputs(name, input);
            }
            try (Stream<Path> left = Files.walk(adapters.resolve(".dl4j-lora"))) {
                assertThat(left.map(path -> path.getFileName().toString()))
                        .containsExactlyInAnyOrder(".dl4j-lora", "staged", "gone", "lock");
            }
        } finally {
            last.kill();
        }
    }

    private static void putUntilItEnds(Running client, String name, byte[][] zips, AtomicInteger sent) {
        for (int i = 0; ; i++) {
            try {
                assertThat(client.put("/v1/adapters/" + name, zips[i % TASKS]).status()).isBetween(200, 201);
                sent.incrementAndGet();
            } catch (IOException e) {
                return;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
