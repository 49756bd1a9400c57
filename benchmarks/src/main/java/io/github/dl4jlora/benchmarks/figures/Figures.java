package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Machine;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.UsageMessage;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Stream;

/** Measures what the pages state, part by part, into docs/figures, and brings it from there into the pages. */
@Command(name = "figures", sortOptions = false, description = "Measures what the pages state, part by part, each by the programs "
        + "that the pages name, and writes files of tables, with commit, date and machine, to docs/figures.")
public final class Figures implements Callable<Integer> {

    private static final String ALL = "all";
    /** Of the table of what a comparison could not measure. */
    private static final String FAILURES = "failures";

    @Option(names = "--list", description = "Lists the parts with the minutes that each takes, and exits.")
    private boolean list;

    @Option(names = "--part", split = ",", paramLabel = "<part>", description = "Measures these parts, or \"all\". If a "
            + "part is interrupted whose programs print their tables, naming it again runs those that are missing.")
    private List<String> parts = List.of();

    @Option(names = "--rounds", description = "Rounds of each comparison. Default: ${DEFAULT-VALUE}.")
    private int rounds = 3;

    @Option(names = "--seeds", description = "Seeds, beginning with 7, that programs are run with which take one; figures that "
            + "differ are then mean ± standard deviation. Default: ${DEFAULT-VALUE}, the programs' own.")
    private int seeds = 1;

    @Option(names = "--write-pages", description = "Brings the files' tables into README.md and docs, after measuring if parts "
            + "are named.")
    private boolean writePages;

    @Option(names = "--top", paramLabel = "<folder>", defaultValue = ".", description = "The project's folder. Default: the "
            + "working directory.")
    private Path top;

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final Supplier<String> where;
    private final Supplier<Map<String, String>> machine;
    private final Measurement.Runner runner;

    private Figures(Supplier<String> where, Supplier<Map<String, String>> machine, Measurement.Runner runner) {
        this.where = where;
        this.machine = machine;
        this.runner = runner;
    }

    public static void main(String[] args) {
        System.exit(Program.run(commandLine(FinishedRuns::here, Machine::facts, command -> command.start().waitFor()), args));
    }

    static CommandLine commandLine(Supplier<String> where, Supplier<Map<String, String>> machine, Measurement.Runner runner) {
        return new CommandLine(new Figures(where, machine, runner))
                .setParameterExceptionHandler(new UsageMessage("-pl benchmarks"));
    }

    @Override
    public Integer call() throws InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        List<Part> chosen = chosen();
        if (list || chosen.isEmpty() && !writePages) {
            Arrays.stream(Part.values()).forEach(part -> out.printf(Locale.ROOT, "%-12s %4d min  %s%n", part.id(), part.minutes(),
                    part.says()));
            return CommandLine.ExitCode.OK;
        }
        Path project = top.toAbsolutePath().normalize();
        FigureFiles files = new FigureFiles(project);
        int failed = 0;
        for (Part part : chosen) {
            long begin = System.nanoTime();
            try {
                Measurement measurement = new Measurement(project, rounds, seeds, where, machine, runner);
                FigureFile found = measurement.of(part);
                long minutes = Duration.ofNanos(System.nanoTime() - begin).toMinutes();
                if (found.tables().containsKey(FAILURES)) {
                    failed++;
                    out.printf(Locale.ROOT, "%s took %d min, but some of its figures are missing: %s is not written, see %s%n",
                            part.id(), minutes, files.path(part.id()), measurement.report(part));
                } else {
                    if (part.writesItsPage()) {
                        measurement.publish(part);
                    } else {
                        files.write(found);
                    }
                    measurement.written(part);
                    out.printf(Locale.ROOT, "%s took %d min: %s%n", part.id(), minutes, files.path(part.id()));
                }
            } catch (IOException | RuntimeException e) {
                // The other parts may take hours.
                failed++;
                out.println(part.id() + " could not be measured: " + why(e));
            }
            out.flush();
        }
        if (writePages) {
            try {
                writePages(Page.all(project), files, out);
            } catch (IOException | RuntimeException e) {
                failed++;
                out.println("The pages could not be written: " + why(e));
            }
        }
        return failed == 0 ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }

    /** All pages are filled before the first is written, so that a mistake in one changes none. */
    private static void writePages(List<Page> pages, FigureFiles files, PrintWriter out) throws IOException {
        List<String> filled = pages.stream().map(page -> page.filled(files)).toList();
        for (int i = 0; i < pages.size(); i++) {
            if (!filled.get(i).equals(pages.get(i).text())) {
                pages.get(i).write(filled.get(i));
                out.println("Written: " + pages.get(i).path());
            }
        }
    }

    /** Messages of other exceptions may be a path alone, or absent. */
    private static String why(Exception e) {
        return e instanceof IllegalArgumentException || e instanceof IllegalStateException ? e.getMessage() : e.toString();
    }

    private List<Part> chosen() {
        Require.atLeastOne(spec, "--rounds", rounds);
        Require.atLeastOne(spec, "--seeds", seeds);
        List<Part> chosen = new ArrayList<>();
        for (String name : parts) {
            Part part = Part.of(name);
            if (name.equals(ALL)) {
                chosen.addAll(List.of(Part.values()));
            } else if (part == null) {
                throw new ParameterException(spec.commandLine(), "--part " + name + " is not a part. The parts are "
                        + Arrays.stream(Part.values()).map(Part::id).toList() + ", or " + ALL);
            } else {
                chosen.add(part);
            }
        }
        if (list || chosen.isEmpty()) {
            Stream.of("--rounds", "--seeds").filter(spec.commandLine().getParseResult()::hasMatchedOption).findFirst()
                    .ifPresent(this::refuseWithoutMeasuring);
        }
        List<String> without = chosen.stream().filter(part -> !part.hasSeeds()).map(Part::id).toList();
        if (seeds > 1 && !without.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "--seeds is " + seeds + ", but these parts take no seed: " + without
                    + ". Leave it out, or name only parts that do: "
                    + Arrays.stream(Part.values()).filter(Part::hasSeeds).map(Part::id).toList());
        }
        if (!chosen.isEmpty() && chosen.stream().noneMatch(Part::hasRounds)
                && spec.commandLine().getParseResult().hasMatchedOption("--rounds")) {
            throw new ParameterException(spec.commandLine(), "--rounds is " + rounds + ", but none of these parts has rounds: "
                    + chosen.stream().map(Part::id).toList() + ". Leave it out");
        }
        return chosen;
    }

    private void refuseWithoutMeasuring(String option) {
        throw new ParameterException(spec.commandLine(), option + " says how parts are measured, but none is. Name parts by "
                + "--part, without --list, or leave it out");
    }
}
