package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The sorts of adapters and their words in a file. */
class KindTest {

    private static Kind plain(LoRAInit init, int iterations) {
        return new Kind(new PlainLoRA(), init, iterations);
    }

    @ParameterizedTest
    @CsvSource({"GAUSSIAN, 0, gaussian", "ORTHOGONAL, 0, orthogonal", "OLORA, 0, olora", "PISSA, 0, pissa",
        "PISSA, 16, pissa_niter_16", "KAIMING_UNIFORM, 0, true", "LORA_GA, 0, lora_ga"})
    void aStartHasOneWord(LoRAInit init, int iterations, String word) throws AdapterFormatException {
        Kind kind = plain(init, iterations);

        assertThat(kind.peftInit()).hasToString(word);
        assertThat(Kind.recorded(word, new PlainLoRA())).isEqualTo(kind);
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "1000, 1000", "0, 1", "-3, 1"})
    void iterationsOfAStartAreAtLeastOne(int written, int read) throws AdapterFormatException {
        assertThat(Kind.of("pissa_niter_" + written, false, null, null)).isEqualTo(plain(LoRAInit.PISSA, read));
    }

    @ParameterizedTest
    @CsvSource({"pissa_niter_1001, at most 1000 iterations", "pissa_niter_, names no number", "pissa_niter_x, names no number",
        "corda, is not supported", "lora_ga, is not supported"})
    void otherStartsAreRefused(String word, String reason) {
        assertThatThrownBy(() -> Kind.of(word, false, null, null)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(word, reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"true", "false", "eva", "mica", "EVA"})
    void whatIsInTheValuesAlreadyIsRememberedOnlyIfTheFileSaysSo(String word) throws AdapterFormatException {
        assertThat(Kind.of(word, false, null, null)).isEqualTo(Kind.PLAIN);
        assertThat(Kind.of(word, false, null, "KAIMING_UNIFORM_RANK").init()).isEqualTo(LoRAInit.KAIMING_UNIFORM_RANK);
        assertThat(Kind.of(word, false, null, "PISSA").init()).as("not without its start").isEqualTo(LoRAInit.KAIMING_UNIFORM);
        assertThat(Kind.of(word, false, null, "OF_THE_FUTURE").init()).isEqualTo(LoRAInit.KAIMING_UNIFORM);
    }

    @Test
    void theVariantIsTheFilesUnlessItIsDora() throws AdapterFormatException {
        assertThat(Kind.of(null, false, null, null).variant()).isEqualTo(new PlainLoRA());
        assertThat(Kind.of(null, false, new FrozenALoRA().name(), null).variant()).isEqualTo(new FrozenALoRA());
        assertThat(Kind.of(null, true, new FrozenALoRA().name(), null).variant()).isEqualTo(new DoRA());
        assertThat(Kind.of(null, true, null, null).isDora()).isTrue();
        assertThat(Kind.PLAIN.isDora()).isFalse();
        for (String variant : new String[] {new DoRA().name(), "OfTheFuture"}) {
            assertThatThrownBy(() -> Kind.of(null, false, variant, null)).isInstanceOf(AdapterFormatException.class)
                    .hasMessageContainingAll("\"" + variant + "\" is not supported", "use_dora");
        }
    }

    @Test
    void startsFromDataOrFromQuantisingAreInTheValues() {
        assertThat(plain(LoRAInit.LOFTQ, 3)).isEqualTo(Kind.PLAIN);
        assertThat(plain(LoRAInit.EVA, 0)).isEqualTo(Kind.PLAIN);
    }

    @Test
    void whatPeftWouldComputeOtherwiseIsAStartOfItsOwn() {
        assertThat(plain(LoRAInit.PISSA, 1).isStartOfItsOwn()).isTrue();
        assertThat(plain(LoRAInit.LORA_GA, 0).isStartOfItsOwn()).isTrue();
        assertThat(plain(LoRAInit.PISSA, 0).isStartOfItsOwn()).isFalse();
        assertThat(plain(LoRAInit.OLORA, 0).isStartOfItsOwn()).isFalse();
    }

    @Test
    void aStartIsToldInWords() {
        assertThat(plain(LoRAInit.PISSA, 0).start()).isEqualTo("PISSA");
        assertThat(plain(LoRAInit.PISSA, 1).start()).isEqualTo("PISSA with 1 iterations");
        assertThat(new Kind(new FrozenALoRA(), LoRAInit.PISSA, 4).started()).isEqualTo(new Kind(new FrozenALoRA(),
                LoRAInit.KAIMING_UNIFORM, 0));
        Kind.PLAIN.requireNameInFiles();
    }
}
