package io.github.dl4jlora.benchmarks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** Forward passes here and in ONNX Runtime, which computes the same network from a file that is written for it. */
final class OnnxMeasurements {

    private static final double LIMIT = 1.10;
    /** Room for the file that is written. */
    private static final String HEAP = "-Xmx3g";

    private OnnxMeasurements() {
    }

    /**
     * Milliseconds of a forward pass.
     *
     * @param stock      DL4J's own network
     * @param packed     frozen, with packed copies of its weights, as ONNX Runtime has them
     * @param difference of the frozen network's output from ONNX Runtime's, relative to the largest number
     */
    record Cost(double stock, double frozen, double packed, double adapted, double runtime, double difference) {

        static final Cost ABSENT = new Cost(Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN);

        /** @param rounds the figures of each, in the order of the components */
        static Cost medianOf(List<double[]> rounds) {
            double[] of = Measurements.medians(rounds);
            return new Cost(of[0], of[1], of[2], of[3], of[4], of[5]);
        }
    }

    static void measure(Measurements measurements, Results results, int rounds) {
        Class<?> child;
        try {
            child = Class.forName("io.github.dl4jlora.benchmarks.OnnxChild");
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException("ONNX Runtime and DL4J's model zoo are on the class path with -Ponnx-runtime alone",
                    e);
        }
        for (OnnxTask task : OnnxTask.values()) {
            List<double[]> found = new ArrayList<>();
            for (int round = 0; round < rounds; round++) {
                measurements.attempt(task.title(), () -> Child.java(Settings.ONE_THREAD, List.of(HEAP), child, task.name()),
                        figures -> found.add(Measurements.numbers(figures.split(" "))));
            }
            if (!found.isEmpty()) {
                results.onnx.put(task, Cost.medianOf(found));
                Measurements.say(task.title() + ": " + results.onnx.get(task));
            }
        }
    }

    static List<Target> targets(Results results) {
        return Arrays.stream(OnnxTask.values()).flatMap(task -> {
            Cost cost = results.onnx.getOrDefault(task, Cost.ABSENT);
            String title = " / ONNX Runtime, one thread, forward pass, " + task.title();
            return Stream.of(new Target("frozen" + title, LIMIT, cost.frozen() / cost.runtime()),
                    new Target("frozen, packed" + title, LIMIT, cost.packed() / cost.runtime()));
        }).toList();
    }

    static Table table(Results results) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("ms, forward pass", "ONNX Runtime", "frozen", "/ ONNX Runtime", "packed", "/ ONNX Runtime",
                "adapted", "/ ONNX Runtime", "DL4J's own", "/ ONNX Runtime", "outputs differ by"));
        results.onnx.forEach((task, cost) -> rows.add(List.of(task.title(), Table.number(cost.runtime()),
                Table.number(cost.frozen()), Table.number(cost.frozen() / cost.runtime()),
                Table.number(cost.packed()), Table.number(cost.packed() / cost.runtime()), Table.number(cost.adapted()),
                Table.number(cost.adapted() / cost.runtime()), Table.number(cost.stock()),
                Table.number(cost.stock() / cost.runtime()), String.format(Locale.ROOT, "%.0e", cost.difference()))));
        return new Table("Image networks and ONNX Runtime", "DL4J's model zoo with random weights, FLOAT; frozen by LoRA.freeze, "
                + "the same with packed copies of its weights, as ONNX Runtime makes them, or all convolutions adapted, rank 8, "
                + "not merged. ONNX Runtime has one thread and all its optimisations. CPU time of the one thread that computes; "
                + "the five take turns in one process. Medians of each process's median.",
                rows);
    }
}
