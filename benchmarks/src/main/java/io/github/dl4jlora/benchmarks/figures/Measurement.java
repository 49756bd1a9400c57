package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Table;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Runs a part's commands, one after the other, and collects their tables. */
final class Measurement {

    /** Wide enough for any table in one piece. */
    private static final String COLUMNS = "2000";
    private static final String MACHINE = "machine-and-versions";
    /** The programs' own. */
    private static final int FIRST_SEED = 7;

    /** Runs a command to its end. */
    @FunctionalInterface
    interface Runner {

        /** {@return the exit status} */
        int run(ProcessBuilder command) throws IOException, InterruptedException;
    }

    private final Path top;
    private final Path folder;
    private final String rounds;
    private final List<String> seeds;
    private final FinishedRuns finished;
    private final Supplier<Map<String, String>> machine;
    private final Runner runner;
    private final Map<String, String> origin = new LinkedHashMap<>();
    private final List<Table> tables = new ArrayList<>();
    private final List<Path> sources = new ArrayList<>();

    /**
     * @param top     the project's folder, where commands are run
     * @param seeds   how many of them commands are run with that have one; with 1 they have their own
     * @param where   runs that an interrupted measurement has finished here are not repeated; gives the empty string for none
     * @param machine what is told of the machine where no program has done so, which takes some seconds
     */
    Measurement(Path top, int rounds, int seeds, Supplier<String> where, Supplier<Map<String, String>> machine, Runner runner) {
        this.top = top;
        this.rounds = String.valueOf(rounds);
        this.seeds = IntStream.range(FIRST_SEED, FIRST_SEED + seeds).mapToObj(String::valueOf).toList();
        this.finished = new FinishedRuns(where);
        this.machine = machine;
        this.runner = runner;
        this.folder = top.resolve("benchmarks/target/figures");
    }

    /** {@return where the programs of a part leave what they report} */
    Path report(Part part) {
        return folder.resolve(part.id()).resolve("report.md");
    }

    /** @throws IllegalStateException if a command fails, or if there is no table in the end */
    FigureFile of(Part part) throws IOException, InterruptedException {
        Path own = Files.createDirectories(folder.resolve(part.id()));
        List<Task> tasks = part.tasks();
        for (int i = 0; i < tasks.size(); i++) {
            String log = "output-" + (i + 1);
            if (runsBySeed(tasks.get(i))) {
                List<List<Table>> runs = new ArrayList<>();
                for (String seed : seeds) {
                    runs.add(measured(part, tasks.get(i).withSeed(seed), own.resolve(log + "-seed-" + seed + ".txt")));
                }
                try {
                    tables.addAll(SeedTables.combined(runs));
                } catch (IllegalStateException e) {
                    FinishedRuns.forget(own);
                    throw e;
                }
            } else {
                tables.addAll(measured(part, tasks.get(i), own.resolve(log + ".txt")));
            }
        }
        if (tables.stream().map(Table::withoutAbsent).allMatch(table -> table.rows().size() < 2) && !part.writesItsPage()) {
            FinishedRuns.forget(own);
            throw new IllegalStateException("There is no table with rows in " + sources);
        }
        if (origin.isEmpty()) {
            origin.putAll(machine.get());
        }
        if (part.hasRounds()) {
            origin.put("rounds", rounds);
        }
        if (tasks.stream().anyMatch(this::runsBySeed)) {
            origin.put(FigureFile.SEEDS, String.join(", ", seeds));
        }
        Path named = Path.of("benchmarks", "target", "figures", part.id());
        origin.put("commands", tasks.stream().map(task -> runsBySeed(task) ? task.withSeed("SEED") : task)
                .map(task -> "`" + task.line(rounds, named) + "`").collect(Collectors.joining(", ")));
        return FigureFile.of(part.id(), origin, tables);
    }

    /** To be called when the part's file is written: the next measurement begins anew. */
    void written(Part part) throws IOException {
        FinishedRuns.forget(folder.resolve(part.id()));
    }

    /** Copies the page that a part's program has written, and its pictures, into docs. */
    void publish(Part part) throws IOException {
        Path own = folder.resolve(part.id());
        Path docs = top.resolve("docs");
        try (Stream<Path> written = Files.walk(own)) {
            for (Path file : written.filter(path -> path.toString().matches(".*\\.(md|png)")).toList()) {
                Path copy = docs.resolve(own.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy, StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }

    private boolean runsBySeed(Task task) {
        return task.hasSeed() && seeds.size() > 1;
    }

    /** Runs a command, unless an interrupted measurement has, and {@return its tables} */
    private List<Table> measured(Part part, Task task, Path log) throws IOException, InterruptedException {
        Path own = log.getParent();
        String line = task.line(rounds, own);
        boolean isReported = task.writesReport() && !part.writesItsPage();
        sources.add(isReported ? report(part) : log);
        if (!task.writesReport() && finished.has(log, line)) {
            System.err.println("Finished before, and not run again: " + line);
            return printed(task, Files.readAllLines(log));
        }
        System.err.println(line);
        Files.deleteIfExists(report(part));
        String begun = finished.begin(log);
        run(task, own, log);
        List<Table> found = isReported ? reported(report(part)) : printed(task, Files.readAllLines(log));
        if (found.stream().anyMatch(table -> table.rows().size() > 1)) {
            finished.end(log, line, begun);
        }
        return found;
    }

    private void run(Task task, Path own, Path log) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(task.words(rounds, own)).directory(top.toFile())
                .redirectOutput(log.toFile()).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().put("COLUMNS", COLUMNS);
        int exit = runner.run(builder);
        if (exit != 0) {
            throw new IllegalStateException("Exit status " + exit + " of " + task.line(rounds, own) + "; its output is in "
                    + log);
        }
    }

    private List<Table> reported(Path report) throws IOException {
        List<Table> found = new ArrayList<>();
        try (Stream<String> lines = Files.lines(report)) {
            Table.read(lines).forEach((anchor, table) -> {
                if (anchor.equals(MACHINE)) {
                    table.rows().stream().skip(1).forEach(row -> origin.put(row.get(0), row.get(1)));
                } else {
                    found.add(table);
                }
            });
        }
        return found;
    }

    private static List<Table> printed(Task task, List<String> lines) {
        List<Table> found = new ArrayList<>();
        List<List<List<String>>> printed = PrintedTables.of(lines);
        for (int i = 0; i < printed.size(); i++) {
            List<List<String>> rows = printed.get(i);
            List<List<String>> named = new ArrayList<>(List.of(rows.get(0)));
            rows.stream().skip(1).map(row -> Stream.concat(Stream.of(row.get(0) + task.label()), row.stream().skip(1)).toList())
                    .forEach(named::add);
            found.add(new Table(task.title() + (i == 0 ? "" : ", " + (i + 1)), "", named));
        }
        if (task.told() != null) {
            List<List<String>> told = new ArrayList<>(List.of(List.of("printed", "")));
            lines.stream().filter(line -> task.told().matcher(line).matches()).map(line -> line.split(":\\s*", 2))
                    .map(parts -> List.of(parts[0], parts.length == 1 ? "yes" : parts[1])).forEach(told::add);
            found.add(new Table(task.title() + ", printed", "", told));
        }
        return found;
    }
}
