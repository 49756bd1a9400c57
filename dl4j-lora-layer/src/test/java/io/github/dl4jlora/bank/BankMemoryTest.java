package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.serve.Features;
import io.github.dl4jlora.internal.serve.Lease;
import io.github.dl4jlora.internal.serve.ServedAdapter;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.BiConsumer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** An adapter's memory is freed when the bank has let go of it and nobody holds it any more: not before, and not later. */
@MayHang
class BankMemoryTest {

    private static final double CLOSE = 1e-5;

    /** Ways in which a bank lets go of adapter "a". */
    enum Goes {
        REMOVED((parts, other) -> parts.cache.remove("a")),
        REPLACED((parts, other) -> parts.cache.put("a", other, true)),
        CLOSED((parts, other) -> parts.cache.close());

        private final BiConsumer<Parts, LoRAAdapter> way;

        Goes(BiConsumer<Parts, LoRAAdapter> way) {
            this.way = way;
        }
    }

    private final MultiLayerNetwork base = GatedTanh.network();
    private final LoRAAdapter one = GatedTanh.adapter(base, 1);
    private final LoRAAdapter two = GatedTanh.adapter(base, 2);
    private final INDArray input = GatedTanh.input(5, 3);
    private final ExecutorService callers = Executors.newCachedThreadPool();
    private final MapSource source = new MapSource();

    @AfterEach
    void end() {
        GatedTanh.reset();
        callers.shutdownNow();
    }

    private Parts parts() {
        Parts parts = new Parts(base, BankConfig.builder().maxNetworks(1).source(source).build());
        parts.cache.put("a", one, false);
        parts.cache.put("b", two, false);
        return parts;
    }

    private static BankRequest request(String name, INDArray input) {
        return BankRequest.of(name, input);
    }

    @ParameterizedTest
    @EnumSource
    void freedAtOnceWhereNobodyHoldsIt(Goes goes) {
        try (Parts parts = parts()) {
            ServedAdapter a = parts.seen("a").get(0);
            assertThat(Parts.isFreed(a)).isFalse();

            goes.way.accept(parts, two);

            assertThat(Parts.isFreed(a)).isTrue();
        }
    }

    @ParameterizedTest
    @EnumSource
    void freedWhenTheLastOneLetsGo(Goes goes) {
        try (Parts parts = parts()) {
            Lease first = parts.hold("a", "b", "a");
            Lease second = parts.hold("a");
            ServedAdapter a = second.held().get(0);

            goes.way.accept(parts, two);

            first.close();
            assertThat(Parts.isFreed(a)).isFalse();
            second.close();
            assertThat(Parts.isFreed(a)).isTrue();
        }
    }

    /** Whoever computes, and whoever waits for a network. */
    @ParameterizedTest
    @EnumSource
    void neverWhileARequestComputesWithIt(Goes goes) throws Exception {
        INDArray expected = GatedTanh.answer(base, one, input);
        try (Parts parts = parts()) {
            ServedAdapter a = parts.seen("a").get(0);
            Gate gate = GatedTanh.hold();
            List<Future<INDArray[]>> answers = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                answers.add(parts.queue.submit(request("a", input), null));
            }
            gate.awaitSomebody();

            goes.way.accept(parts, two);

            assertThat(Parts.isFreed(a)).isFalse();
            gate.open();
            for (Future<INDArray[]> answer : answers) {
                assertThat(Networks.difference(answer.get()[0], expected)).isLessThan(CLOSE);
            }
            Gate.until(() -> Parts.isFreed(a));
        }
    }

    @Test
    void aLookUpThatFailsLetsGoOfWhatItFound() throws Exception {
        LoRAAdapter dora = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(1).variant(new DoRA()).build()));
        try (Parts parts = parts()) {
            parts.cache.put("dora", dora, false);
            ServedAdapter a = parts.seen("a").get(0);
            AdapterMix weighted = AdapterMix.of("a").plus("dora", 1);

            assertThatThrownBy(() -> parts.hold("a", "nothing")).isInstanceOf(UnknownAdapterException.class);
            assertThatThrownBy(() -> parts.cache.hold(List.of(weighted))).hasMessageContaining("DoRA");
            assertThatThrownBy(() -> parts.cache.holdPresent(List.of(weighted))).hasMessageContaining("DoRA");
            assertThat(parts.cache.holdPresent(List.of(AdapterMix.of("a"), AdapterMix.of("nothing")))).isNull();
            source.before = name -> {
                throw new IOException("broken");
            };
            assertThatThrownBy(() -> parts.hold("a", "nothing")).hasMessageContaining("broken");
            for (AdapterMix mix : List.of(weighted, AdapterMix.of("a").plus("nothing", 1))) {
                assertThatThrownBy(() -> parts.queue.submit(BankRequest.of(mix, input), null).get());
            }
            parts.cache.remove("a");

            assertThat(Parts.isFreed(a)).isTrue();
        }
    }

    @Test
    void requestsThatEndWithoutAnAnswerLetGo() throws Exception {
        try (Parts parts = parts()) {
            ServedAdapter a = parts.seen("a").get(0);
            INDArray wide = Networks.random(input.dataType(), 1, 2, Networks.IN + 1);
            assertThatThrownBy(() -> parts.queue.submit(request("a", wide), null).get());
            INDArray large = GatedTanh.input(1, 1).muli(0).addi(1e9);
            assertThatThrownBy(() -> parts.queue.submit(BankRequest.of("a", large, large), null).get());
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = parts.queue.submit(request("b", input), null);
            gate.awaitSomebody();

            CompletableFuture<INDArray[]> cancelled = parts.queue.submit(request("a", input), null);
            CompletableFuture<INDArray[]> late = parts.queue.submit(request("a", input), Duration.ofNanos(1));
            assertThatThrownBy(late::get).hasMessageContaining("in time");
            assertThat(cancelled.cancel(false)).isTrue();
            parts.cache.remove("a");

            Gate.until(() -> Parts.isFreed(a));
            assertThat(under).isNotDone();
            gate.open();
            under.join();
        }
    }

    @Test
    void cancelledWhileItIsComputed() throws Exception {
        try (Parts parts = parts()) {
            ServedAdapter a = parts.seen("a").get(0);
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = parts.queue.submit(request("a", input), null);
            gate.awaitSomebody();

            under.cancel(true);
            parts.cache.remove("a");

            assertThat(Parts.isFreed(a)).isFalse();
            gate.open();
            Gate.until(() -> Parts.isFreed(a));
        }
    }

    @Test
    void refusedRequestsHoldNothing() throws Exception {
        try (Parts parts = new Parts(base, BankConfig.builder().maxNetworks(1).maxQueued(3).build())) {
            parts.cache.put("a", one, false);
            ServedAdapter a = parts.seen("a").get(0);
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = parts.queue.submit(request(AdapterBank.BASE, input), null);
            gate.awaitSomebody();
            CompletableFuture<INDArray[]> waits = parts.queue.submit(request(AdapterBank.BASE, input), null);
            assertThatThrownBy(() -> parts.queue.submit(request("a", input), null)).isInstanceOf(BankOverloadedException.class);

            parts.cache.remove("a");

            assertThat(Parts.isFreed(a)).isTrue();
            gate.open();
            CompletableFuture.allOf(under, waits).join();
        }
    }

    @Test
    void evictedOnesAreFreedAndThoseInUseLater() {
        for (int i = 0; i < 4; i++) {
            source.adapters.put("s" + i, one);
        }
        long budget = 2 * GatedTanh.bytes(one);
        try (Parts parts = new Parts(base, BankConfig.builder().maxNetworks(1).source(source).maxBytes(budget).build())) {
            ServedAdapter first = parts.seen("s0").get(0);
            Lease used = parts.hold("s1");
            ServedAdapter second = used.held().get(0);
            ServedAdapter third = parts.seen("s2").get(0);
            assertThat(Parts.isFreed(first)).isTrue();

            ServedAdapter fourth = parts.seen("s3").get(0);

            assertThat(Parts.isFreed(second)).isFalse();
            used.close();
            assertThat(Parts.isFreed(second)).isTrue();
            assertThat(List.of(third, fourth)).noneMatch(Parts::isFreed);
            parts.cache.refresh("s2");
            assertThat(Parts.isFreed(third)).isTrue();
        }
    }

    @Test
    void whatNobodyAsksForAnyMoreWhenItComesIsFreed() throws Exception {
        source.adapters.put("s", one);
        Gate gate = new Gate();
        source.before = name -> gate.pass();
        try (Parts parts = parts()) {
            Future<Lease> lease = callers.submit(() -> parts.hold("s"));
            gate.awaitSomebody();
            parts.cache.refresh("s");
            gate.open();
            ServedAdapter stale = lease.get().held().get(0);

            assertThat(Parts.isFreed(stale)).isFalse();
            lease.get().close();
            assertThat(Parts.isFreed(stale)).isTrue();
            assertThat(parts.cache.loadedBytes()).isZero();
        }
    }

    @Test
    void sessionsHoldTheirAdapter() {
        Parts parts = parts();
        BankSession session = new BankSession(parts.passes, parts.hold("a"), () -> { });
        ServedAdapter a = parts.seen("a").get(0);
        parts.close();

        assertThat(Parts.isFreed(a)).isFalse();
        session.close();
        session.close();
        assertThat(Parts.isFreed(a)).isTrue();
    }

    /** Scales and biases too. */
    @Test
    void allOfItIsFreed() {
        MultiLayerNetwork dora = LoRA.apply(base, LoRAConfig.builder().rank(1).variant(new DoRA()).bias("lora_only").build());
        try (Parts parts = parts()) {
            parts.cache.put("dora", LoRAAdapter.of(dora), false);
            Route route = parts.seen("dora").get(0).route("fc", 1, 0, 1);
            assertThat(Networks.difference(parts.passes.compute(parts.hold("dora").mixes(), new Features(new INDArray[] {input},
                    null))[0], dora.output(input))).isLessThan(CLOSE);
            parts.seen("dora").get(0).release();

            parts.cache.remove("dora");

            assertThat(route.a().wasClosed()).isTrue();
            assertThat(route.scale().wasClosed()).isTrue();
            assertThat(route.bias().wasClosed()).isTrue();
            assertThat(Networks.difference(dora.output(input), dora.output(input))).as("the network has its own").isZero();
        }
    }

    /** It comes when its request has been given up, and is held by the bank alone from then on. */
    @Test
    void whatComesTooLateIsLetGoOf() throws Exception {
        source.adapters.put("s", one);
        Gate loads = new Gate();
        source.before = name -> loads.pass();
        try (Parts parts = new Parts(base, BankConfig.builder().maxNetworks(1).source(source).build())) {
            CompletableFuture<INDArray[]> answer = parts.queue.submit(BankRequest.of("s", input), null);
            loads.awaitSomebody();
            answer.cancel(true);
            loads.open();
            ServedAdapter s = parts.seen("s").get(0);

            parts.cache.refresh("s");

            Gate.until(() -> Parts.isFreed(s));
        }
    }

    @Test
    void metricsThatThrowLeaveNothingBehind() {
        source.adapters.put("s", one);
        BankMetrics broken = new BankMetrics() {
            @Override
            public void loaded(String name, long bytes, long nanos) {
                throw new AssertionError("no metrics");
            }
        };
        try (Parts parts = new Parts(base, BankConfig.builder().maxNetworks(1).source(source).metrics(broken).build())) {
            ServedAdapter s = parts.seen("s").get(0);
            parts.cache.refresh("s");

            assertThat(Parts.isFreed(s)).isTrue();
        }
    }
}
