package io.github.dl4jlora.bank;

import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

/** A base that has changed is found, and nobody is answered from it. */
@MayHang
class BaseVerifierTest {

    private final MultiLayerNetwork base = GatedTanh.network();
    private final LoRAAdapter adapter = GatedTanh.adapter(base, 1);
    private final INDArray input = GatedTanh.input(5, 2);

    @AfterEach
    void end() {
        GatedTanh.reset();
    }

    private AdapterBank bank(BankConfig.Builder config) {
        AdapterBank bank = new AdapterBank(base, config.maxNetworks(1).build());
        bank.add("a", adapter);
        return bank;
    }

    private void requireRefused(AdapterBank bank, BankSession session) {
        for (Runnable call : List.<Runnable>of(() -> bank.output("a", input), () -> bank.output(AdapterBank.BASE, input),
                () -> bank.submit(BankRequest.of("a", input)), () -> bank.session(AdapterMix.of("a")),
                () -> bank.submit(BankRequest.of("a", input), Duration.ofDays(1)), () -> session.output(input),
                () -> bank.output(new String[] {"a", AdapterBank.BASE}, input))) {
            assertThatIllegalStateException().isThrownBy(call::run).withMessageContaining("\"fc\"");
        }
    }

    @Test
    void aChangeIsFoundAtIntervals() throws Exception {
        try (AdapterBank bank = bank(BankConfig.builder().verifyEvery(Duration.ofMillis(1)));
                BankSession session = bank.session(AdapterMix.of("a"))) {
            assertThat(Networks.difference(bank.output("a", input), GatedTanh.answer(base, adapter, input))).isLessThan(1e-5);
            INDArray weights = base.getParam("0_W");
            weights.putScalar(0, weights.getDouble(0) + 1);

            Gate.until(() -> {
                try {
                    bank.output("a", input);
                    return false;
                } catch (IllegalStateException found) {
                    return true;
                }
            });

            requireRefused(bank, session);
            weights.putScalar(0, weights.getDouble(0) - 1);
            requireRefused(bank, session);
        }
    }

    @Test
    void aChangeIsFoundByWhoAsks() {
        try (AdapterBank bank = bank(BankConfig.builder()); BankSession session = bank.session(AdapterMix.of("a"))) {
            bank.verify();
            base.params().addi(1);
            bank.output("a", input);

            assertThatIllegalStateException().isThrownBy(bank::verify).withMessageContaining("\"fc\"");

            requireRefused(bank, session);
        }
    }

    @Test
    void aBaseThatWasClosedIsFound() {
        try (AdapterBank bank = bank(BankConfig.builder()); BankSession session = bank.session(AdapterMix.of("a"))) {
            base.params().close();

            assertThatIllegalStateException().isThrownBy(bank::verify);
            requireRefused(bank, session);
        }
    }

    @Test
    void whatWasSubmittedBeforeIsAnswered() throws Exception {
        INDArray expected = GatedTanh.answer(base, adapter, input);
        try (AdapterBank bank = bank(BankConfig.builder())) {
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> under = bank.submit(BankRequest.of("a", input));
            gate.awaitSomebody();
            base.getParam("1_b").addi(1);
            assertThatIllegalStateException().isThrownBy(bank::verify).withMessageContaining("\"out\"");
            base.getParam("1_b").subi(1);
            gate.open();

            assertThat(Networks.difference(under.join()[0], expected)).isLessThan(1e-5);
        }
    }

    /** Whatever a look throws, out of memory for example, there is a next one. */
    @Test
    void oneLookThatFailsIsNotTheLast() throws Exception {
        AtomicInteger looks = new AtomicInteger();
        try (BaseVerifier verifier = new BaseVerifier(() -> {
            switch (looks.incrementAndGet()) {
                case 1 -> throw new OutOfMemoryError("for once");
                case 2 -> throw new IllegalArgumentException("for once");
                case 5 -> throw new IllegalStateException("changed");
                default -> { }
            }
        }, Duration.ofNanos(1))) {
            Gate.until(() -> looks.get() == 4 || looks.get() > 5);
            Gate.until(() -> looks.get() > 6);

            assertThatIllegalStateException().isThrownBy(verifier::requireIntact).withMessage("changed");
        }
    }

    @Test
    void looksEndWithTheBank() {
        AtomicInteger looks = new AtomicInteger();
        BaseVerifier verifier = new BaseVerifier(looks::incrementAndGet, Duration.ofDays(1_000_000));
        verifier.requireIntact();
        verifier.close();
        verifier.close();

        assertThat(looks).hasValue(0);
    }
}
