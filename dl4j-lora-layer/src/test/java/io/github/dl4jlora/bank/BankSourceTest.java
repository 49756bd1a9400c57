package io.github.dl4jlora.bank;

import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapters of a source: when they are fetched, who waits for whom, and who gets which. */
@MayHang
class BankSourceTest extends SourceFixture {

    @Test
    void anAdapterIsFetchedWhenItIsFirstAskedFor() {
        LoRAAdapter a = put("a", 1);
        put("b", 2);
        try (AdapterBank bank = bank()) {
            assertThat(source.asked).isEmpty();
            assertThat(bank.names()).containsExactly("a", "b");

            for (int time = 0; time < 3; time++) {
                requireAnswer(bank.output("a", input), a);
                requireAnswer(bank.submit(BankRequest.of("a", input)).join()[0], a);
            }

            assertThat(source.asked).containsExactly("a");
            assertThat(bank.status()).extracting(BankStatus::adapters, BankStatus::adapterBytes, BankStatus::evictable)
                    .containsExactly(1, GatedTanh.bytes(a), GatedTanh.bytes(a));
            assertThat(metrics.told()).contains("loaded a " + GatedTanh.bytes(a));
        }
    }

    @Test
    void whatWasAddedComesBeforeWhatTheSourceHas() {
        put("a", 1);
        LoRAAdapter own = GatedTanh.adapter(base, 2);
        try (AdapterBank bank = bank()) {
            bank.output("a", input);
            bank.add("a", own);

            requireAnswer(bank.output("a", input), own);
            assertThat(bank.names()).containsExactly("a");
            assertThat(bank.status().evictable()).isZero();
            bank.refresh("a");
            requireAnswer(bank.output("a", input), own);
            bank.remove("a");

            requireAnswer(bank.output("a", input), source.adapters.get("a"));
            assertThat(source.asked).containsExactly("a", "a");
        }
    }

    @Test
    void manyWhoAskAtOnceWaitForOneFetch() throws Exception {
        LoRAAdapter a = put("a", 1);
        Gate gate = new Gate();
        source.before = name -> gate.pass();
        try (AdapterBank bank = bank()) {
            List<Future<INDArray>> answers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                answers.add(callers.submit(() -> bank.output("a", input)));
                answers.add(bank.submit(BankRequest.of("a", input)).thenApply(outputs -> outputs[0]));
            }
            gate.awaitSomebody();
            gate.open();

            for (Future<INDArray> answer : answers) {
                requireAnswer(answer.get(), a);
            }
            assertThat(source.asked).containsExactly("a");
        }
    }

    @Test
    void whoWaitsForAnAdapterHoldsNobodyElseUp() throws Exception {
        put("slow", 1);
        LoRAAdapter quick = put("quick", 2);
        Gate gate = new Gate();
        try (AdapterBank bank = bank()) {
            bank.output("quick", input);
            source.before = name -> gate.pass();
            CompletableFuture<INDArray[]> slow = bank.submit(BankRequest.of("slow", input));
            gate.awaitSomebody();

            requireAnswer(bank.submit(BankRequest.of("quick", input)).join()[0], quick);
            requireAnswer(bank.output("quick", input), quick);

            assertThat(slow).isNotDone();
            gate.open();
            requireAnswer(slow.join()[0], source.adapters.get("slow"));
        }
    }

    @Test
    void requestsForOneAdapterTakeOneThreadWhileItIsRead() throws Exception {
        put("slow", 1);
        LoRAAdapter other = put("other", 2);
        Gate gate = new Gate();
        source.before = name -> {
            if (name.equals("slow")) {
                gate.pass();
            }
        };
        try (AdapterBank bank = bank()) {
            List<CompletableFuture<INDArray[]>> slow = new ArrayList<>();
            for (int i = 0; i < 5; i++) {
                slow.add(bank.submit(BankRequest.of("slow", input)));
            }
            gate.awaitSomebody();

            requireAnswer(bank.submit(BankRequest.of("other", input)).join()[0], other);
            assertThatThrownBy(bank.submit(BankRequest.of("none", input))::join)
                    .hasCauseInstanceOf(UnknownAdapterException.class);
            slow.get(1).cancel(false);
            assertThat(slow).filteredOn(CompletableFuture::isDone).hasSize(1);
            assertThat(bank.status().queued()).isEqualTo(4 * input.size(0));
            gate.open();

            slow.remove(1);
            for (CompletableFuture<INDArray[]> answer : slow) {
                requireAnswer(answer.join()[0], source.adapters.get("slow"));
            }
            assertThat(source.asked).containsOnlyOnce("slow", "other");
        }
    }

    /** A file may have been read in part when it is replaced. */
    @ParameterizedTest(name = "and fails: {0}")
    @ValueSource(booleans = {false, true})
    void whatIsFetchedDuringARefreshIsNotKept(boolean fails) throws Exception {
        LoRAAdapter old = put("a", 1);
        Gate gate = new Gate();
        source.before = name -> {
            gate.pass();
            if (fails && source.asked.size() == 1) {
                throw new IOException("read in part");
            }
        };
        try (AdapterBank bank = bank()) {
            Future<INDArray> before = callers.submit(() -> bank.output("a", input));
            gate.awaitSomebody();
            LoRAAdapter replaced = put("a", 2);
            bank.refresh("a");
            Future<INDArray> after = callers.submit(() -> bank.output("a", input));
            Future<INDArray> submitted = bank.submit(BankRequest.of("a", input)).thenApply(outputs -> outputs[0]);
            gate.open();

            if (fails) {
                assertThatThrownBy(before::get).hasMessageContaining("read in part");
            } else {
                requireAnswer(before.get(), old);
            }
            requireAnswer(after.get(), replaced);
            requireAnswer(submitted.get(), replaced);
            assertThat(source.asked).containsExactly("a", "a");
            assertThat(source.mostAtOnce).as("for one name by one thread at a time").hasValue(1);
            assertThat(bank.status().evictable()).isEqualTo(GatedTanh.bytes(replaced));
        }
    }

    @Test
    void whatIsFetchedWhileAnotherIsAddedIsForThoseWhoAskedBefore() throws Exception {
        LoRAAdapter old = put("a", 1);
        LoRAAdapter added = GatedTanh.adapter(base, 2);
        Gate gate = new Gate();
        source.before = name -> gate.pass();
        try (AdapterBank bank = bank()) {
            Future<INDArray> before = callers.submit(() -> bank.output("a", input));
            gate.awaitSomebody();
            bank.add("a", added);

            requireAnswer(bank.output("a", input), added);
            gate.open();
            requireAnswer(before.get(), old);
            requireAnswer(bank.output("a", input), added);
            assertThat(bank.status()).extracting(BankStatus::adapters, BankStatus::evictable).containsExactly(1, 0L);
        }
    }

    @Test
    @Tag("long")
    void aSourceOfFiveHundredIsServedOnABudgetOfTen() {
        int many = 500;
        LoRAAdapter[] few = new LoRAAdapter[7];
        for (int i = 0; i < few.length; i++) {
            few[i] = GatedTanh.adapter(base, 3 * i);
        }
        for (int i = 0; i < many; i++) {
            source.adapters.put("a" + i, few[i % few.length]);
        }
        long budget = 10 * GatedTanh.bytes(few[0]);
        try (AdapterBank bank = new AdapterBank(base,
                BankConfig.builder().maxNetworks(2).source(source).maxBytes(budget).metrics(metrics).build())) {
            List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
            for (int i = 0; i < many; i++) {
                answers.add(bank.submit(BankRequest.of("a" + i, input)));
                if (i % 50 == 49) {
                    answers.get(i).join();
                }
            }
            for (int i = 0; i < many; i++) {
                requireAnswer(answers.get(i).join()[0], few[i % few.length]);
            }
            assertThat(metrics.count("loaded")).isEqualTo(many);
            assertThat(metrics.count("evicted")).isEqualTo(many - 10);
            assertThat(bank.status()).extracting(BankStatus::adapters, BankStatus::evictable).containsExactly(10, budget);
        }
    }
}
