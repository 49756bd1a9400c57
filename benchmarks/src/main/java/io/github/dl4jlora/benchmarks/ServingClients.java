package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Clients that ask a bank for one row, wait for the answer, and ask again. */
final class ServingClients {

    private static final int CLIENTS = 32;
    private static final int ROUNDS = 3;
    private static final double SECONDS = 4;
    private static final double TAIL = 0.95;
    private static final int FEW = 1;
    private static final int MANY = 1_000;

    private final MultiLayerNetwork base;
    private final Shape shape;

    private ServingClients(MultiLayerNetwork base, Shape shape) {
        this.base = base;
        this.shape = shape;
    }

    /**
     * Requests a second without and with batches, milliseconds of the 95th percentile with one adapter and with many; requests a
     * second with batches on a packed base, on one in BF16, and on one in BF16 that is packed.
     */
    static double[] measure() {
        Shape shape = Shape.square(2048, 3, 1, 8, "Adam");
        ServingClients clients = new ServingClients(Networks.base(shape, false), shape);
        MultiLayerNetwork narrow = LoRA.freeze(clients.base, Quantization.BF16);
        try (AdapterBank alone = clients.bank(clients.base, 1, false);
             AdapterBank batches = clients.bank(clients.base, ServingTask.ROWS, false);
             AdapterBank packed = clients.bank(clients.base, ServingTask.ROWS, true);
             AdapterBank bf16 = clients.bank(narrow, ServingTask.ROWS, false);
             AdapterBank packedBf16 = clients.bank(narrow, ServingTask.ROWS, true)) {
            List<double[]> found = new ArrayList<>();
            for (int round = 0; round <= ROUNDS; round++) {
                List<Double> one = clients.answered(alone, MANY);
                List<Double> few = clients.answered(batches, FEW);
                List<Double> many = clients.answered(batches, MANY);
                double[] others = Stream.of(packed, bf16, packedBf16).mapToDouble(bank ->
                        clients.answered(bank, MANY).size() / SECONDS).toArray();
                if (round > 0) {
                    found.add(DoubleStream.concat(DoubleStream.of(one.size() / SECONDS, many.size() / SECONDS, tail(few),
                            tail(many)), DoubleStream.of(others)).toArray());
                }
            }
            return Measurements.medians(found);
        }
    }

    private AdapterBank bank(MultiLayerNetwork of, int maxBatch, boolean pack) {
        AdapterBank bank = new AdapterBank(of, BankConfig.builder().maxBatch(maxBatch).pack(pack).build());
        ServingTask.fill(bank, ServingTask.adapter(base, shape), MANY);
        return bank;
    }

    /** Milliseconds of each answer. */
    private List<Double> answered(AdapterBank bank, int adapters) {
        long end = System.nanoTime() + (long) (SECONDS * 1e9);
        List<CompletableFuture<List<Double>>> clients = IntStream.range(0, CLIENTS).mapToObj(client ->
                CompletableFuture.supplyAsync(() -> client(bank, adapters, client, end),
                        work -> new Thread(work).start())).toList();
        return clients.stream().flatMap(client -> client.join().stream()).toList();
    }

    private List<Double> client(AdapterBank bank, int adapters, int seed, long end) {
        Random random = new Random(seed);
        INDArray row = Nd4j.randn(1, shape.in());
        List<Double> millis = new ArrayList<>();
        for (long from = System.nanoTime(); from < end; from = System.nanoTime()) {
            bank.submit(BankRequest.of("a" + random.nextInt(adapters), row)).join();
            millis.add((System.nanoTime() - from) / 1e6);
        }
        return millis;
    }

    private static double tail(List<Double> millis) {
        return millis.stream().sorted().toList().get((int) (TAIL * millis.size()));
    }
}
