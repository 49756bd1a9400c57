package io.github.dl4jlora.serve;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

import static io.github.dl4jlora.serve.Running.assertSame;
import static org.assertj.core.api.Assertions.assertThat;

/** Many at a time, while adapters are replaced, and while others hang up. */
@Tag("serve")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class ManyClientsTest {

    private static final int CLIENTS = 12;
    private static final int REQUESTS = 40;
    private static final int REPLACEMENTS = 30;

    @TempDir
    private Path folder;
    @TempDir
    private Path adapters;
    private final MultiLayerNetwork base = Networks.dense(1);
    private final INDArray input = Networks.input(7, 2, Networks.IN);

    /** Of an adapter that is one of two all the time, an answer is one of these two. */
    @Test
    void everyAnswerIsThatOfASingleNetworkWhileAdaptersAreReplaced() throws Exception {
        byte[][] zips = new byte[2][];
        INDArray[] changing = {Networks.output(base, 1, input), Networks.output(base, 2, input)};
        for (int task = 1; task <= 2; task++) {
            Networks.adapter(base, task).save(folder.resolve("task-" + task));
            zips[task - 1] = Running.zip(folder.resolve("task-" + task));
        }
        Networks.adapter(base, 3).save(adapters.resolve("steady"));
        Networks.adapter(base, 1).save(adapters.resolve("changing"));
        INDArray steady = Networks.output(base, 3, input);
        INDArray none = base.output(input);
        AtomicBoolean replacing = new AtomicBoolean(true);
        try (Running running = new Running(base, adapters)) {
            List<Callable<Void>> work = new ArrayList<>();
            for (int client = 0; client < CLIENTS; client++) {
                int number = client;
                work.add(() -> {
                    for (int i = 0; i < REQUESTS || replacing.get(); i++) {
                        switch ((i + number) % 3) {
                            case 0 -> assertSame(running.outputs("steady", input), steady);
                            case 1 -> assertSame(running.outputs("__base__", input), none);
                            default -> assertOneOf(running.outputs("changing", input), changing);
                        }
                    }
                    return null;
                });
            }
            work.add(() -> {
                for (int i = 1; i <= REPLACEMENTS; i++) {
                    assertThat(running.put("/v1/adapters/changing", zips[i % 2]).status()).isEqualTo(200);
                    // Whoever asks after that gets the new one.
                    assertSame(running.outputs("changing", input), changing[i % 2]);
                }
                replacing.set(false);
                return null;
            });
            inParallel(work, replacing);
        }
    }

    private static void assertOneOf(INDArray actual, INDArray[] expected) {
        assertThat(expected).anyMatch(one -> actual.sub(one).amaxNumber().doubleValue() < 1e-5);
    }

    private static void inParallel(List<Callable<Void>> work, AtomicBoolean untilThis) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(work.size());
        try {
            List<Future<Void>> all = work.stream().map(threads::submit).toList();
            for (int i = all.size() - 1; i >= 0; i--) {
                try {
                    all.get(i).get();
                } finally {
                    untilThis.set(false);
                }
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void whoHangsUpDisturbsNobody() throws Exception {
        Networks.adapter(base, 1).save(adapters.resolve("spam"));
        Networks.adapter(base, 1).save(folder.resolve("zip"));
        byte[] zip = Running.zip(folder.resolve("zip"));
        byte[] json = ("{\"inputs\": " + Running.json(input) + "}").getBytes(StandardCharsets.UTF_8);
        try (Running running = new Running(base, adapters)) {
            for (int i = 0; i < 100; i++) {
                boolean uploads = i % 2 == 0;
                byte[] body = uploads ? zip : json;
                try (Socket socket = new Socket("127.0.0.1", running.address().getPort())) {
                    socket.getOutputStream().write(((uploads ? "PUT /v1/adapters/half HTTP/1.1\r\n"
                            + "Content-Type: application/zip\r\nAuthorization: Bearer " + Running.TOKEN
                            : "POST /v1/adapters/spam/outputs HTTP/1.1\r\nContent-Type: application/json")
                            + "\r\nHost: localhost\r\nContent-Length: " + body.length + "\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
                    // From nothing of the body to all of it, whose answer nobody reads.
                    socket.getOutputStream().write(body, 0, (int) ((long) body.length * (i / 2) / 49));
                    socket.setSoLinger(i % 4 < 2, 0);
                }
            }
            assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
            Running.await(() -> adapters.resolve(".dl4j-lora").resolve("staged").toFile().list().length == 0
                    && running.meter("dl4jlora_queued") == 0);
            assertThat(running.get("/health").status()).isEqualTo(200);
        }
    }
}
