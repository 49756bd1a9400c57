package io.github.dl4jlora.benchmarks;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Programs that are timed beside each other. Each is started and warms up while the others wait. Then they take turns of half a
 * second, so that a processor that is slower for some seconds is slower for all.
 */
final class Turns {

    private static final int TURNS = 12;

    private final Measurements measurements;
    private final int rounds;

    /** @param rounds how often all programs are started anew */
    Turns(Measurements measurements, int rounds) {
        this.measurements = measurements;
        this.rounds = rounds;
    }

    /**
     * @param title of a run, for the line about its failure
     * @param start of a run's program
     * @return for each run that did not fail in all rounds, the medians of each of its figures over its turns, and of these over
     *         the rounds
     */
    <R> Map<R, double[]> medians(List<R> runs, Function<R, String> title, Function<R, TurnTaker> start) {
        Map<R, List<double[]>> found = new LinkedHashMap<>();
        for (int round = 0; round < rounds; round++) {
            round(runs, title, start).forEach((run, turns) ->
                    found.computeIfAbsent(run, key -> new ArrayList<>()).add(Measurements.medians(turns)));
        }
        Map<R, double[]> medians = new LinkedHashMap<>();
        found.forEach((run, of) -> medians.put(run, Measurements.medians(of)));
        return medians;
    }

    /** {@return the figures of each turn, by run; without the runs that fail} */
    private <R> Map<R, List<double[]>> round(List<R> runs, Function<R, String> title, Function<R, TurnTaker> start) {
        Map<R, List<double[]>> figures = new LinkedHashMap<>();
        Map<R, TurnTaker> programs = new LinkedHashMap<>();
        try {
            for (R run : runs) {
                measurements.attempt(title.apply(run), () -> start.apply(run), program -> {
                    programs.put(run, program);
                    figures.put(run, new ArrayList<>());
                });
            }
            for (int turn = 0; turn < TURNS; turn++) {
                for (R run : List.copyOf(figures.keySet())) {
                    if (!measurements.attempt(title.apply(run), programs.get(run)::turn, figures.get(run)::add)) {
                        figures.remove(run);
                    }
                }
            }
            return figures;
        } finally {
            programs.values().forEach(TurnTaker::close);
        }
    }
}
