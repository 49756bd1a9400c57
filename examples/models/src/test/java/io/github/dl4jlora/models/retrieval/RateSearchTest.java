package io.github.dl4jlora.models.retrieval;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleUnaryOperator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Tag("minilm")
class RateSearchTest {

    private static final List<Double> FIRST = List.of(3e-4, 1e-3, 3e-3);

    private final List<Double> tried = new ArrayList<>();

    private RateSearch search(DoubleUnaryOperator score) {
        return new RateSearch(FIRST, rate -> {
            tried.add(rate);
            return score.applyAsDouble(rate);
        });
    }

    private static double near(double rate, double best) {
        return -Math.abs(Math.log(rate / best));
    }

    @Test
    void aBestInTheMiddleEndsTheSearch() {
        assertThat(search(rate -> near(rate, 1.1e-3)).best()).isEqualTo(1e-3);
        assertThat(tried).isEqualTo(FIRST);
    }

    @Test
    void beyondAnEndThatIsBestTheSearchGoesOn() {
        assertThat(search(rate -> near(rate, 2.9e-2)).best()).isEqualTo(3e-2);
        assertThat(tried).containsExactly(3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1);
        tried.clear();
        RateSearch lower = search(rate -> near(rate, 3.1e-5));
        assertThat(lower.best()).isEqualTo(3e-5);
        assertThat(tried).containsExactly(3e-4, 1e-3, 3e-3, 1e-4, 3e-5, 1e-5);
        assertThat(lower.scores().keySet()).containsExactly(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3);
    }

    @Test
    void theSearchEndsWithTheLastRate() {
        assertThat(search(rate -> rate).best()).isEqualTo(1.0);
        assertThat(search(rate -> -rate).best()).isEqualTo(1e-6);
    }

    @Test
    void ratesThatAreEquallyGoodAreNotLeft() {
        assertThat(search(rate -> 1).best()).isEqualTo(3e-4);
        assertThat(search(rate -> rate < 1e-3 ? 0 : 1).best()).isEqualTo(1e-3);
        assertThat(tried).hasSize(2 * FIRST.size());
    }

    @Test
    void aTrainingThatEndedInNaNIsWorst() {
        assertThat(search(rate -> rate > 5e-4 ? Double.NaN : near(rate, 3e-4)).best()).isEqualTo(3e-4);
        assertThat(tried).containsExactly(3e-4, 1e-3, 3e-3, 1e-4);
        assertThat(search(rate -> Double.NaN).best()).isEqualTo(3e-4);
    }

    @Test
    void whatATrialThrowsEndsTheSearch() {
        assertThatThrownBy(() -> new RateSearch(FIRST, rate -> {
            throw new IOException("full");
        })).isInstanceOf(IOException.class).hasMessage("full");
    }
}
