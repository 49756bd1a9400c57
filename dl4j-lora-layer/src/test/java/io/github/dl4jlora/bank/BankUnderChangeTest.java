package io.github.dl4jlora.bank;

import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Threads that add, replace, remove and refresh while others ask. There are some adapters under some names, and what is under a
 * name changes all the time, but an adapter is always one of its name's: an answer is one of theirs, or that there is none.
 */
@MayHang
class BankUnderChangeTest {

    private static final double CLOSE = 1e-5;
    private static final int NAMES = 6;
    private static final int VERSIONS = 3;

    private final MultiLayerNetwork base = GatedTanh.network();
    private final INDArray input = GatedTanh.input(5, 2);
    private final LoRAAdapter[][] adapters = new LoRAAdapter[NAMES][VERSIONS];
    private final INDArray[][] answers = new INDArray[NAMES][VERSIONS];
    private final MapSource source = new MapSource();
    private final AtomicLong answered = new AtomicLong();

    BankUnderChangeTest() {
        for (int name = 0; name < NAMES; name++) {
            for (int version = 0; version < VERSIONS; version++) {
                adapters[name][version] = GatedTanh.adapter(base, 1 + VERSIONS * name + version);
                answers[name][version] = GatedTanh.answer(base, adapters[name][version], input);
            }
        }
    }

    @Test
    @Tag("long")
    void aWhile() throws Exception {
        run(2, 300, Long.MAX_VALUE);
    }

    @Test
    @Tag("heavy")
    void twentySecondsOfEightAndEight() throws Exception {
        run(8, Integer.MAX_VALUE, 20_000_000_000L);
    }

    /** Half of the names are the source's, half are added; each thread does so much, or for so long. */
    private void run(int threads, int requests, long nanos) throws Exception {
        for (int name = 0; name < NAMES / 2; name++) {
            source.adapters.put("" + name, adapters[name][0]);
        }
        Set<Thread> others = Thread.getAllStackTraces().keySet();
        long start = System.nanoTime();
        ExecutorService pool = Executors.newFixedThreadPool(2 * threads);
        BankConfig config = BankConfig.builder().maxNetworks(2).source(source).maxBytes(2 * GatedTanh.bytes(adapters[0][0]))
                .build();
        try (AdapterBank bank = new AdapterBank(base, config)) {
            List<Future<?>> all = new ArrayList<>();
            IntStream.range(0, threads).forEach(t -> {
                Random changes = new Random(t);
                Random asks = new Random(100 + t);
                all.add(pool.submit(() -> repeat(requests, start, nanos, () -> change(bank, changes))));
                all.add(pool.submit(() -> repeat(requests, start, nanos, () -> ask(bank, asks))));
            });
            for (Future<?> one : all) {
                one.get();
            }
            assertThat(bank.status().waiting()).isZero();
            assertThat(bank.status().networks()).isLessThanOrEqualTo(2);
            assertThat(bank.status().evictable()).isBetween(0L, config.maxBytes());
        } finally {
            pool.shutdownNow();
        }
        assertThat(answered).hasPositiveValue();
        assertThat(source.mostAtOnce).hasValue(1);
        Gate.until(() -> Thread.getAllStackTraces().keySet().stream().allMatch(thread -> others.contains(thread)
                || !thread.getName().startsWith("adapter-bank")));
    }

    private static void repeat(int most, long start, long nanos, Runnable what) {
        for (int i = 0; i < most && System.nanoTime() - start < nanos; i++) {
            what.run();
        }
    }

    private void change(AdapterBank bank, Random random) {
        int name = random.nextInt(NAMES);
        LoRAAdapter adapter = adapters[name][random.nextInt(VERSIONS)];
        try {
            switch (random.nextInt(name < NAMES / 2 ? 2 : 4)) {
                case 0 -> {
                    if (name < NAMES / 2) {
                        source.adapters.put("" + name, adapter);
                    }
                    bank.refresh("" + name);
                }
                case 1 -> bank.replace("" + (name < NAMES / 2 ? name + NAMES / 2 : name),
                        name < NAMES / 2 ? adapters[name + NAMES / 2][0] : adapter);
                case 2 -> bank.remove("" + name);
                default -> bank.add("" + name, adapter);
            }
        } catch (IllegalArgumentException takenOrNotThere) {
            assertThat(takenOrNotThere.getMessage()).containsAnyOf("already", "has no adapter");
        }
    }

    private void ask(AdapterBank bank, Random random) {
        int first = random.nextInt(NAMES);
        int second = random.nextInt(NAMES);
        try {
            switch (random.nextInt(5)) {
                case 0 -> requireOne(bank.output("" + first, input), 0, 2, first);
                case 1 -> requireOne(bank.submit(BankRequest.of("" + first, input)).join()[0], 0, 2, first);
                case 2 -> {
                    INDArray each = bank.submit(BankRequest.of(List.of(AdapterMix.of("" + first), AdapterMix.of("" + second)),
                            input)).join()[0];
                    requireOne(each, 0, 1, first);
                    requireOne(each, 1, 2, second);
                }
                case 3 -> {
                    try (BankSession session = bank.session(AdapterMix.of("" + first))) {
                        INDArray before = session.output(input);
                        requireOne(before, 0, 2, first);
                        assertThat(Networks.difference(session.output(input), before)).isLessThan(CLOSE);
                    }
                }
                default -> {
                    CompletableFuture<INDArray[]> given = bank.submit(BankRequest.of("" + first, input));
                    given.cancel(random.nextBoolean());
                }
            }
            answered.incrementAndGet();
        } catch (UnknownAdapterException notThereNow) {
            return;
        } catch (CompletionException e) {
            assertThat(e).hasCauseInstanceOf(UnknownAdapterException.class);
        }
    }

    /** Rows of one version, and not of two. */
    private void requireOne(INDArray output, int from, int to, int name) {
        boolean one = IntStream.range(0, VERSIONS).anyMatch(version -> IntStream.range(from, to).allMatch(row ->
                Networks.difference(output.getRow(row), answers[name][version].getRow(row)) < CLOSE));
        assertThat(one).as("an answer of \"" + name + "\" is one of its versions'").isTrue();
    }
}
