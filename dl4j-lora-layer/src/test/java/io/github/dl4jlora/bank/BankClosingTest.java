package io.github.dl4jlora.bank;

import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Closing answers what was submitted, whoever closes, and refuses what comes after it. */
@MayHang
@Tag("heavy")
class BankClosingTest {

    private final MultiLayerNetwork base = GatedTanh.network();
    private final LoRAAdapter adapter = GatedTanh.adapter(base, 1);
    private final INDArray input = GatedTanh.input(5, 2);
    private final INDArray expected = GatedTanh.answer(base, adapter, input);
    private final MapSource source = new MapSource();
    private final ExecutorService callers = Executors.newCachedThreadPool();

    @AfterEach
    void end() {
        GatedTanh.reset();
        callers.shutdownNow();
    }

    private AdapterBank bank(int networks) {
        return bank(networks, new Recorder());
    }

    private AdapterBank bank(int networks, BankMetrics metrics) {
        source.adapters.put("s", adapter);
        AdapterBank bank = new AdapterBank(base, BankConfig.builder().maxNetworks(networks).maxBatch(2).source(source)
                .metrics(metrics).build());
        bank.add("a", adapter);
        return bank;
    }

    private void requireAnswers(List<CompletableFuture<INDArray[]>> answers) {
        assertThat(answers).allSatisfy(answer ->
                assertThat(Networks.difference(answer.join()[0], expected)).isLessThan(1e-5));
    }

    private void requireClosed(AdapterBank bank) throws InterruptedException {
        Gate.until(() -> bank.status().adapters() == 0);
        for (Runnable call : List.<Runnable>of(() -> bank.submit(BankRequest.of("a", input)), () -> bank.output("a", input),
                () -> bank.submit(BankRequest.of("s", input)), () -> bank.output("s", input), () -> bank.add("b", adapter),
                () -> bank.replace("a", adapter), () -> bank.refresh("s"), () -> bank.session(AdapterMix.of("a")),
                () -> bank.output(AdapterBank.BASE, input))) {
            assertThatIllegalStateException().isThrownBy(call::run).withMessageContaining("closed");
        }
        assertThat(bank.status()).isEqualTo(new BankStatus(0, 0, 0, 0, 0, 0));
        bank.close();
    }

    @Test
    void closingAnswersWhatWaitsAndWhatLoads() throws Exception {
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        AdapterBank bank = bank(1);
        Gate gate = GatedTanh.hold();
        List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
        for (String name : List.of("a", "a", "s", "a", "s")) {
            answers.add(bank.submit(BankRequest.of(name, input)));
        }
        gate.awaitSomebody();
        loads.awaitSomebody();
        Future<?> closes = callers.submit(bank::close);
        Gate.until(() -> isRefused(bank));

        assertThat(closes).isNotDone();
        assertThat(answers).noneMatch(CompletableFuture::isDone);
        gate.open();
        assertThat(answers.get(0)).succeedsWithin(Duration.ofDays(1));
        assertThat(closes).isNotDone();
        loads.open();

        closes.get();
        assertThat(answers).allMatch(CompletableFuture::isDone);
        requireAnswers(answers);
        requireClosed(bank);
    }

    /** Closes the bank in what depends on a request that fails. */
    private static CompletableFuture<Void> closedAfter(CompletableFuture<INDArray[]> failing, AdapterBank bank) {
        return failing.handle((outputs, e) -> {
            bank.close();
            return null;
        });
    }

    private boolean isRefused(AdapterBank bank) {
        try {
            bank.submit(BankRequest.of(AdapterBank.BASE, input));
            return false;
        } catch (BankOverloadedException notYet) {
            return false;
        } catch (IllegalStateException e) {
            return true;
        }
    }

    @ParameterizedTest(name = "{0} networks")
    @ValueSource(ints = {1, 2, 3})
    void whoDependsOnAnAnswerMayClose(int networks) throws Exception {
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        AdapterBank bank = bank(networks);
        List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
        List<CompletableFuture<Void>> closed = new ArrayList<>();
        Gate gate = GatedTanh.hold();
        for (String name : "a a a a a a s s".split(" ")) {
            answers.add(bank.submit(BankRequest.of(name, input)));
        }
        answers.forEach(answer -> closed.add(answer.thenRun(bank::close)));
        gate.open();
        closed.get(0).join();
        assertThatIllegalStateException().isThrownBy(() -> bank.submit(BankRequest.of("a", input)));
        loads.open();

        CompletableFuture.allOf(closed.toArray(CompletableFuture[]::new)).join();
        requireAnswers(answers);
        requireClosed(bank);
    }

    /** Two threads of the bank would wait for each other. */
    @Test
    void severalMayCloseAtOnce() throws Exception {
        AdapterBank bank = bank(2);
        Gate gate = GatedTanh.hold();
        List<CompletableFuture<INDArray[]>> answers = List.of(bank.submit(BankRequest.of("a", input)),
                bank.submit(BankRequest.of("a", input)), bank.submit(BankRequest.of("a", input)));
        CyclicBarrier both = new CyclicBarrier(2);
        List<CompletableFuture<Void>> closed = IntStream.range(0, 2).mapToObj(i -> answers.get(i).thenRun(() -> {
            try {
                both.await();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
            bank.close();
        })).toList();
        gate.open();
        Future<?> outside = callers.submit(bank::close);

        outside.get();
        CompletableFuture.allOf(closed.toArray(CompletableFuture[]::new)).join();
        requireAnswers(answers);
        requireClosed(bank);
    }

    /** On the thread that loads, or that counts the time, or the caller's own. */
    @ParameterizedTest
    @ValueSource(strings = {"unknown", "timeout", "cancel"})
    void whoDependsOnAFailureMayClose(String failure) throws Exception {
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        AdapterBank bank = bank(1);
        CompletableFuture<INDArray[]> fails = bank.submit(BankRequest.of(failure.equals("unknown") ? "nothing" : "s",
                input));
        CompletableFuture<INDArray[]> loading = bank.submit(BankRequest.of("s", input));
        CompletableFuture<INDArray[]> answer = bank.submit(BankRequest.of("a", input));
        CompletableFuture<Void> closed = closedAfter(fails, bank);
        if (failure.equals("timeout")) {
            // After handle, which on a slow machine would else find the time over, and close on this thread.
            fails.orTimeout(1, TimeUnit.MILLISECONDS);
        }
        loads.awaitSomebody();
        if (failure.equals("cancel")) {
            callers.submit(() -> fails.cancel(false));
        }
        if (!failure.equals("unknown")) {
            Gate.until(() -> isRefused(bank));
        }
        loads.open();

        closed.join();
        requireAnswers(List.of(loading, answer));
        requireClosed(bank);
    }

    /** The thread that counts the time stands still until two more requests are late, of which the first closes the bank. */
    @Test
    void whoDependsOnATimeoutMayCloseWhileTheTimeOfOthersGoesOn() throws Exception {
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        Gate timer = new Gate();
        AdapterBank bank = bank(1, new BankMetrics() {
            @Override
            public void ended(AdapterMix mix, Outcome outcome, long nanos) {
                timer.pass();
            }
        });
        bank.submit(BankRequest.of("s", input), Duration.ofMillis(1));
        timer.awaitSomebody();
        CompletableFuture<INDArray[]> fails = bank.submit(BankRequest.of("s", input), Duration.ofMillis(1));
        CompletableFuture<INDArray[]> other = bank.submit(BankRequest.of("s", input), Duration.ofMillis(1));
        CompletableFuture<Void> closed = closedAfter(fails, bank);
        timer.open();

        closed.join();
        assertThatThrownBy(other::join).hasCauseInstanceOf(TimeoutException.class);
        requireClosed(bank);
        loads.open();
    }

    @Test
    void whoDependsOnACancellationMayCloseBeforeTheAdapterIsThere() throws Exception {
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        AdapterBank bank = bank(1);
        CompletableFuture<INDArray[]> cancelled = bank.submit(BankRequest.of("s", input));
        loads.awaitSomebody();
        CompletableFuture<Void> closed = closedAfter(cancelled, bank);
        callers.submit(() -> cancelled.cancel(false));

        closed.join();
        requireClosed(bank);
        loads.open();
    }

    /** A request that comes as the bank is closed is answered or refused, but never forgotten. */
    @Test
    @Tag("long")
    void nobodyIsForgottenWhoComesWhileTheBankCloses() throws Exception {
        for (int round = 0; round < 30; round++) {
            AdapterBank bank = bank(2);
            List<CompletableFuture<INDArray[]>> answers = Collections.synchronizedList(new ArrayList<>());
            CountDownLatch ready = new CountDownLatch(3);
            List<Future<?>> askers = new ArrayList<>();
            for (int t = 0; t < 3; t++) {
                String name = t == 2 ? "s" : "a";
                askers.add(callers.submit(() -> {
                    ready.countDown();
                    try {
                        for (;;) {
                            answers.add(bank.submit(BankRequest.of(name, input)));
                        }
                    } catch (BankOverloadedException | IllegalStateException refused) {
                        // What was taken counts.
                    }
                }));
            }
            ready.await();
            bank.close();
            for (Future<?> asker : askers) {
                asker.get();
            }

            requireAnswers(answers);
        }
    }

    /** It was taken, but not looked up yet. */
    @Test
    void aRequestIsWaitedForBeforeItIsInLine() throws Exception {
        Parts parts = new Parts(base, BankConfig.builder().maxNetworks(1).build());
        parts.cache.put("a", adapter, false);
        parts.queue.submit(BankRequest.of("a", input), null).join();
        Future<CompletableFuture<INDArray[]>> asks;
        Future<?> closes;
        synchronized (parts.cache) {
            asks = callers.submit(() -> parts.queue.submit(BankRequest.of("a", input), null));
            Gate.until(() -> parts.queue.queued() == 2);
            closes = callers.submit(parts::close);
            Gate.until(() -> {
                try {
                    // With more examples than it takes, so that it is refused in any case.
                    parts.queue.submit(BankRequest.of("a", GatedTanh.input(1, 1024)), null);
                    return false;
                } catch (BankOverloadedException notYet) {
                    return false;
                } catch (IllegalStateException closed) {
                    return true;
                }
            });
            assertThat(closes).isNotDone();
        }

        requireAnswers(List.of(asks.get()));
        closes.get();
    }

    @Test
    void whoWasGivenUpIsNotWaitedFor() throws Exception {
        AdapterBank bank = bank(1);
        bank.submit(BankRequest.of("a", input)).join();
        Gate asks = new Gate();
        source.before = name -> asks.pass();
        CompletableFuture<INDArray[]> loads = bank.submit(BankRequest.of("s", input));
        asks.awaitSomebody();
        Future<?> closes = callers.submit(bank::close);
        Gate.until(() -> isRefused(bank));
        loads.cancel(false);

        closes.get();
        asks.open();
        assertThatThrownBy(loads::join).isInstanceOf(CancellationException.class);
        requireClosed(bank);
    }

    @Test
    void threadsEndWithTheBank() throws Exception {
        // Those of other banks may be about to end.
        Set<Thread> others = threads(Set.of());
        AdapterBank bank = bank(3);
        assertThat(threads(others)).isEmpty();
        bank.submit(BankRequest.of("s", input)).join();
        assertThat(threads(others)).hasSizeBetween(4, 6);
        bank.submit(BankRequest.of("a", input), Duration.ofDays(1)).join();
        bank.close();
        Gate.until(() -> threads(others).isEmpty());
        AdapterBank unused = new AdapterBank(base, BankConfig.builder().verifyEvery(Duration.ofDays(300_000)).build());
        unused.close();
        Gate.until(() -> threads(others).isEmpty());
    }

    private static Set<Thread> threads(Set<Thread> others) {
        return Thread.getAllStackTraces().keySet().stream().filter(thread -> thread.getName().startsWith("adapter-bank")
                && !others.contains(thread)).collect(Collectors.toSet());
    }
}
