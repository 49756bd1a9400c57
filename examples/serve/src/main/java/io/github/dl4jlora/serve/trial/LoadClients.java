package io.github.dl4jlora.serve.trial;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** Clients that ask for one row, wait for the answer, and ask again, each on a connection that it keeps. */
final class LoadClients {

    private static final double TAIL = 0.95;

    private final ServedProcess service;
    private final int count;
    private final byte[] body;

    /**
     * Their measurements.
     *
     * @param rate answers a second
     * @param half milliseconds within which half of the answers came
     * @param tail milliseconds within which 95 % of the answers came
     * @param work the service's processor time for an answer, in milliseconds: other load on the machine changes it little
     */
    record Found(double rate, double half, double tail, double work) {
    }

    /** @param body as safetensors */
    LoadClients(ServedProcess service, int count, byte[] body) {
        this.service = service;
        this.count = count;
        this.body = body;
    }

    private byte[] request(String adapter) {
        return Connection.request("POST", "/v1/adapters/" + adapter + "/outputs", Rows.SAFETENSORS, body);
    }

    /** Asks for random ones of {@code adapters} adapters, or for the base if it is 0; each client at least once. */
    Found ask(IntFunction<String> names, int adapters, double seconds) {
        double before = processorMillis();
        long end = System.nanoTime() + (long) (seconds * 1e9);
        List<Double> millis = inParallel(client -> {
            Random random = new Random(client);
            byte[] none = request("__base__");
            AtomicBoolean hasAsked = new AtomicBoolean();
            return () -> hasAsked.getAndSet(true) && System.nanoTime() > end ? null
                    : adapters == 0 ? none : request(names.apply(random.nextInt(adapters)));
        });
        List<Double> sorted = millis.stream().sorted().toList();
        return new Found(millis.size() / seconds, sorted.get(sorted.size() / 2), sorted.get((int) (TAIL * sorted.size())),
                (processorMillis() - before) / millis.size());
    }

    /** NaN if the system does not tell. */
    private double processorMillis() {
        return service.process().info().totalCpuDuration().map(time -> (double) time.toMillis()).orElse(Double.NaN);
    }

    /** Asks once for each, so that it is in memory. */
    void askEach(IntFunction<String> names, int adapters, AtomicInteger done) {
        inParallel(client -> () -> {
            int next = done.getAndIncrement();
            return next < adapters ? request(names.apply(next)) : null;
        });
    }

    /** @param questions what a client asks for next; null when it is done */
    private List<Double> inParallel(IntFunction<Supplier<byte[]>> questions) {
        return IntStream.range(0, count).mapToObj(client -> CompletableFuture.supplyAsync(
                        () -> client(questions.apply(client)), work -> new Thread(work, "client " + client).start())).toList()
                .stream().map(CompletableFuture::join).flatMap(Collection::stream).toList();
    }

    /** Milliseconds of each answer. */
    private List<Double> client(Supplier<byte[]> questions) {
        double[] millis = new double[1 << 10];
        int answers = 0;
        try (Connection connection = new Connection(service.address())) {
            for (byte[] request = questions.get(); request != null; request = questions.get()) {
                long from = System.nanoTime();
                Connection.Answer answer = connection.ask(request);
                if (answer.status() != 200) {
                    throw new IOException("The service answered " + answer.status() + ": " + answer.text());
                }
                millis = answers < millis.length ? millis : Arrays.copyOf(millis, 2 * answers);
                millis[answers++] = (System.nanoTime() - from) / 1e6;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Arrays.stream(millis, 0, answers).boxed().toList();
    }
}
