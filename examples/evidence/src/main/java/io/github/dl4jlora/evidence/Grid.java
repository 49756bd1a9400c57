package io.github.dl4jlora.evidence;

import io.github.dl4jlora.examples.Spread;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The results of methods on one task, each at several rates and with several seeds. */
public final class Grid {

    private final Task task;
    private final long[] seeds;
    private final int epochs;
    private final Map<Training, Trained> outcomes;

    /** Runs the trainings that have not run yet. */
    public Grid(Lab lab, Task task, Collection<Method> methods, double[] rates, long[] seeds, int epochs) {
        this.task = task;
        this.seeds = seeds;
        this.epochs = epochs;
        outcomes = lab.run(methods.stream().flatMap(method -> Arrays.stream(rates).boxed().flatMap(rate ->
                trainings(method, rate).stream())).toList());
    }

    private List<Training> trainings(Method method, double rate) {
        return Arrays.stream(seeds).mapToObj(seed -> new Training(task, method, rate, seed, epochs)).toList();
    }

    /** {@return the results of a method at a rate, one for each seed, in the order of the seeds} */
    public List<Trained> of(Method method, double rate) {
        return trainings(method, rate).stream().map(outcomes::get).toList();
    }

    /** {@return a figure of a method at a rate, over the seeds} */
    public Spread spread(Method method, double rate, ToDoubleFunction<Trained> figure) {
        return Spread.of(of(method, rate), figure);
    }
}
