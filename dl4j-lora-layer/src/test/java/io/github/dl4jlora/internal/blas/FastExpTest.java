package io.github.dl4jlora.internal.blas;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.assertj.core.api.Assertions.assertThat;

class FastExpTest {

    @ParameterizedTest
    @CsvSource({"-1, 0, 5e-7", "-4, -1, 2e-6", "-10, -4, 1e-5", "-20, -10, 2e-4"})
    void theErrorIsAsSmallAsItSays(double from, double to, double bound) {
        double worst = 0;
        for (int i = 0; i <= 400_000; i++) {
            float x = (float) (from + (to - from) * i / 400_000);
            worst = Math.max(worst, Math.abs(FastExp.exp(x) / Math.exp(x) - 1));
        }
        assertThat(worst).isLessThan(bound);
    }

    @ParameterizedTest
    @CsvSource({"-30", "-1000", "-Infinity"})
    void farBelowItIsTooSmallToSeeAndNotANumberNever(float x) {
        assertThat(FastExp.exp(x)).isBetween(0f, 1e-12f);
    }
}
