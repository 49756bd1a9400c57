package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.concurrent.CompletableFuture;

import static org.assertj.core.api.Assertions.assertThat;

/** Adapters of a source make room for each other: that which nobody asked for longest goes, and comes again. */
@MayHang
class BankEvictionTest {

    private final MultiLayerNetwork base = GatedTanh.network();
    private final INDArray input = GatedTanh.input(5, 2);
    private final MapSource source = new MapSource();
    private final Recorder metrics = new Recorder();

    @AfterEach
    void end() {
        GatedTanh.reset();
    }

    private LoRAAdapter put(String name, LoRAConfig.Builder config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config.build());
        Networks.randomizeAdapters(tuned.paramTable(), name.hashCode());
        if (name.startsWith("head")) {
            tuned.getParam("1_W").addi(0.1 * name.hashCode() % 7);
        }
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        source.adapters.put(name, adapter);
        return adapter;
    }

    private AdapterBank bank(long budget) {
        return new AdapterBank(base, BankConfig.builder().maxNetworks(2).source(source).maxBytes(budget).metrics(metrics)
                .build());
    }

    private void ask(AdapterBank bank, String names) {
        for (String name : names.split(" ")) {
            assertThat(Networks.difference(bank.output(name, input), GatedTanh.answer(base, source.adapters.get(name), input)))
                    .as(name).isLessThan(1e-5);
        }
    }

    private List<String> toldOf(String what) {
        return metrics.told().stream().filter(line -> line.startsWith(what)).map(line -> line.split(" ")[1]).toList();
    }

    /** Direct requests, submitted ones, sessions and mixes count alike. */
    @ParameterizedTest
    @ValueSource(strings = {"direct", "submitted", "session", "mix"})
    void thatWhichNobodyAskedForLongestGoes(String way) {
        for (String name : List.of("a", "b", "c", "d")) {
            put(name, LoRAConfig.builder().rank(2));
        }
        long each = GatedTanh.bytes(source.adapters.get("a"));
        try (AdapterBank bank = bank(3 * each + each / 2)) {
            ask(bank, "a b c");
            switch (way) {
                case "direct" -> bank.output("a", input);
                case "submitted" -> bank.submit(BankRequest.of("a", input)).join();
                case "session" -> bank.session(AdapterMix.of("a")).close();
                default -> bank.output(AdapterMix.parse("a:0.5 + c:0.5"), input);
            }
            ask(bank, "d");
            assertThat(toldOf("evicted")).containsExactly("b");
            ask(bank, "b");
            assertThat(toldOf("evicted")).containsExactly("b", way.equals("mix") ? "a" : "c");

            assertThat(toldOf("loaded")).containsExactly("a", "b", "c", "d", "b");
            assertThat(bank.status()).extracting(BankStatus::adapters, BankStatus::evictable).containsExactly(3, 3 * each);
            assertThat(bank.names()).containsExactly("a", "b", "c", "d");
        }
    }

    @Test
    void whatIsLargerThanTheBudgetIsServedAlone() {
        put("large", LoRAConfig.builder().rank(4));
        put("small", LoRAConfig.builder().rank(1));
        try (AdapterBank bank = bank(GatedTanh.bytes(source.adapters.get("small")))) {
            ask(bank, "small large large small large");

            assertThat(toldOf("evicted")).containsExactly("small", "large", "small");
            assertThat(bank.status().adapters()).isEqualTo(1);
        }
    }

    @Test
    void addedOnesStay() {
        LoRAAdapter own = put("own", LoRAConfig.builder().rank(4));
        source.adapters.clear();
        put("a", LoRAConfig.builder().rank(1));
        put("b", LoRAConfig.builder().rank(1));
        try (AdapterBank bank = bank(1)) {
            bank.add("own", own);
            ask(bank, "a b a b");

            assertThat(toldOf("evicted")).containsExactly("a", "b", "a");
            assertThat(Networks.difference(bank.output("own", input), GatedTanh.answer(base, own, input))).isLessThan(1e-5);
            assertThat(bank.status().adapterBytes()).isEqualTo(GatedTanh.bytes(own) + bank.status().evictable());
        }
    }

    /** Those with networks of their own: layers, or biases, that were trained in full. */
    @Test
    void thoseWithValuesGoWithTheirNetworks() {
        put("head1", LoRAConfig.builder().rank(1).targets("fc").trainable("out"));
        put("head2", LoRAConfig.builder().rank(1).targets("fc").trainable("out"));
        put("bias", LoRAConfig.builder().rank(1).targets("out").bias("all"));
        put("plain", LoRAConfig.builder().rank(1));
        try (AdapterBank bank = bank(1)) {
            for (int time = 0; time < 2; time++) {
                ask(bank, "head1 head2 bias plain head2 head1 head1");
            }
            assertThat(bank.status().networks()).isLessThanOrEqualTo(2);
            bank.refresh("head1");
            assertThat(bank.status().networks()).isZero();
        }
    }

    /** A network that nobody needs any more goes at once, whether its adapter was evicted or replaced. */
    @Test
    void networksGoWithTheAdaptersThatNeedThem() {
        put("head1", LoRAConfig.builder().rank(1).targets("fc").trainable("out"));
        put("plain", LoRAConfig.builder().rank(1));
        try (AdapterBank bank = bank(1)) {
            ask(bank, "head1 head1 head1");
            assertThat(bank.status().networks()).isEqualTo(1);
            ask(bank, "plain plain");
            assertThat(bank.status().networks()).as("head1 was evicted").isEqualTo(1);

            LoRAAdapter head = put("head2", LoRAConfig.builder().rank(1).targets("fc").trainable("out"));
            bank.add("own", head);
            assertThat(Networks.difference(bank.output("own", input), GatedTanh.answer(base, head, input))).isLessThan(1e-5);
            assertThat(bank.status().networks()).isEqualTo(2);
            bank.replace("own", source.adapters.get("plain"));
            assertThat(bank.status().networks()).as("head2 was replaced").isEqualTo(1);
        }
    }

    @Test
    void allThatAnAdapterHoldsCounts() {
        LoRAAdapter plain = put("plain", LoRAConfig.builder().rank(2).targets("fc", "out"));
        put("dora", LoRAConfig.builder().rank(2).targets("fc", "out").variant(new DoRA()));
        put("bias", LoRAConfig.builder().rank(2).targets("fc", "out").bias("lora_only"));
        try (AdapterBank bank = bank(1L << 20)) {
            ask(bank, "plain");
            assertThat(bank.status().evictable()).isEqualTo(GatedTanh.bytes(plain));
            bank.refresh("plain");
            for (String name : List.of("dora", "bias")) {
                ask(bank, name);
                assertThat(bank.status().evictable()).as(name).isEqualTo(GatedTanh.bytes(plain) + (5 + 2) * Float.BYTES);
                bank.refresh(name);
            }
            assertThat(bank.status().evictable()).isZero();
        }
    }

    @Test
    void requestsInFlightAreAnsweredByWhatWasEvicted() throws Exception {
        put("a", LoRAConfig.builder().rank(1));
        put("b", LoRAConfig.builder().rank(1));
        INDArray expected = GatedTanh.answer(base, source.adapters.get("a"), input);
        try (AdapterBank bank = bank(1)) {
            ask(bank, "a");
            Gate gate = GatedTanh.hold();
            List<CompletableFuture<INDArray[]>> answers = List.of(bank.submit(BankRequest.of("a", input)),
                    bank.submit(BankRequest.of("a", input)));
            gate.awaitSomebody();
            CompletableFuture<INDArray[]> other = bank.submit(BankRequest.of("b", input));
            Gate.until(() -> toldOf("evicted").contains("a"));
            put("a", LoRAConfig.builder().rank(2));
            gate.open();

            answers.forEach(answer -> assertThat(Networks.difference(answer.join()[0], expected)).isLessThan(1e-5));
            other.join();
            ask(bank, "a b");
        }
    }
}
