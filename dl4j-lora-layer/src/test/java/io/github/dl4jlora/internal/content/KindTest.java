package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.variant.FrozenALoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

/** The kinds of adapters. */
class KindTest {

    private static Kind plain(LoRAInit init, int iterations) {
        return new Kind(new PlainLoRA(), init, iterations);
    }

    @Test
    void startsFromDataOrFromQuantisingAreInTheValues() {
        assertThat(plain(LoRAInit.LOFTQ, 3)).isEqualTo(Kind.PLAIN);
        assertThat(plain(LoRAInit.EVA, 0)).isEqualTo(Kind.PLAIN);
    }

    @Test
    void aStartIsToldInWords() {
        assertThat(plain(LoRAInit.PISSA, 0).start()).isEqualTo("PISSA");
        assertThat(plain(LoRAInit.PISSA, 1).start()).isEqualTo("PISSA with 1 iterations");
        assertThat(new Kind(new FrozenALoRA(), LoRAInit.PISSA, 4).started()).isEqualTo(new Kind(new FrozenALoRA(),
                LoRAInit.KAIMING_UNIFORM, 0));
    }
}
