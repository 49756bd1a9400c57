package io.github.dl4jlora.transformers;

import org.junit.jupiter.api.Test;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Tokens by logits, as PyTorch computes transformers' formulas. */
class SamplingTest {

    private static final double NEVER = Double.NEGATIVE_INFINITY;

    private static double[] numbers(JsonNode list) {
        return StreamSupport.stream(list.spliterator(), false).mapToDouble(JsonNode::doubleValue).toArray();
    }

    @Test
    void probabilitiesAreThoseOfTransformersFormulas() {
        int compared = 0;
        for (JsonNode one : GeneratedTexts.ofPyTorch().sampling()) {
            double[] probabilities = numbers(one.get("logits"));
            new Sampling(true, one.get("temperature").doubleValue(), one.get("top_k").intValue(), one.get("top_p").doubleValue())
                    .toProbabilities(probabilities);
            assertThat(probabilities).as(one.toString()).containsExactly(numbers(one.get("probabilities")), within(1e-12));
            compared++;
        }
        assertThat(compared).isGreaterThan(10);
    }

    @Test
    void ofEqualTokensTheNucleusHasTheFirst() {
        double[] probabilities = {0, 0, 0, 0};
        new Sampling(true, 1, 0, 0.5).toProbabilities(probabilities);

        assertThat(probabilities).containsExactly(0.5, 0.5, 0, 0);
    }

    /** 20,000 draws: the standard deviation of a share is at most 0.0036. */
    @Test
    void tokensAreChosenAsOftenAsTheirProbabilitiesSay() {
        Sampling sampling = new Sampling(true, 1, 0, 1);
        double[] expected = {0.1, 0.2, 0, 0.3, 0.4};
        int[] chosen = new int[5];
        Random random = new Random(7);
        for (int i = 0; i < 20_000; i++) {
            chosen[sampling.choose(new double[]{Math.log(0.1), Math.log(0.2), NEVER, Math.log(0.3), Math.log(0.4)}, random)]++;
        }

        IntStream.range(0, 5).forEach(token ->
                assertThat(chosen[token] / 20_000.0).isCloseTo(expected[token], within(0.015)));
        assertThat(chosen[2]).isZero();
    }

    @Test
    void withoutChanceItIsTheFirstOfTheLikeliest() {
        assertThat(new Sampling(false, 1, 0, 1).choose(new double[]{1, 3, 3, 2}, new Random(1))).isEqualTo(1);
    }

    @Test
    void logitsOfWhichNoneIsTheLikeliestAreRefused() {
        for (boolean random : new boolean[]{false, true}) {
            Sampling sampling = new Sampling(random, 1, 0, 1);
            assertThatThrownBy(() -> sampling.choose(new double[]{1, Double.NaN}, new Random(1)))
                    .isInstanceOf(IllegalStateException.class).hasMessageContainingAll("token 1", "NaN", "finite");
            assertThatThrownBy(() -> sampling.choose(new double[]{NEVER, NEVER}, new Random(1)))
                    .isInstanceOf(IllegalStateException.class).hasMessageContaining("minNewTokens");
        }
    }
}
