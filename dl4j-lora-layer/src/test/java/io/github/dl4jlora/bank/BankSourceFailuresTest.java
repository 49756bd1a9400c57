package io.github.dl4jlora.bank;

import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A source that fails, in any way, fails those who asked for what it failed at, by name, and nobody else. */
@MayHang
class BankSourceFailuresTest extends SourceFixture {

    @Test
    void aSourceThatFailsIsAskedAgain() {
        LoRAAdapter a = put("a", 1);
        List<Throwable> failures = List.of(new IOException("disk on fire"), new IllegalStateException("no connection"),
                new NoClassDefFoundError("half/Installed"), new UncheckedIOException(new IOException("unchecked fire")));
        try (AdapterBank bank = bank()) {
            for (Throwable failure : failures) {
                source.before = name -> thrown(failure);

                assertThatThrownBy(() -> bank.output("a", input)).isInstanceOf(RuntimeException.class)
                        .hasMessageContaining(failure.getMessage());
                assertThatThrownBy(() -> bank.submit(BankRequest.of("a", input)).join())
                        .hasMessageContaining(failure.getMessage());
                assertThat(metrics.count("notLoaded a ")).as(failure.toString()).isEqualTo(2);
                metrics.told().clear();
            }
            source.before = name -> { };

            requireAnswer(bank.output("a", input), a);
            assertThat(metrics.told()).contains("loaded a " + GatedTanh.bytes(a));
        }
    }

    private static void thrown(Throwable failure) throws IOException {
        if (failure instanceof IOException e) {
            throw e;
        }
        if (failure instanceof Error e) {
            throw e;
        }
        throw (RuntimeException) failure;
    }

    @Test
    void whoWaitsForAFetchThatFailsIsTold() throws Exception {
        put("a", 1);
        Gate gate = new Gate();
        source.before = name -> {
            gate.pass();
            throw new OutOfMemoryError("too much");
        };
        try (AdapterBank bank = bank()) {
            List<Future<INDArray>> answers = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                answers.add(callers.submit(() -> bank.output("a", input)));
            }
            gate.awaitSomebody();
            gate.open();

            for (Future<INDArray> answer : answers) {
                assertThatThrownBy(answer::get).hasCauseInstanceOf(UncheckedIOException.class).hasMessageContaining("\"a\"")
                        .hasMessageContaining("too much");
            }
        }
    }

    /** Whoever is interrupted while it fetches closes the file that it reads, but not for those who wait for it. */
    @ParameterizedTest(name = "and reads: {0}")
    @ValueSource(booleans = {false, true})
    void whoIsInterruptedWhileItFetchesGoesOn(boolean reads) throws Exception {
        LoRAAdapter a = put("a", 1);
        Gate gate = new Gate();
        source.before = name -> {
            gate.pass();
            if (Thread.currentThread().isInterrupted()) {
                throw reads ? new ClosedByInterruptException() : new InterruptedIOException("while it waits");
            }
        };
        try (AdapterBank bank = bank()) {
            List<Object> answer = new CopyOnWriteArrayList<>();
            Thread fetches = new Thread(() -> {
                answer.add(bank.output("a", input));
                answer.add(Thread.currentThread().isInterrupted());
            });
            fetches.start();
            gate.awaitSomebody();
            Future<INDArray> waits = callers.submit(() -> bank.output("a", input));
            fetches.interrupt();
            gate.open();

            requireAnswer(waits.get(), a);
            fetches.join();
            requireAnswer((INDArray) answer.get(0), a);
            assertThat(answer.get(1)).isEqualTo(true);
        }
    }

    @Test
    void anAdapterOfAnotherBaseIsRefusedByItsName() {
        MultiLayerNetwork stranger = GatedTanh.network();
        stranger.params().addi(1);
        source.adapters.put("strange", GatedTanh.adapter(stranger, 1));
        try (AdapterBank bank = bank()) {
            for (int time = 0; time < 2; time++) {
                assertThatThrownBy(() -> bank.output("strange", input)).isInstanceOf(UncheckedIOException.class)
                        .hasMessageContainingAll("\"strange\"", "\"fc\"");
            }
            assertThat(source.asked).hasSize(2);
            assertThat(bank.status().adapters()).isZero();
        }
    }

    @Test
    void whatTheSourceDoesNotHaveIsUnknownAndItMayComeLater() {
        put("b", 2);
        try (AdapterBank bank = bank()) {
            assertThatThrownBy(() -> bank.output("a", input)).isInstanceOf(UnknownAdapterException.class)
                    .hasMessageContainingAll("\"a\"", "neither has its source");
            assertThatThrownBy(() -> bank.submit(BankRequest.of("a", input)).join())
                    .hasCauseInstanceOf(UnknownAdapterException.class);
            assertThat(metrics.count("notLoaded")).as("there is nothing to load").isZero();
            LoRAAdapter a = put("a", 1);

            requireAnswer(bank.output("a", input), a);
        }
    }

    @Test
    void aSourceThatCannotTellItsNamesStillServes() {
        LoRAAdapter a = GatedTanh.adapter(base, 1);
        for (Exception failure : List.of(new IOException("no list"), new SecurityException("no list"))) {
            AdapterSource dumb = new AdapterSource() {
                @Override
                public List<String> names() throws IOException {
                    thrown(failure);
                    return null;
                }

                @Override
                public Optional<LoRAAdapter> load(String name) {
                    return name.equals("a") ? Optional.of(a) : Optional.empty();
                }
            };
            try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().source(dumb).build())) {
                bank.add("own", a);
                requireAnswer(bank.output("a", input), a);
                assertThatThrownBy(bank::names).hasMessageContaining("no list");
                assertThatThrownBy(() -> bank.output("b", input)).isInstanceOf(UnknownAdapterException.class)
                        .hasMessageContainingAll("\"b\"", "own");
                assertThatThrownBy(() -> bank.remove("b")).isInstanceOf(UnknownAdapterException.class);
            }
        }
    }

    /** A list may take as long as a file system, or a network, wants. */
    @Test
    void nobodyWaitsWhileASourceListsItsNames() throws Exception {
        LoRAAdapter a = GatedTanh.adapter(base, 1);
        Gate gate = new Gate();
        AdapterSource slow = new AdapterSource() {
            @Override
            public List<String> names() {
                gate.pass();
                return List.of();
            }

            @Override
            public Optional<LoRAAdapter> load(String name) {
                return Optional.empty();
            }
        };
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().source(slow).build())) {
            bank.add("a", a);
            Future<List<String>> lists = callers.submit(bank::names);
            gate.awaitSomebody();

            requireAnswer(callers.submit(() -> bank.output("a", input)).get(), a);
            callers.submit(() -> bank.add("b", a)).get();

            gate.open();
            assertThat(lists.get()).containsExactly("a");
        }
    }

    @Test
    void nobodyWhoAsksForAnUnknownNameHasTheSourceListIts() {
        AdapterSource dear = new AdapterSource() {
            @Override
            public List<String> names() {
                throw new AssertionError("asked for all names");
            }

            @Override
            public Optional<LoRAAdapter> load(String name) {
                return Optional.empty();
            }
        };
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().source(dear).build())) {
            assertThatThrownBy(() -> bank.output("x", input)).isInstanceOf(UnknownAdapterException.class)
                    .hasMessage("The bank has no adapter \"x\", and neither has its source");
            bank.add("a", GatedTanh.adapter(base, 1));
            assertThatThrownBy(() -> bank.remove("x")).isInstanceOf(UnknownAdapterException.class)
                    .hasMessageEndingWith("the adapters added are [a]");
        }
    }

    @Test
    void whatIsCheckedIsNotAdded() {
        LoRAAdapter adapter = GatedTanh.adapter(base, 1);
        MultiLayerNetwork stranger = GatedTanh.network();
        stranger.params().addi(1);
        LoRAAdapter strange = GatedTanh.adapter(stranger, 1);
        AdapterBank bank = bank();
        bank.check("new", adapter);
        assertThatThrownBy(() -> bank.check("new", strange)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"new\"", "\"fc\"");
        assertThat(bank.names()).isEmpty();
        assertThat(bank.status().adapterBytes()).isZero();
        bank.close();
        assertThatThrownBy(() -> bank.check("new", adapter)).hasMessage("The bank is closed");
    }

    @Test
    void whatCameFromTheSourceIsRefreshedNotRemoved() {
        put("a", 1);
        try (AdapterBank bank = bank()) {
            bank.output("a", input);

            assertThatThrownBy(() -> bank.remove("a")).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("\"a\"", "source", "refresh");
        }
    }

    @Test
    void aBankThatIsClosedWhileItFetchesAnswersNobody() throws Exception {
        put("a", 1);
        Gate gate = new Gate();
        source.before = name -> gate.pass();
        AdapterBank bank = bank();
        Future<INDArray> answer = callers.submit(() -> bank.output("a", input));
        gate.awaitSomebody();
        bank.close();
        gate.open();

        assertThatThrownBy(answer::get).hasCauseInstanceOf(IllegalStateException.class).hasMessageContaining("closed");
        assertThatIllegalStateException().isThrownBy(() -> bank.refresh("a"));
        assertThat(bank.status()).extracting(BankStatus::adapters, BankStatus::adapterBytes, BankStatus::networks)
                .containsExactly(0, 0L, 0);
    }
}
