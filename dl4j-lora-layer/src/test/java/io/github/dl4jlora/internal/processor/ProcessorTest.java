package io.github.dl4jlora.internal.processor;

import io.github.dl4jlora.internal.processor.Processor.Vectors;
import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class ProcessorTest {

    @Test
    void linuxTellsNameVectorsAndTheFastestClock() {
        Processor processor = Processor.of(List.of("model name\t: Some Xeon", "cpu MHz\t\t: 2100.000",
                "flags\t\t: fpu sse2 avx avx2 avx512f", "model name\t: Some Xeon", "cpu MHz\t\t: 2500.000"));

        assertThat(processor.name()).isEqualTo("Some Xeon");
        assertThat(processor.vectors()).isEqualTo(Vectors.AVX_512);
        assertThat(processor.gigahertz()).hasValue(2.5);
        assertThat(processor.peakGflops(2)).hasValue(2 * 2.5 * 64);
    }

    @Test
    void whatIsNotToldIsUnknown() {
        Processor processor = Processor.of(List.of());

        assertThat(processor.name()).isEqualTo("unknown");
        assertThat(processor.vectors()).isEqualTo(Vectors.UNKNOWN);
        assertThat(processor.peakGflops(2)).isEmpty();
    }

    @Test
    void kernelsGoByTheirVectors() {
        assertThat(Vectors.ofKernel("Haswell")).isEqualTo(Vectors.AVX2);
        assertThat(Vectors.ofKernel("SkylakeX")).isEqualTo(Vectors.AVX_512);
        assertThat(Vectors.ofKernel("Barcelona")).isEqualTo(Vectors.SSE);
        assertThat(Vectors.ofKernel("NEOVERSEN1")).isEqualTo(Vectors.UNKNOWN);
        for (Vectors vectors : Vectors.values()) {
            assertThat(Vectors.ofKernel(vectors.anyKernel())).isEqualTo(vectors);
        }
    }
}
