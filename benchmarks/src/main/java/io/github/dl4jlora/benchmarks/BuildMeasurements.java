package io.github.dl4jlora.benchmarks;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Training steps on this build of the library and on others, such as one without an optimisation. Builds take turns, each in
 * a separate process, with threads settled.
 */
final class BuildMeasurements {

    private static final String THIS = "this build";
    /** Pages of the heap that are touched for the first time would count as growth. */
    private static final List<String> JVM = List.of("-Xms512m", "-Xmx512m", "-XX:+AlwaysPreTouch");

    private BuildMeasurements() {
    }

    /** Medians of the turns. */
    record Cost(double millis, double bytes) {
    }

    /** @param others folders of classes that come before those of this build, by name */
    static void measure(Results results, List<BuildTask> tasks, Map<String, Path> others, Turns turns) {
        List<String> builds = new ArrayList<>(List.of(THIS));
        builds.addAll(others.keySet());
        for (BuildTask task : tasks) {
            Map<String, Cost> costs = new LinkedHashMap<>();
            turns.medians(builds, build -> task.title() + ", " + build, build -> Child.javaTurns(Settings.SETTLED, JVM,
                    Optional.ofNullable(others.get(build)).stream().toList(), BuildChild.class, task.name()))
                    .forEach((build, figures) -> costs.put(build, new Cost(figures[0], figures[1])));
            results.builds.put(task, costs);
            Measurements.say(task.title() + ": " + costs);
        }
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
                + "the process, base included. Medians of the turns' medians.", rows);
    }
}
