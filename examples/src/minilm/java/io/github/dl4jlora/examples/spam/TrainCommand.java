package io.github.dl4jlora.examples.spam;

import io.github.dl4jlora.examples.Program;
import io.github.dl4jlora.examples.ResultTable;
import io.github.dl4jlora.examples.UiOption;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;

/** Trains in all four ways and prints a table of what they came to. */
@Command(name = "train", sortOptions = false,
        description = "Trains all-MiniLM-L6-v2 to tell spam in four ways and compares them. "
        + "Keeps what each has learned.")
final class TrainCommand implements Callable<Integer> {

    private static final String UNKNOWN = "-";

    @Mixin
    private DataOptions data;

    @Mixin
    private TrialOptions start;

    @Option(names = "--output", paramLabel = "<folder>", defaultValue = SpamExample.OUTPUT,
            description = "Where adapters and networks are kept. Default: ${DEFAULT-VALUE}.")
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
        }
        Mails mails = data.load();
        Files.createDirectories(output);
        if (only != null) {
            try (ui) {
                ui.open(out);
                new Trial(only, data, start, spec.commandLine(), ui.listeners(only.title)).run(output).write(outcome(only));
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
        out.print(table().toString(Program.columns(spec.commandLine())));
        out.println("Kept in " + output);
        out.flush();
        return 0;
    }

    private static long spam(List<Mail> mails) {
        return mails.stream().filter(Mail::spam).count();
    }

    private Path outcome(Method method) {
        return output.resolve(method.name().toLowerCase(Locale.ROOT) + ".properties");
    }

    /** Each method has a process to itself, so that none pays for, or is helped by, what another left behind. */
    private void inAnotherProcess(Method method) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx1g",
                "-Dorg.bytedeco.javacpp.maxbytes=6g", "-cp", System.getProperty("java.class.path"),
                SpamExample.class.getName(), "train",
                "--only", method.name(), "--output", output.toAbsolutePath().toString()));
        command.addAll(List.of(data.arguments()));
        command.addAll(start.arguments());
        File log = output.resolve(method.name().toLowerCase(Locale.ROOT) + ".log").toFile();
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
        for (Method method : only == null ? Method.values() : new Method[]{only}) {
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
