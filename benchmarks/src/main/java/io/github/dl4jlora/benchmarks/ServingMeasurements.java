package io.github.dl4jlora.benchmarks;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Measures what it costs to serve many adapters on one base. */
final class ServingMeasurements {

    private static final List<Settings> COMPARED = List.of(Settings.AS_FOUND, Settings.SETTLED, Settings.ONE_THREAD);
    /** One thread of BLAS for each network. */
    private static final Settings RECOMMENDED = Settings.ONE_THREAD;
    /** Room for 20,000 adapters; pages of the heap that are touched for the first time would count as memory of adapters. */
    private static final List<String> JVM =
            List.of("-Xms1g", "-Xmx1g", "-XX:+AlwaysPreTouch", "-Dorg.bytedeco.javacpp.maxbytes=10g");
    private static final double KIB = 1024;
    private static final List<String> BASES = List.of("that is packed", "in BF16", "in BF16 that is packed");

    private ServingMeasurements() {
    }

    static void measure(Measurements measurements, Results results, int rounds) {
        for (ServingTask task : ServingTask.values()) {
            if (task == ServingTask.MEMORY && !Measurements.isMemoryMeasurable()) {
                continue;
            }
            for (Settings settings : COMPARED) {
                List<double[]> found = new ArrayList<>();
                for (int round = 0; round < rounds; round++) {
                    measurements.attempt("serving, " + task.title() + ", " + settings.title(),
                            () -> Child.java(settings, JVM, ServingChild.class, task.name()),
                            text -> found.add(Measurements.numbers(text.split(" "))));
                }
                if (!found.isEmpty()) {
                    results.serving.computeIfAbsent(task, key -> new EnumMap<>(Settings.class))
                            .put(settings, Measurements.medians(found));
                }
            }
            Measurements.say(task.title() + ": " + cells(results, task, RECOMMENDED, 0, Integer.MAX_VALUE));
        }
    }

    static List<Target> targets(Results results) {
        List<Target> targets = new ArrayList<>();
        for (int i = 0; i < ServingTask.COUNTS.length; i++) {
            targets.add(new Target("mixed batches of 32 rows, 2048 wide, time / base alone, adapters: "
                    + number(ServingTask.COUNTS[i]), 1 / 0.90, value(results, ServingTask.MIXED, i)));
            targets.add(new Target("mixed batches of 32 rows, 256 wide, time / base alone, adapters: "
                    + number(ServingTask.COUNTS[i]), 1 / 0.50, value(results, ServingTask.NARROW, i)));
        }
        for (int i = 0; i < BASES.size(); i++) {
            targets.add(new Target("32 clients, 2048 wide, batches: time for a request on a base " + BASES.get(i) + " / in FLOAT",
                    1 / 1.3, value(results, ServingTask.CLIENTS, 1) / value(results, ServingTask.CLIENTS, 4 + i)));
        }
        targets.add(new Target("95th percentile, 32 clients, 1,000 adapters / 1", 1.2,
                value(results, ServingTask.CLIENTS, 3) / value(results, ServingTask.CLIENTS, 2)));
        targets.add(new Target("32 clients, 2048 wide: time for a request with batches / without", 0.5,
                value(results, ServingTask.CLIENTS, 0) / value(results, ServingTask.CLIENTS, 1)));
        targets.add(new Target("memory of an adapter beside its values, KiB", 4, value(results, ServingTask.MEMORY, 1) / KIB));
        targets.add(new Target("first request for an adapter of 300 kB in a folder, median, ms", 20,
                value(results, ServingTask.COLD, 0)));
        targets.add(new Target(ServingTask.ADD.title(), 2, value(results, ServingTask.ADD, 0)));
        targets.add(new Target(ServingTask.ENCODER.title(), 1.3, value(results, ServingTask.ENCODER, 0)));
        return targets;
    }

    private static double value(Results results, ServingTask task, int index) {
        double[] found = results.serving.getOrDefault(task, Map.of()).get(RECOMMENDED);
        return found == null ? Double.NaN : found[index];
    }

    static Table table(Results results) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(Stream.concat(Stream.of(""), COMPARED.stream().map(Settings::title)).toList());
        for (ServingTask task : results.serving.keySet()) {
            // A title of several parts is that of as many pairs of figures, of which the last may have more.
            String[] titles = task.title().split("; ");
            for (int i = 0; i < titles.length; i++) {
                int begin = 2 * i;
                int end = i == titles.length - 1 ? Integer.MAX_VALUE : begin + 2;
                rows.add(Stream.concat(Stream.of(titles[i]), COMPARED.stream().map(settings ->
                        cells(results, task, settings, begin, end))).toList());
            }
        }
        return new Table("Many adapters on one base", "Rank 8; batches in which each example asks for an adapter at "
                + "random, of 1, 10, 100, 1,000 and 10,000. Base and batch take turns in one process.", rows);
    }

    private static String cells(Results results, ServingTask task, Settings settings, int begin, int end) {
        double[] found = results.serving.getOrDefault(task, Map.of()).get(settings);
        return found == null ? Table.number(Double.NaN) : String.join(", ", IntStream
                .range(begin, Math.min(end, found.length)).mapToObj(i -> Table.number(found[i])).toList());
    }

    private static String number(int count) {
        return String.format(Locale.ROOT, "%,d", count);
    }
}
