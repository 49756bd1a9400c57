package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.examples.UiOption;
import io.github.dl4jlora.report.page.AdapterReport;
import io.github.dl4jlora.report.page.ScoreHistory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** Trains in all four ways and prints a table of the results. */
@Command(name = "train", sortOptions = false,
        description = "Trains all-MiniLM-L6-v2, or a BERT of yours, to tell spam in four ways and compares them. "
        + "Keeps what each has learned.")
final class TrainCommand implements Callable<Integer> {

    private static final String UNKNOWN = "-";

    @Mixin
    private BaseOption base;

    @Mixin
    private DataOptions data;

    @Mixin
    private TrialOptions start;

    @Option(names = "--output", paramLabel = "<folder>", description = "Where adapters and networks are kept. Default: "
            + "examples/target/spam, or with a checkpoint spam- and its folder's name beside that.")
    private Path output;

    @Option(names = "--only", paramLabel = "<method>", description = "One method: ${COMPLETION-CANDIDATES}.")
    private Method only;

    @Mixin
    private final UiOption ui = new UiOption();

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private PrintWriter out;

    @Override
    public Integer call() throws IOException, InterruptedException {
        out = spec.commandLine().getOut();
        if (only == null) {
            ui.refuse("with all methods, each in a process of its own: choose one with --only");
        } else if (!only.isLoRA() && start.quantization() != null) {
            throw new ParameterException(spec.commandLine(), "--quantize " + start.quantization() + " is for the base under "
                    + "adapters, which --only " + only + " has not. Leave out one of the two");
        }
        // Else a process of its own would be the first to notice, and tell it to its log.
        start.require();
        Base opened = base.open();
        output = output == null ? base.output() : output;
        Mails mails = data.load();
        Files.createDirectories(output);
        if (only != null) {
            try (ui) {
                ui.open(out);
                new Trial(only, opened, data, start, spec.commandLine(), ui.listeners(only.title)).run(output)
                        .write(outcome(only));
                System.gc();
                ui.linger(out, System.in);
            }
        } else {
            out.printf(Locale.ROOT,
                    "%,d e-mails to learn from (%,d spam), %,d to be tested on (%,d spam); up to %d tokens of each%n",
                    mails.train().size(), spam(mails.train()), mails.test().size(), spam(mails.test()), data.tokens());
            out.flush();
            for (Method method : Method.values()) {
                inAnotherProcess(method);
            }
        }
        out.println();
        ResultTable results = table();
        out.print(results.toString(Program.columns(spec.commandLine())));
        out.println("\nKept in " + output);
        if (methods().stream().anyMatch(Method::isLoRA)) {
            report(results, mails, opened);
        }
        out.flush();
        return 0;
    }

    private static long spam(List<Mail> mails) {
        return mails.stream().filter(Mail::spam).count();
    }

    private Path outcome(Method method) {
        return method.in(output, ".properties");
    }

    private List<Method> methods() {
        return only == null ? List.of(Method.values()) : List.of(only);
    }

    /** What was compared and what came of it, as a page. */
    private void report(ResultTable results, Mails mails, Base opened) throws IOException {
        AdapterReport report = new AdapterReport("LoRA on a pretrained encoder: spam",
                opened.kept(start.quantization(), start.seed()))
                .about("The pretrained encoder " + opened.title() + " is taught to tell spam from other e-mail, with a new head. "
                        + "All methods start from the same network and get the same e-mails and epochs.")
                .about("F1, precision and recall are those of spam, on e-mails that nothing was trained on. Minutes are those of "
                        + "training, peak memory is the process's.")
                .results(results.header(), results.rows())
                .fact("data", format("%,d e-mails to learn from", mails.train().size()) + format(", %,d to be tested on",
                        mails.test().size()) + format(", up to %d tokens of each", data.tokens()))
                .fact("learning rate", methods().stream().map(method -> start.or(method.learningRate) + " (" + method.title + ")")
                        .collect(Collectors.joining(", ")) + ", Adam")
                .fact("epochs", data.epochs() + " each, in batches of " + start.batch())
                .fact("seed", String.valueOf(start.seed()));
        if (start.quantization() != null) {
            report.fact("base of LoRA", "in fewer bits, " + start.quantization());
        }
        for (Method method : methods()) {
            if (method.isLoRA()) {
                report.add(method.title, LoRAAdapter.load(method.in(output, "")));
            }
            report.scores(method.title, ScoreHistory.read(method.in(output, ".tsv")));
        }
        Path page = output.resolve("report.html");
        report.write(page);
        out.println("Look at it: " + page.toUri());
    }

    /** Each method has a process to itself, so that none pays for, or is helped by, what another left behind. */
    private void inAnotherProcess(Method method) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        // With the memory that this one was given.
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), SpamExample.class.getName(), "train",
                "--only", method.name(), "--output", output.toAbsolutePath().toString()));
        command.addAll(data.arguments());
        command.addAll(base.arguments());
        command.addAll(start.arguments(method.isLoRA()));
        File log = method.in(output, ".log").toFile();
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log).start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroy));
        if (process.waitFor() != 0) {
            throw new IOException("The run of " + method.title + " failed; its messages are in " + log);
        }
        Outcome outcome = Outcome.read(outcome(method));
        out.printf(Locale.ROOT, "%-24s %.1f minutes, F1 %.3f%n", method.title, outcome.seconds() / 60, outcome.f1());
        out.flush();
    }

    private ResultTable table() throws IOException {
        ResultTable table = new ResultTable("", "F1", "precision", "recall", "trained parameters", "minutes", "peak memory",
                "kept on disk");
        for (Method method : methods()) {
            Outcome outcome = Outcome.read(outcome(method));
            table.row(method.title, format("%.3f", outcome.f1()), format("%.3f", outcome.precision()),
                    format("%.3f", outcome.recall()),
                    format("%,d", outcome.trained()), format("%.1f", outcome.seconds() / 60),
                    outcome.peakMib() == 0 ? UNKNOWN : format("%,d MiB", outcome.peakMib()),
                    format("%,d bytes", outcome.bytes()));
        }
        return table;
    }

    private static String format(String pattern, Object value) {
        return String.format(Locale.ROOT, pattern, value);
    }
}
