package io.github.dl4jlora.tune;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LearningRatesTest {

    @Test
    void theSuggestionComesNearlyAsFarAsTheBest() {
        LearningRates rates = new LearningRates(points(2.0, 1.5, 0.19, 0.1, 0.5, Double.NaN), 2.0, 30, false);

        assertThat(rates.best()).isEqualTo(new LearningRates.Point(1e-2, 0.1));
        assertThat(rates.suggested()).isEqualTo(1e-3);
        assertThat(rates.toString()).isEqualToNormalizingNewlines("""
                learning rate  loss
                1.00e-05       2.00           ########################################
                0.000100       1.50           #############################
                0.00100        0.190          ##  <- suggested
                0.0100         0.100  <- best
                0.100          0.500          ########
                1.00           diverged
                30 steps each, loss of the last third; 2.00 without training.""");
    }

    @Test
    void aBestRateAtTheEdgeIsSaidToBeOne() {
        assertThat(new LearningRates(points(2.0, 1.5, 1), 2.0, 30, false).toString()).contains("try higher ones, to(...)");
        assertThat(new LearningRates(points(1, 1.5, 2), 2.0, 30, true).toString()).contains("try lower ones, from(...)");
        LearningRates none = new LearningRates(points(2, 3, Double.POSITIVE_INFINITY), 2.0, 30, true);
        assertThat(none.toString()).contains("None of these rates");
        assertThatThrownBy(none::suggested).isInstanceOf(IllegalStateException.class).hasMessageContaining("from(...)");
    }

    private static List<LearningRates.Point> points(double... losses) {
        return IntStream.range(0, losses.length).mapToObj(i -> new LearningRates.Point(Math.pow(10, i - 5), losses[i])).toList();
    }
}
