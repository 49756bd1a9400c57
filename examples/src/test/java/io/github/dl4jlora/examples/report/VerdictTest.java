package io.github.dl4jlora.examples.report;

import io.github.dl4jlora.LoRA;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.assertj.core.api.Assertions.assertThat;

class VerdictTest {

    @Test
    void aSpectrumThatFallsOffAtOnceWastesItsRank() {
        assertThat(Verdict.onRank(new double[] {5, 0.1, 0.1, 0.1}, 1.3, 4))
                .contains("Of rank 4, 1.3 directions count", "wasted: rank 1 keeps 99 %");
    }

    @Test
    void aFlatSpectrumIsCutOffByItsRank() {
        assertThat(Verdict.onRank(new double[] {5, 4, 4, 3}, 3.9, 4)).contains("a larger one may learn more");
    }

    @Test
    void aSpectrumThatFadesOutIsEnoughOrFits() {
        assertThat(Verdict.onRank(new double[] {5, 4, 3, 0.1}, 3, 4)).contains("enough: rank 3 keeps");
        assertThat(Verdict.onRank(new double[] {5, 4, 3, 1.2}, 3.5, 4)).contains("The rank fits");
    }

    @Test
    void aStartTakenFromTheWeightsIsMeasuredByTwiceItsRank() {
        assertThat(Verdict.onRank(new double[] {5, 4, 4, 3}, 3.9, 2)).startsWith("The rank is 2, ").contains("ΔW has rank 4: 3.9",
                "a larger one may learn more");
        assertThat(Verdict.onRank(new double[] {5, 0.1, 0.1, 0.1}, 1.3, 2)).contains("wasted", "plain LoRA, rank 1 keeps 99 %");
        assertThat(Verdict.onRank(new double[] {5, 4, 3, 0.1}, 3, 2)).doesNotContain("wasted")
                .contains("plain LoRA, rank 3 keeps");
    }

    @Test
    void aRankAboveTheLayersWidthIsNamed() {
        assertThat(Verdict.onRank(new double[] {5, 4}, 2, 8)).contains("narrower than the rank: rank 2 computes the same");
    }

    @Test
    void rankOneAndNoTrainingHaveTheirOwnWords() {
        assertThat(Verdict.onRank(new double[] {5}, 1, 1)).contains("Nothing smaller is possible");
        assertThat(Verdict.onRank(new double[] {0, 0}, 0, 2)).isEqualTo("ΔW is zero: this layer was not trained.");
    }

    @ParameterizedTest
    @CsvSource({"0.99, nearly the same change", "0.5, partly the same change", "0.2, slightly alike", "0, unrelated",
            "-0.2, slightly opposed", "-0.5, partly opposed", "-1, opposite changes"})
    void cosinesHaveWords(double cosine, String words) {
        assertThat(Verdict.onCosine(cosine)).isEqualTo(words);
    }

    @Test
    void directionsAreCountedUntilTheyHoldTheShare() {
        assertThat(Verdict.directionsFor(new double[] {3, 4, 0}, 0.3)).isEqualTo(1);
        assertThat(Verdict.directionsFor(new double[] {3, 4, 0}, 0.99)).isEqualTo(2);
    }
}
