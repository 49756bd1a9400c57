package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Quantization;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Measures what a quantised base saves and costs. */
final class StorageMeasurements {

    /** 100 million parameters, in layers that are small compared with the whole. */
    private static final Shape LARGE = Shape.square(2041, 24, 32, 8, "Adam");
    private static final int PROCESSES = 4;
    /** In the order of the children's results. */
    private static final List<String> FORMS = forms();

    private final Measurements measurements;
    private final Results results;

    StorageMeasurements(Measurements measurements, Results results) {
        this.measurements = measurements;
        this.results = results;
    }

    private static List<String> forms() {
        List<String> forms = new ArrayList<>(List.of("FLOAT"));
        Arrays.stream(Quantization.values()).map(Quantization::name).forEach(forms::add);
        return forms;
    }

    void times(int rounds) {
        for (StorageTask task : StorageTask.values()) {
            for (Settings settings : List.of(Settings.AS_FOUND, Settings.SETTLED, Settings.ONE_THREAD)) {
                List<double[]> found = new ArrayList<>();
                for (int round = 0; round < rounds; round++) {
                    measurements.attempt("storage, " + task.title() + ", " + settings.title(),
                            () -> Child.java(settings, StorageChild.class, task.name()),
                            text -> found.add(Measurements.numbers(text.split(" "))));
                }
                if (!found.isEmpty()) {
                    Map<String, Double> millis = new LinkedHashMap<>();
                    FORMS.forEach(form -> millis.put(form, Measurements.medianOf(found, millis.size())));
                    results.storage.computeIfAbsent(task, key -> new LinkedHashMap<>()).put(settings, millis);
                }
            }
            Measurements.say(task.title() + ": " + results.storage.get(task));
        }
    }

    /** Bytes of the frozen values, as the library's own summary counts them. */
    void bytes() {
        for (String form : FORMS) {
            Quantization scheme = form.equals("FLOAT") ? null : Quantization.valueOf(form);
            results.storedBytes.put(form, LoRA.summary(StorageTask.STEP.network(scheme)).rows().stream()
                    .mapToLong(row -> row.bytes()).sum());
        }
        Measurements.say("Bytes: " + results.storedBytes);
    }

    /** From a file to the first step. */
    void loading() throws IOException {
        if (!Measurements.isMemoryMeasurable()) {
            return;
        }
        // Otherwise pages of the heap that are touched for the first time in between would count.
        List<String> heap = List.of("-Xms200m", "-Xmx200m", "-XX:+AlwaysPreTouch");
        Measurements.inTemporaryFolder(folder -> {
            String file = folder.resolve("base.zip").toString();
            measurements.attempt("writing a base", () -> Child.java(Settings.ONE_THREAD, LoadingChild.class, LARGE.encode(),
                    file), written -> { });
            for (String form : FORMS.subList(1, FORMS.size())) {
                measurements.attempt("from file to first step, " + form, () -> Child.java(Settings.ONE_THREAD, heap,
                        LoadingChild.class, LARGE.encode(), file, form),
                        found -> results.loading.put(form, Double.parseDouble(found) / (4.0 * LARGE.parameters())));
            }
        });
        Measurements.say("From file to first step, over the base's size: " + results.loading);
    }

    /** How fast a mapped base is ready, and how much memory several processes take for it. */
    void mapped() throws IOException {
        if (!Measurements.isMemoryMeasurable()) {
            return;
        }
        for (String form : FORMS) {
            Measurements.inTemporaryFolder(folder -> {
                String file = folder.resolve("mapped.base").toString();
                measurements.attempt("writing a mapped base, " + form, () -> Child.java(Settings.ONE_THREAD, MappedChild.class,
                        LARGE.encode(), file, form), written -> { });
                for (int processes : new int[] {1, PROCESSES}) {
                    String meeting = Files.createDirectory(folder.resolve(String.valueOf(processes))).toString();
                    measurements.attempt("a mapped base, " + form + ", processes: " + processes,
                            () -> together(processes, () -> Child.java(Settings.ONE_THREAD, List.of("-Xms100m", "-Xmx100m"),
                                    MappedChild.class, LARGE.encode(), file, meeting, String.valueOf(processes))),
                            found -> results.mapped.computeIfAbsent(form, key -> new LinkedHashMap<>())
                                    .put(processes, mapped(found)));
                }
            });
        }
        Measurements.say("Mapped: " + results.mapped);
    }

    /** The results of {@code count} children that run at the same time, one line each. */
    private static String together(int count, Supplier<String> child) {
        Executor inThreads = command -> new Thread(command).start();
        List<CompletableFuture<String>> children = IntStream.range(0, count)
                .mapToObj(i -> CompletableFuture.supplyAsync(child, inThreads)).toList();
        return children.stream().map(CompletableFuture::join).collect(Collectors.joining("\n"));
    }

    private static Results.Mapped mapped(String found) {
        List<double[]> each = found.lines().map(line -> Measurements.numbers(line.split(" "))).toList();
        return new Results.Mapped(each.stream().mapToDouble(of -> of[0]).max().orElseThrow(),
                each.stream().mapToDouble(of -> of[1]).sum(), each.stream().mapToDouble(of -> of[2]).sum());
    }

    static List<Target> targets(Results results) {
        List<Target> targets = new ArrayList<>();
        for (Quantization scheme : Quantization.values()) {
            String form = scheme.name();
            targets.add(new Target("bytes of the base's weights, " + form + " / FLOAT", mostBytes(scheme),
                    results.storedBytes.isEmpty() ? Double.NaN
                            : (double) results.storedBytes.get(form) / results.storedBytes.get("FLOAT")));
            for (StorageTask task : StorageTask.values()) {
                if (!Double.isNaN(task.limit(scheme))) {
                    targets.add(new Target(task.title() + ", " + form + " / FLOAT, one thread", task.limit(scheme),
                            ratio(results, task, form)));
                }
            }
        }
        targets.add(new Target("peak from file to first step, 100 million parameters, INT8 / size of the FLOAT base", 0.40,
                results.loading.getOrDefault("INT8", Double.NaN)));
        Map<Integer, Results.Mapped> mapped = results.mapped.getOrDefault("INT8", Map.of());
        targets.add(new Target("mapped base of 100 million parameters, INT8, open to first output, seconds", 0.5,
                mapped.containsKey(1) ? mapped.get(1).seconds() : Double.NaN));
        targets.add(new Target("mapped base, INT8: memory of its pages, four processes / one", 1.2,
                mapped.keySet().containsAll(List.of(1, PROCESSES)) ? mapped.get(PROCESSES).file() / mapped.get(1).file()
                        : Double.NaN));
        return targets;
    }

    /** As a share of FLOAT's. */
    private static double mostBytes(Quantization scheme) {
        return switch (scheme) {
            case BF16 -> 0.51;
            case INT8 -> 0.26;
            case NF4 -> 0.15;
        };
    }

    private static double ratio(Results results, StorageTask task, String form) {
        Map<String, Double> millis = results.storage.getOrDefault(task, Map.of()).get(Settings.ONE_THREAD);
        return millis == null ? Double.NaN : millis.get(form) / millis.get("FLOAT");
    }

    static List<Table> tables(Results results) {
        List<Table> tables = new ArrayList<>();
        if (!results.storage.isEmpty()) {
            List<List<String>> rows = new ArrayList<>(List.of(row("ms", "FLOAT", form -> form + " / FLOAT")));
            results.storage.forEach((task, by) -> by.forEach((settings, millis) -> rows.add(row(task.title() + "; "
                    + settings.title(), Table.number(millis.get("FLOAT")),
                    form -> Table.number(millis.get(form) / millis.get("FLOAT"))))));
            tables.add(new Table("A base in fewer bits: time", "Adapted networks, rank 8, Adam. Medians; the four take turns in "
                    + "one process.", rows));
        }
        if (!results.storedBytes.isEmpty()) {
            List<List<String>> rows = new ArrayList<>(List.of(List.of("", "MB of frozen weights",
                    "peak from file to first step / size of the FLOAT base")));
            results.storedBytes.forEach((form, bytes) -> rows.add(List.of(form, Table.megabytes(bytes),
                    Table.number(results.loading.getOrDefault(form, Double.NaN)))));
            tables.add(new Table("A base in fewer bits: memory", "Three layers 2048 wide, biases included; the peak is of "
                    + String.format(Locale.ROOT, "%,d", LARGE.parameters()) + " parameters in 24 layers, read by "
                    + "LoRA.loadQuantized, and one step of 32 rows, beside a heap of 200 MB.", rows));
        }
        if (!results.mapped.isEmpty()) {
            List<List<String>> rows = new ArrayList<>(List.of(List.of("", "open to first output, s", "pages of the file, MB",
                    "all memory, MB")));
            results.mapped.forEach((form, by) -> by.forEach((processes, of) -> rows.add(List.of(form + ", "
                    + (processes == 1 ? "one process" : processes + " processes"), Table.number(of.seconds()),
                    Table.megabytes(of.file()), Table.megabytes(of.all())))));
            tables.add(new Table("A base in a mapped file", String.format(Locale.ROOT, "%,d", LARGE.parameters())
                    + " parameters, one row, a heap of 100 MB. Memory is what is in use, shared pages counted once (Linux's Pss, "
                    + "summed over the processes); ND4J and Java were started before the clock.", rows));
        }
        return tables;
    }

    /** A cell for each scheme behind that of FLOAT. */
    private static List<String> row(String title, String ofFloat, UnaryOperator<String> ofForm) {
        return Stream.concat(Stream.of(title, ofFloat), FORMS.stream().skip(1).map(ofForm)).toList();
    }
}
