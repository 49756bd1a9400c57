package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.report.page.ScoreHistory;

import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * What became of a task by one method.
 *
 * @param rate     Adam's learning rate
 * @param rankings of the test, one for each seed
 * @param trained  values that learned
 * @param seconds  of the first seed's training
 * @param losses   of the first seed's training
 */
record Outcome(Method method, double rate, List<Ranking> rankings, long trained, double seconds, ScoreHistory losses) {

    /** {@return the mean over the seeds} */
    double mean(ToDoubleFunction<Ranking> measure) {
        return rankings.stream().mapToDouble(measure).average().orElse(Double.NaN);
    }

    double lowest(ToDoubleFunction<Ranking> measure) {
        return rankings.stream().mapToDouble(measure).min().orElse(Double.NaN);
    }

    double highest(ToDoubleFunction<Ranking> measure) {
        return rankings.stream().mapToDouble(measure).max().orElse(Double.NaN);
    }
}
