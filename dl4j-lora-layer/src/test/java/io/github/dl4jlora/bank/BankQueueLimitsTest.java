package io.github.dl4jlora.bank;

import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Requests that are given up, late, or too many, and what is told of them. */
@MayHang
class BankQueueLimitsTest {

    private final MultiLayerNetwork base = GatedTanh.network();
    private final LoRAAdapter adapter = GatedTanh.adapter(base, 1);
    private final INDArray input = GatedTanh.input(5, 2);
    private final INDArray expected = GatedTanh.answer(base, adapter, input);
    private final Recorder metrics = new Recorder();
    private final MapSource source = new MapSource();

    /** Before, too: tests of other classes leave what they have counted. */
    @BeforeEach
    @AfterEach
    void reset() {
        GatedTanh.reset();
    }

    private AdapterBank bank(BankConfig.Builder config) {
        AdapterBank bank = new AdapterBank(base, config.maxNetworks(1).metrics(metrics).build());
        bank.add("a", adapter);
        return bank;
    }

    private void requireAnswer(CompletableFuture<INDArray[]> answer) {
        assertThat(Networks.difference(answer.join()[0], expected)).isLessThan(1e-5);
    }

    @Test
    void whatIsCancelledWhileItWaitsIsNotComputed() throws Exception {
        try (AdapterBank bank = bank(BankConfig.builder())) {
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = bank.submit(BankRequest.of("a", input));
            gate.awaitSomebody();
            CompletableFuture<INDArray[]> cancelled = bank.submit(BankRequest.of("a", GatedTanh.input(1, 7)));
            assertThat(bank.status().queued()).isEqualTo(7);

            cancelled.cancel(true);

            assertThat(bank.status().queued()).isZero();
            assertThat(metrics.told()).containsExactly("ended a CANCELLED");
            gate.open();
            requireAnswer(under);
            requireAnswer(bank.submit(BankRequest.of("a", input)));
            assertThat(GatedTanh.rows()).containsOnly(2L);
        }
    }

    @Test
    void whatIsCancelledWhileItIsComputedHarmsNobody() throws Exception {
        try (AdapterBank bank = bank(BankConfig.builder().maxBatch(4).maxDelay(Duration.ofDays(1)))) {
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> cancelled = bank.submit(BankRequest.of("a", input));
            CompletableFuture<INDArray[]> mate = bank.submit(BankRequest.of("a", input));
            gate.awaitSomebody();
            cancelled.cancel(true);
            gate.open();

            requireAnswer(mate);
            assertThat(cancelled).isCancelled();
            Gate.until(() -> metrics.told().size() == 3);
            assertThat(metrics.told()).containsExactlyInAnyOrder("ended a CANCELLED", "computed 4 of 1", "ended a ANSWERED");
        }
    }

    @Test
    void whatTakesTooLongIsToldSo() throws Exception {
        source.adapters.put("slow", adapter);
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        try (AdapterBank bank = bank(BankConfig.builder().source(source))) {
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = bank.submit(BankRequest.of("a", input));
            gate.awaitSomebody();
            CompletableFuture<INDArray[]> waits = bank.submit(BankRequest.of("a", input), Duration.ofNanos(1));
            CompletableFuture<INDArray[]> fetches = bank.submit(BankRequest.of("slow", input), Duration.ofMillis(1));
            CompletableFuture<INDArray[]> mixed = bank.submit(BankRequest.of(
                    List.of(AdapterMix.of("a"), AdapterMix.base()), input), Duration.ZERO);
            CompletableFuture<INDArray[]> past = bank.submit(BankRequest.of("a", input), Duration.ofSeconds(-5));

            for (CompletableFuture<INDArray[]> late : List.of(waits, fetches, mixed, past)) {
                assertThatThrownBy(late::get).isInstanceOf(ExecutionException.class).cause().isInstanceOf(TimeoutException.class)
                        .hasMessageContaining(late == fetches ? "\"slow\"" : late == mixed ? "\"a\" and others" : "\"a\"");
            }
            Gate.until(() -> metrics.count("ended") == 4);
            assertThat(metrics.count("ended a TIMED_OUT")).isEqualTo(3);
            assertThat(metrics.count("ended slow TIMED_OUT")).isEqualTo(1);
            Gate.until(() -> bank.status().queued() == 0);
            gate.open();
            loads.open();
            requireAnswer(under);
            requireAnswer(bank.submit(BankRequest.of("slow", input)));
        }
    }

    @Test
    void thereIsNoTimeoutTooLong() {
        try (AdapterBank bank = bank(BankConfig.builder())) {
            requireAnswer(bank.submit(BankRequest.of("a", input), Duration.ofSeconds(Long.MAX_VALUE)));
            assertThat(bank.status().queued()).isZero();
            assertThatThrownBy(() -> bank.submit(BankRequest.of("a", input), null)).isInstanceOf(NullPointerException.class);
        }
        AdapterBank patient = bank(BankConfig.builder().maxDelay(Duration.ofSeconds(Long.MAX_VALUE)));
        CompletableFuture<INDArray[]> waits = patient.submit(BankRequest.of("a", input));
        patient.close();
        requireAnswer(waits);
    }

    @Test
    void tooManyAreRefusedAndLaterOnesAreNot() throws Exception {
        try (AdapterBank bank = bank(BankConfig.builder().maxQueued(5))) {
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = bank.submit(BankRequest.of("a", input));
            gate.awaitSomebody();
            CompletableFuture<INDArray[]> first = bank.submit(BankRequest.of("a", input));
            CompletableFuture<INDArray[]> second = bank.submit(BankRequest.of("a", input));

            for (int time = 0; time < 3; time++) {
                assertThatThrownBy(() -> bank.submit(BankRequest.of("a", input))).isInstanceOf(BankOverloadedException.class)
                        .hasMessageContainingAll("\"a\"", "5 examples", "maxQueued");
            }
            assertThat(metrics.told()).containsExactly("refused a", "refused a", "refused a");
            CompletableFuture<INDArray[]> small = bank.submit(BankRequest.of("a", GatedTanh.input(1, 1)));
            assertThat(bank.status().queued()).isEqualTo(5);
            second.cancel(false);
            CompletableFuture<INDArray[]> instead = bank.submit(BankRequest.of("a", input));
            gate.open();

            List.of(under, first, instead).forEach(this::requireAnswer);
            small.join();
            for (int time = 0; time < 10; time++) {
                requireAnswer(bank.submit(BankRequest.of("a", input)));
            }
        }
    }

    @Test
    void moreThanMayWaitIsTakenWhereNobodyWaits() {
        try (AdapterBank bank = bank(BankConfig.builder().maxQueued(1))) {
            requireAnswer(bank.submit(BankRequest.of("a", input)));
        }
    }

    @Test
    void requestsWhoseAdaptersLoadCountAsWaiting() throws Exception {
        source.adapters.put("slow", adapter);
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        try (AdapterBank bank = bank(BankConfig.builder().maxQueued(3).source(source))) {
            CompletableFuture<INDArray[]> slow = bank.submit(BankRequest.of("slow", input));
            assertThat(bank.status().queued()).isEqualTo(2);
            assertThatThrownBy(() -> bank.submit(BankRequest.of("slow", input))).isInstanceOf(BankOverloadedException.class);

            slow.cancel(false);

            assertThat(bank.status().queued()).isZero();
            loads.open();
            requireAnswer(bank.submit(BankRequest.of("slow", input)));
        }
    }

    /** Whatever metrics do, everybody is answered. */
    @Test
    void metricsThatThrowHarmNobody() throws Exception {
        source.adapters.put("s", adapter);
        BankMetrics broken = (BankMetrics) java.lang.reflect.Proxy.newProxyInstance(getClass().getClassLoader(),
                new Class<?>[] {BankMetrics.class}, (proxy, method, arguments) -> {
                    metrics.told().add(method.getName());
                    throw metrics.told().size() % 2 == 0 ? new IllegalStateException("no metrics") : new LinkageError("none");
                });
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().maxNetworks(1).maxBytes(1).maxQueued(2).source(source)
                .metrics(broken).build())) {
            for (int time = 0; time < 2; time++) {
                requireAnswer(bank.submit(BankRequest.of("s", input)));
                assertThatThrownBy(() -> bank.submit(BankRequest.of("nothing", input)).join())
                        .hasCauseInstanceOf(UnknownAdapterException.class);
                source.adapters.put("t", adapter);
                assertThat(Networks.difference(bank.output("t", input), expected)).isLessThan(1e-5);
                source.before = name -> {
                    throw new java.io.IOException("broken");
                };
                assertThatThrownBy(() -> bank.output("s", input)).hasMessageContaining("broken");
                source.before = name -> { };
                Gate gate = GatedTanh.hold();
                CompletableFuture<INDArray[]> under = bank.submit(BankRequest.of(AdapterBank.BASE, input));
                gate.awaitSomebody();
                bank.submit(BankRequest.of(AdapterBank.BASE, input));
                assertThatThrownBy(() -> bank.submit(BankRequest.of("t", input))).isInstanceOf(BankOverloadedException.class);
                gate.open();
                under.join();
                GatedTanh.reset();
                Gate.until(() -> bank.status().queued() == 0);
            }
            assertThat(metrics.told()).contains("computed", "ended", "refused", "loaded", "notLoaded", "evicted");
        }
    }

    /** What depends on an answer may ask again, and takes as long as it wants. */
    @Test
    void answersMayAskAgain() {
        try (AdapterBank bank = bank(BankConfig.builder())) {
            AtomicReference<String> thread = new AtomicReference<>();
            CompletableFuture<INDArray[]> chain = bank.submit(BankRequest.of("a", input));
            for (int i = 0; i < 20; i++) {
                chain = chain.thenCompose(outputs -> {
                    thread.set(Thread.currentThread().getName());
                    return bank.submit(BankRequest.of("a", input));
                });
            }
            requireAnswer(chain);
            assertThat(thread.get()).isNotNull();
        }
    }

    @Test
    void interruptedCallersAreAnsweredAndStayInterrupted() {
        source.adapters.put("s", adapter);
        try (AdapterBank bank = bank(BankConfig.builder().source(source))) {
            Thread.currentThread().interrupt();

            INDArray output = bank.output("s", input);
            CompletableFuture<INDArray[]> answer = bank.submit(BankRequest.of("a", input));

            assertThat(Thread.interrupted()).as("output() and submit() were interrupted").isTrue();
            assertThat(Networks.difference(output, expected)).isLessThan(1e-5);
            requireAnswer(answer);
            Thread.currentThread().interrupt();
        }
        assertThat(Thread.interrupted()).as("close() was interrupted too").isTrue();
    }
}
