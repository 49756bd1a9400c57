package io.github.dl4jlora.evidence;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A training that can be repeated.
 *
 * @param epochs of the task's examples
 */
public record Training(Task task, Method method, double rate, long seed, int epochs) {

    /** A training with the task's own number of epochs. */
    public Training(Task task, Method method, double rate, long seed) {
        this(task, method, rate, seed, task.epochs());
    }

    /** {@return each method at its rate, with each seed} */
    public static List<Training> atRates(Task task, Map<Method, Double> rates, long[] seeds) {
        return rates.entrySet().stream().flatMap(entry -> Arrays.stream(seeds).mapToObj(seed ->
                new Training(task, entry.getKey(), entry.getValue(), seed))).toList();
    }

    @Override
    public String toString() {
        return task.name() + ", " + method.name() + String.format(Locale.ROOT, ", rate %.1e, seed %d", rate, seed);
    }
}
