package io.github.dl4jlora.models.retrieval;

import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Looks for the best learning rate among 1e-6, 3e-6, 1e-5 and so on to 1. It begins with some of them, and goes on beyond the
 * highest or the lowest while that is the best of all: a best rate that nothing was tried beyond may not be the best.
 */
final class RateSearch {

    private static final List<Double> LADDER = IntStream.rangeClosed(-6, 0).boxed()
            .flatMap(power -> List.of(Double.valueOf("1e" + power), Double.valueOf("3e" + power)).stream())
            .filter(rate -> rate <= 1).toList();

    private final NavigableMap<Double, Double> scores = new TreeMap<>();

    /** Trains and tests with a rate. */
    @FunctionalInterface
    interface Trial<E extends Exception> {

        /** {@return more for a better rate; NaN for one that is none at all} */
        double score(double rate) throws E;
    }

    /** @param first neighbours among the rates, from the lowest to the highest */
    <E extends Exception> RateSearch(List<Double> first, Trial<E> trial) throws E {
        Deque<Double> next = new ArrayDeque<>(first);
        while (!next.isEmpty()) {
            double rate = next.remove();
            double score = trial.score(rate);
            scores.put(rate, Double.isNaN(score) ? Double.NEGATIVE_INFINITY : score);
            if (next.isEmpty()) {
                next.addAll(beyond());
            }
        }
    }

    /** {@return the next rate beyond an end that is better than all others, if there is one} */
    private List<Double> beyond() {
        double best = best();
        boolean isAlone = Collections.frequency(scores.values(), scores.get(best)) == 1;
        int next = LADDER.indexOf(best) + (best == scores.lastKey() ? 1 : best == scores.firstKey() ? -1 : 0);
        boolean isNew = next >= 0 && next < LADDER.size() && !scores.containsKey(LADDER.get(next));
        return isAlone && isNew ? List.of(LADDER.get(next)) : List.of();
    }

    /** {@return the rate with the highest score, the lowest of several} */
    double best() {
        return scores.entrySet().stream().max(Map.Entry.<Double, Double>comparingByValue()
                .thenComparing(Map.Entry.comparingByKey(Comparator.reverseOrder()))).orElseThrow().getKey();
    }

    /** {@return the scores, from the lowest rate to the highest} */
    NavigableMap<Double, Double> scores() {
        return scores;
    }
}
