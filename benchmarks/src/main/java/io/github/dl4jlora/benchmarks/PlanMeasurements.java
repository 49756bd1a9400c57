package io.github.dl4jlora.benchmarks;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** How close plans come to what training takes. */
final class PlanMeasurements {

    static final double TOLERANCE = 0.15;

    private static final List<Side> SIDES = List.of(Side.LORA, Side.DL4J_FULL);
    /** Java's compiler takes memory from the same heap; the simple compiler takes little. */
    private static final List<String> JVM = List.of("-Xms300m", "-Xmx300m", "-XX:TieredStopAtLevel=1");

    private PlanMeasurements() {
    }

    /** Bytes. */
    record Planned(double planned, double measured) {

        double ratio() {
            return planned / measured;
        }
    }

    static void measure(Measurements measurements, Results results) {
        for (PlanTask task : PlanTask.values()) {
            for (Side side : SIDES) {
                measurements.attempt("plan, " + task.title() + ", " + side.title(),
                        () -> Child.java(Settings.ONE_THREAD, JVM, PlanChild.class, task.name(), side.name()), found -> {
                            double[] bytes = Measurements.numbers(found.split(" "));
                            results.plans.computeIfAbsent(task, key -> new EnumMap<>(Side.class))
                                    .put(side, new Planned(bytes[0], bytes[1]));
                        });
            }
            Measurements.say(task.title() + ": " + results.plans.get(task));
        }
    }

    static List<Target> targets(Results results) {
        List<Target> targets = new ArrayList<>();
        for (Side side : SIDES) {
            // A target with a missing figure is not met.
            double farthest = results.plans.isEmpty() ? Double.NaN : 0;
            for (PlanTask task : PlanTask.values()) {
                Planned found = results.plans.getOrDefault(task, Map.of()).get(side);
                farthest = Math.max(farthest, found == null ? Double.NaN : Math.abs(found.ratio() - 1));
            }
            targets.add(new Target("memory, planned / measured, within 0.85..1.15, five networks, " + side.title()
                    + ": the farthest from 1", TOLERANCE, farthest));
        }
        return targets;
    }

    static Table table(Results results) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("MB", "LoRA, planned", "measured", "ratio", "full, planned", "measured", "ratio"));
        results.plans.forEach((task, sides) -> {
            List<String> row = new ArrayList<>(List.of(task.title()));
            for (Side side : SIDES) {
                Planned found = sides.getOrDefault(side, new Planned(Double.NaN, Double.NaN));
                row.addAll(List.of(Table.megabytes(found.planned()), Table.megabytes(found.measured()),
                        Table.number(found.ratio())));
            }
            rows.add(row);
        });
        return new Table("Memory, planned and measured", "What LoRA.plan says beside the largest size of the native heap "
                + "during a training step, after ten steps; base included, data not. Rank 8, Adam, one thread.", rows);
    }
}
