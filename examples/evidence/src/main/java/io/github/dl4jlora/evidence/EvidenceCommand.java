package io.github.dl4jlora.evidence;

import com.sun.management.OperatingSystemMXBean;
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
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/** Examines claims about LoRA, and writes a page about them. */
@Command(name = "evidence", sortOptions = false, description = "Examines what papers claim about LoRA on real data, writes a "
        + "page about it, and fails if a figure is outside its expected range.")
public final class EvidenceCommand implements Callable<Integer> {

    private static final int FAILED = 1;
    private static final double NANOS_PER_MINUTE = 6e10;

    @Option(names = "--only", split = ",", paramLabel = "<claim>", description = "Examines only these claims; --list shows "
            + "their names.")
    private List<String> only = List.of();

    @Option(names = "--list", description = "Lists the claims, and exits.")
    private boolean list;

    @Option(names = "--short", description = "One seed, one rate and one epoch, to check that everything works; nothing is "
            + "judged.")
    private boolean brief;

    @Option(names = "--data", paramLabel = "<folder>", defaultValue = "examples/target",
            description = "Folder of the fetched data. Default: ${DEFAULT-VALUE}.")
    private Path data;

    @Option(names = "--output", paramLabel = "<folder>", defaultValue = "examples/target",
            description = "Where evidence.md and its pictures go. Default: ${DEFAULT-VALUE}.")
    private Path output;

    @Option(names = "--complete", description = "Fails at once if claims would be left out for lack of data or of a profile.")
    private boolean complete;

    @Option(names = "--threads", description = "Trainings at the same time. Default: the number of cores.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final EvidenceSource own;

    private EvidenceCommand(EvidenceSource own) {
        this.own = own;
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    /** What {@link #main} runs. */
    public static CommandLine commandLine() {
        return commandLine(new PictureClaims());
    }

    /** @param own claims of no profile */
    static CommandLine commandLine(EvidenceSource own) {
        CommandLine command = new CommandLine(new EvidenceCommand(own));
        command.setParameterExceptionHandler(new UsageMessage("-pl examples/evidence"));
        return command.setExecutionExceptionHandler((exception, line, parsed) -> {
            if (exception instanceof EvidenceException) {
                line.getErr().println("evidence: " + exception.getMessage());
                return CommandLine.ExitCode.SOFTWARE;
            }
            throw exception;
        });
    }

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        Require.atLeastOne(spec, "--threads", threads);
        List<Claim> claims = chosen(out);
        if (list) {
            claims.forEach(claim -> out.printf("%-18s %s%n", claim.id(), claim.statement().says()));
            return CommandLine.ExitCode.OK;
        }
        Require.folder(spec, "--output", output);
        Page page = new Page(brief);
        StatusLine line = new StatusLine(spec.commandLine().getErr());
        AtomicReference<String> current = new AtomicReference<>("");
        AtomicInteger done = new AtomicInteger();
        int failed = 0;
        Path written = output;
        try (Lab lab = new Lab(threads, brief, training -> current.set(done.incrementAndGet() + " done, last: " + training))) {
            for (Claim claim : claims) {
                line.show(() -> "  " + claim.id() + ": " + current.get());
                double begin = coreMinutes();
                try {
                    Finding finding = claim.examine(lab);
                    double minutes = coreMinutes() - begin;
                    line.clear();
                    page.add(claim, finding, minutes);
                    tell(out, claim, finding, minutes);
                } catch (RuntimeException e) {
                    // The others have taken an hour, or will.
                    line.clear();
                    failed++;
                    page.without(claim);
                    spec.commandLine().getErr().println(claim.id() + " could not be examined:");
                    e.printStackTrace(spec.commandLine().getErr());
                }
                // What ends the program later loses nothing that was found.
                written = page.write(output);
            }
        } finally {
            line.clear();
        }
        out.println("Look at it: " + written.toUri());
        return failed == 0 && page.broken() == 0 ? CommandLine.ExitCode.OK : FAILED;
    }

    /** CPU time of all threads of the process: on a shared machine, elapsed time also depends on other processes. */
    private static double coreMinutes() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
                ? system.getProcessCpuTime() / NANOS_PER_MINUTE : Double.NaN;
    }

    private List<Claim> chosen(PrintWriter out) {
        List<EvidenceSource> sources = new ArrayList<>(List.of(own));
        try {
            ServiceLoader.load(EvidenceSource.class).forEach(sources::add);
        } catch (NoClassDefFoundError | ServiceConfigurationError e) {
            // An earlier build with the profile left parts behind: the class without its dependencies, or only its name.
            sources.subList(1, sources.size()).clear();
        }
        List<String> without = new ArrayList<>();
        if (sources.size() == 1) {
            without.add("Claims that need a pretrained model are left out without -Pminilm.");
        }
        List<Claim> all = sources.stream().flatMap(source -> source.claims(data, without::add).stream()).toList();
        if (complete && !without.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "--complete is given, but: " + String.join(" ", without));
        }
        without.forEach(out::println);
        List<String> names = all.stream().map(Claim::id).toList();
        only.stream().filter(name -> !names.contains(name)).findFirst().ifPresent(unknown -> {
            throw new ParameterException(spec.commandLine(), "--only " + unknown + " is not a claim here. The claims are "
                    + "" + names);
        });
        return only.isEmpty() ? all : all.stream().filter(claim -> only.contains(claim.id())).toList();
    }

    private void tell(PrintWriter out, Claim claim, Finding finding, double minutes) {
        out.printf(Locale.ROOT, "%n%s (%s, %.1f core minutes)%n", claim.statement().says(), claim.id(), minutes);
        if (!brief) {
            finding.checks().forEach(check -> out.printf("  %-22s %s: %s, expected %s%n", check.verdict().replace("*", ""),
                    check.what(), Finding.Check.figure(check.ours()), check.here()));
        }
        out.flush();
    }
}
