package io.github.dl4jlora.benchmarks;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Training steps on this build of the library and on others, such as one without an optimisation. Builds take turns, each time in
 * a separate process, with threads settled.
 */
final class BuildMeasurements {

    private static final String THIS = "this build";
    /** Pages of the heap that are touched for the first time would count as growth. */
    private static final List<String> JVM = List.of("-Xms512m", "-Xmx512m", "-XX:+AlwaysPreTouch");

    private BuildMeasurements() {
    }

    /** Medians of several processes. */
    record Cost(double millis, double bytes) {
    }

    /** @param others folders of classes that come before those of this build, by name */
    static void measure(Measurements measurements, Results results, List<BuildTask> tasks, Map<String, Path> others, int rounds) {
        for (BuildTask task : tasks) {
            Map<String, List<double[]>> found = new LinkedHashMap<>();
            for (int round = 0; round < rounds; round++) {
                measure(measurements, task, THIS, List.of(), found);
                others.forEach((name, folder) -> measure(measurements, task, name, List.of(folder), found));
            }
            Map<String, Cost> costs = new LinkedHashMap<>();
            found.forEach((name, figures) -> costs.put(name,
                    new Cost(Measurements.medianOf(figures, 0), Measurements.medianOf(figures, 1))));
            results.builds.put(task, costs);
            Measurements.say(task.title() + ": " + costs);
        }
    }

    private static void measure(Measurements measurements, BuildTask task, String build, List<Path> first,
            Map<String, List<double[]>> found) {
        measurements.attempt(task.title() + ", " + build,
                () -> Child.java(Settings.SETTLED, JVM, first, BuildChild.class, task.name()),
                figures -> found.computeIfAbsent(build, key -> new ArrayList<>()).add(Measurements.numbers(figures.split(" "))));
    }

    static Table table(Results results) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "build", "ms per step", "MB", "ms / this build's", "MB / this build's"));
        results.builds.forEach((task, costs) -> costs.forEach((build, cost) -> {
            Cost here = costs.getOrDefault(THIS, new Cost(Double.NaN, Double.NaN));
            rows.add(List.of(task.title(), build, Table.number(cost.millis()), Table.megabytes(cost.bytes()),
                    Table.number(cost.millis() / here.millis()), Table.number(cost.bytes() / here.bytes())));
        }));
        return new Table("Builds of the library", "A LoRA step, rank 8, Adam, threads settled; memory is the largest growth of "
                + "the process, base included. Medians of the processes.", rows);
    }
}
