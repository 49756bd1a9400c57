package io.github.dl4jlora.report.page;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.assertj.core.api.Assertions.assertThat;

class VerdictTest {

    @ParameterizedTest
    @CsvSource({"0.99, nearly the same change", "0.5, partly the same change", "0.2, slightly alike", "0, unrelated",
            "-0.2, slightly opposed", "-0.5, partly opposed", "-1, opposite changes"})
    void cosinesHaveWords(double cosine, String words) {
        assertThat(Verdict.onCosine(cosine)).isEqualTo(words);
    }
}
