package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What files call the kinds of adapters. */
class KindNamesTest {

    private static Kind plain(LoRAInit init, int iterations) {
        return new Kind(new PlainLoRA(), init, iterations);
    }

    @ParameterizedTest
    @CsvSource({"GAUSSIAN, 0, gaussian", "ORTHOGONAL, 0, orthogonal", "OLORA, 0, olora", "PISSA, 0, pissa",
        "PISSA, 16, pissa_niter_16", "KAIMING_UNIFORM, 0, true", "LORA_GA, 0, lora_ga"})
    void aStartHasOneWord(LoRAInit init, int iterations, String word) throws AdapterFormatException {
        Kind kind = plain(init, iterations);

        KindNames.requireName(kind);
        assertThat(KindNames.init(kind)).hasToString(word);
        assertThat(KindNames.recorded(word, new PlainLoRA())).isEqualTo(kind);
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "1000, 1000", "0, 1", "-3, 1"})
    void iterationsOfAStartAreAtLeastOne(int written, int read) throws AdapterFormatException {
        assertThat(KindNames.of("pissa_niter_" + written, false, null, null)).isEqualTo(plain(LoRAInit.PISSA, read));
    }

    @ParameterizedTest
    @CsvSource({"pissa_niter_1001, at most 1000 iterations", "pissa_niter_, does not name a number",
        "pissa_niter_x, does not name a number", "corda, is not supported", "lora_ga, is not supported"})
    void otherStartsAreRefused(String word, String reason) {
        assertThatThrownBy(() -> KindNames.of(word, false, null, null)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(word, reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"true", "false", "eva", "mica", "EVA"})
    void whatIsInTheValuesAlreadyIsRememberedOnlyIfTheFileSaysSo(String word) throws AdapterFormatException {
        assertThat(KindNames.of(word, false, null, null)).isEqualTo(Kind.PLAIN);
        assertThat(KindNames.of(word, false, null, "KAIMING_UNIFORM_RANK").init()).isEqualTo(LoRAInit.KAIMING_UNIFORM_RANK);
        assertThat(KindNames.of(word, false, null, "PISSA").init()).as("not without its start")
                .isEqualTo(LoRAInit.KAIMING_UNIFORM);
        assertThat(KindNames.of(word, false, null, "OF_THE_FUTURE").init()).isEqualTo(LoRAInit.KAIMING_UNIFORM);
    }

    @Test
    void theVariantIsTheFilesUnlessItIsDora() throws AdapterFormatException {
        assertThat(KindNames.of(null, false, null, null).variant()).isEqualTo(new PlainLoRA());
        assertThat(KindNames.of(null, false, new FrozenALoRA().name(), null).variant()).isEqualTo(new FrozenALoRA());
        assertThat(KindNames.of(null, true, new FrozenALoRA().name(), null).variant()).isEqualTo(new DoRA());
        assertThat(KindNames.of(null, true, null, null).isDora()).isTrue();
        assertThat(Kind.PLAIN.isDora()).isFalse();
        for (String variant : new String[] {new DoRA().name(), "OfTheFuture"}) {
            assertThatThrownBy(() -> KindNames.of(null, false, variant, null)).isInstanceOf(AdapterFormatException.class)
                    .hasMessageContainingAll("\"" + variant + "\" is not supported", "use_dora");
        }
    }

    @Test
    void whatPeftWouldComputeOtherwiseIsAStartOfItsOwn() {
        assertThat(KindNames.isStartOfItsOwn(plain(LoRAInit.PISSA, 1))).isTrue();
        assertThat(KindNames.isStartOfItsOwn(plain(LoRAInit.LORA_GA, 0))).isTrue();
        assertThat(KindNames.isStartOfItsOwn(plain(LoRAInit.PISSA, 0))).isFalse();
        assertThat(KindNames.isStartOfItsOwn(plain(LoRAInit.OLORA, 0))).isFalse();
        assertThat(KindNames.isStartOfItsOwn(plain(LoRAInit.OLORA, 0).elsewhere())).isTrue();
    }
}
