package io.github.dl4jlora.serve.trial;

import io.github.dl4jlora.console.Folders;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.machine.Threads;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;

/**
 * Checks that a service keeps working. In the first third of the time it is killed now and then; in the rest, one process must
 * not grow in memory, descriptors or threads. Its disk is full once a minute.
 */
@Command(name = "soak", sortOptions = false, description = "Starts the service in a separate process and lets many clients ask "
        + "it, change its adapters, send damaged ones and hang up; fills its disk and kills it. Every answer is compared with "
        + "that of a network made only for its adapters. Exit code 1 if anything was wrong.")
public final class SoakCommand implements Callable<Integer> {

    private static final long LONGEST_FULL_MILLIS = 2_000;
    private static final double MINUTE_MILLIS = 60_000;

    @Option(names = "--minutes", paramLabel = "N", defaultValue = "10", description = "Duration in minutes. Default: "
            + "${DEFAULT-VALUE}.")
    private double minutes;

    @Option(names = "--clients", paramLabel = "N", defaultValue = "64", description = "Number of clients. Default: "
            + "${DEFAULT-VALUE}.")
    private int clients;

    @Option(names = "--growth", paramLabel = "RATIO", defaultValue = "1.2",
            description = "How much more memory, descriptors and threads may be used at the end than after the warm-up. Default: "
                    + "${DEFAULT-VALUE}.")
    private double growth;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "1", description = "Seed of the times of events. Default: "
            + "${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final List<Event> events = new ArrayList<>();
    private PrintWriter out;
    /** Answers up to the last minute. */
    private long told;
    private Optional<Vitals> warm = Optional.empty();

    /** Something that happens at a time. */
    private record Event(double millis, Action action) {
    }

    /** What happens. */
    private interface Action {
        void run(Soak soak) throws IOException, InterruptedException;
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    /** What {@link #main} runs. */
    public static CommandLine commandLine() {
        return new CommandLine(new SoakCommand()).setParameterExceptionHandler(new UsageMessage("-Pserve -pl examples/serve"));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        Require.aboveZero(spec, "--minutes", minutes);
        Require.atLeastOne(spec, "--clients", clients);
        if (!(growth >= 1)) {
            throw new ParameterException(spec.commandLine(), "--growth is " + growth + ", but must be at least 1");
        }
        out = spec.commandLine().getOut();
        StatusLine line = new StatusLine(spec.commandLine().getErr());
        Path folder = Files.createTempDirectory("dl4j-lora-soak");
        line.show(() -> "Starts the service");
        try (Soak soak = new Soak(folder, clients)) {
            // A signal that ends this program also ends the service, and frees the disk.
            Thread hook = new Thread(() -> end(soak, folder), "ends the soak");
            Runtime.getRuntime().addShutdownHook(hook);
            say(line, String.format(Locale.ROOT, "%s; %d clients for %.1f minutes; the adapters' folder: %s", Vitals.processor(),
                    clients, minutes, soak.disk()));
            run(soak, line);
            Runtime.getRuntime().removeShutdownHook(hook);
            return verdict(soak, line);
        } finally {
            line.clear();
            Folders.deleteAll(folder);
        }
    }

    private static void end(Soak soak, Path folder) {
        try {
            soak.close();
            Folders.deleteAll(folder);
        } catch (IOException e) {
            // The folder is a temporary one.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void run(Soak soak, StatusLine line) throws IOException, InterruptedException {
        plan(line);
        long start = System.nanoTime();
        line.show(() -> String.format(Locale.ROOT, "%.1f of %.1f minutes: %,d requests, %d faults",
                millis(start) / MINUTE_MILLIS, minutes, soak.tally().requests(), soak.tally().faultsInAll()));
        soak.begin(clients);
        for (Event event : events) {
            Thread.sleep((long) Math.max(0, event.millis - millis(start)));
            event.action.run(soak);
        }
    }

    private static double millis(long start) {
        return (System.nanoTime() - start) / 1e6;
    }

    private void plan(StatusLine line) {
        double all = minutes * MINUTE_MILLIS;
        double third = all / 3;
        Random random = new Random(seed);
        long kills = Math.max(1, Math.round(minutes / 3));
        for (int i = 0; i < kills; i++) {
            events.add(new Event(third * (i + 0.3 + 0.4 * random.nextDouble()) / kills, Soak::kill));
        }
        long fillings = Math.max(2, Math.round(minutes));
        for (int i = 0; i < fillings; i++) {
            events.add(new Event(all * (i + 0.3 + 0.4 * random.nextDouble()) / fillings,
                    soak -> soak.fillDisk((long) Math.min(LONGEST_FULL_MILLIS, all / 20))));
        }
        events.add(new Event(third + (all - third) * 0.3, soak -> warm = soak.measure()));
        for (int minute = 1; minute <= minutes; minute++) {
            int number = minute;
            events.add(new Event(minute * MINUTE_MILLIS - 1, soak -> sayHowItIs(soak, number, line)));
        }
        events.add(new Event(all, soak -> { }));
        events.sort(Comparator.comparingDouble(Event::millis));
    }

    private void sayHowItIs(Soak soak, int minute, StatusLine line) throws IOException {
        Tally tally = soak.tally();
        long before = told;
        told = tally.answers();
        say(line, String.format(Locale.ROOT, "minute %d: %,d requests, %.0f answers/s, faults %d; beside answers: %s; %s", minute,
                tally.requests(), (told - before) / 60.0, tally.faultsInAll(), tally.others(),
                soak.vitals().map(Vitals::toString).orElse("its resources are unknown on this system")));
    }

    private void say(StatusLine line, String text) {
        line.clear();
        out.println(text);
        out.flush();
    }

    private int verdict(Soak soak, StatusLine line) throws IOException, InterruptedException {
        Optional<Vitals> last = soak.measure();
        soak.end();
        line.clear();
        Tally tally = soak.tally();
        if (warm.isPresent() && last.isPresent()) {
            out.println("After the warm-up: " + warm.get());
            out.println("At the end:        " + last.get());
            requireNoGrowth(tally, "resident memory", warm.get().resident(), last.get().resident());
            requireNoGrowth(tally, "descriptors", warm.get().descriptors(), last.get().descriptors());
            requireNoGrowth(tally, "threads", warm.get().threads(), last.get().threads());
            requireNoGrowth(tally, "the heap in use", warm.get().heap(), last.get().heap());
        }
        soak.said().forEach(said -> out.println("The service said: " + said));
        tally.faults().forEach(fault -> out.println("FAULT: " + fault));
        out.printf(Locale.ROOT, "%,d requests, %,d of them answered with outputs; beside them: %s%n", tally.requests(),
                tally.answers(), tally.others());
        out.println(tally.faultsInAll() == 0 ? "It keeps working." : "FAILED: " + tally.faultsInAll() + " faults");
        out.flush();
        return tally.faultsInAll() == 0 ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }

    private void requireNoGrowth(Tally tally, String what, long before, long after) {
        if (after > growth * before) {
            tally.fault(what + " grew from " + before + " to " + after);
        }
    }
}
