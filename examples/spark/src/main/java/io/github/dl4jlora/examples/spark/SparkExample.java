package io.github.dl4jlora.examples.spark;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.examples.ProgressLine;
import io.github.dl4jlora.examples.UiOption;
import io.github.dl4jlora.machine.Threads;
import org.apache.spark.api.java.JavaRDD;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;

/**
 * Two workers of Spark teach a wide network to read turned digits, by LoRA and by full fine-tuning. {@link #call} shows the whole
 * procedure.
 */
@Command(name = "spark", sortOptions = false, description = "Trains LoRA adapters and, to compare, all weights of a wide "
        + "network with Spark, and shows what was sent between driver and executors.")
public final class SparkExample implements Callable<Integer> {

    private static final String NONE = "-";
    private static final int LAST_JDK = 23;

    /** What workers send each other. */
    enum Sharing { PARAMETERS, GRADIENTS }

    @Option(names = "--cluster", description = "Uses a standalone cluster on this machine, of a master, " + Engine.WORKERS + " "
            + "workers and their executors, each in its own JVM, instead of threads of this JVM.")
    private boolean onCluster;

    @Option(names = "--sharing", defaultValue = "PARAMETERS", description = "What workers share: ${COMPLETION-CANDIDATES} "
            + "(averaged after every " + ParameterAveraging.BATCHES_BETWEEN + " batches, or sent after every one). "
            + "Default: ${DEFAULT-VALUE}.")
    private Sharing sharing;

    @Option(names = "--kill",
            description = "Trains LoRA once more and kills a worker in the middle. Needs --cluster and PARAMETERS.")
    private boolean kill;

    @Option(names = "--width", defaultValue = "2048", description = "Outputs of either hidden layer. Default: ${DEFAULT-VALUE}.")
    private int width;

    @Option(names = "--epochs", defaultValue = "10", description = "Epochs of every training. Default: ${DEFAULT-VALUE}.")
    private int epochs;

    @Option(names = "--seed", defaultValue = "7", description = "Seed of split, weights and adapters. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--output", paramLabel = "<folder>",
            description = "Where the base and the cluster's logs go. Default: a new temporary folder.")
    private Path output;

    @Mixin
    private final UiOption ui = new UiOption();

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private PrintWriter out;
    private DigitsTask task;

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new SparkExample()).setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(new UsageMessage("-Pspark -pl examples/spark"));
    }

    @Override
    public Integer call() throws IOException {
        if (Runtime.version().feature() > LAST_JDK) {
            throw new ParameterException(spec.commandLine(), "This is JDK " + Runtime.version().feature() + ", but Hadoop in "
                    + "Spark 3.3 calls methods that JDKs after " + LAST_JDK + " no longer have. Put JAVA_HOME=/path/to/jdk-17 "
                    + "before the command.");
        }
        out = spec.commandLine().getOut();
        checkOptions();
        Path folder = output == null ? Files.createTempDirectory("dl4j-lora-spark-") : Files.createDirectories(output);
        Path logged = folder.resolve("driver.log");
        try (ui; DriverLog log = new DriverLog(logged)) {
            ui.open(out);
            out.println("Spark's log: " + logged);
            int exitCode = compare(folder, log);
            ui.linger(out, System.in);
            return exitCode;
        }
    }

    private int compare(Path folder, DriverLog log) throws IOException {
        long start = System.nanoTime();
        task = new DigitsTask(width, seed);

        // Executors of a real cluster would find the base on a file system that all of them see, such as hdfs:.
        ComputationGraph base = task.base(new ProgressLine(out, new StatusLine(spec.commandLine().getErr()), "base",
                DigitsTask.BASE_EPOCHS));
        INDArray baseParams = base.params().dup();
        Path baseFile = folder.resolve("base.zip");
        ModelSerializer.writeModel(base, baseFile.toFile(), false);
        String baseHash = sha256(baseFile);

        ResultTable table = new ResultTable("", "trained parameters", "turned digits", "seconds", "rounds",
                "to an executor, a round", "from an executor, a round")
                .row("base", NONE, percent(base), NONE, NONE, NONE, NONE);
        boolean passed = true;

        ComputationGraph lora = task.lora(base, baseFile.toUri());
        try (Engine engine = engine(folder.resolve("lora"))) {
            train("LoRA", lora, engine, table);
            passed &= !onCluster || check("every executor has read the base once", engine.basesRead().equals(List.of(1L, 1L)));
        }
        ComputationGraph full = task.full(base);
        try (Engine engine = engine(folder.resolve("full"))) {
            train("full fine-tuning", full, engine, table);
        }
        if (kill) {
            ComputationGraph disturbed = task.lora(base, baseFile.toUri());
            try (Engine engine = engine(folder.resolve("killed"))) {
                int anEpoch = rounds(1);
                WorkerKiller killer = engine.killInRound(epochs / 2 * anEpoch + (anEpoch + 1) / 2);
                out.println("Next, a worker is killed; Spark's messages about it are only in its log");
                log.quietly(() -> train("LoRA, a worker killed", disturbed, engine, table));
                passed &= check("a worker was killed, training went on without it", killer.noticed());
            }
        }
        passed &= check("base file: unchanged", sha256(baseFile).equals(baseHash));
        passed &= check("base network: parameters unchanged, bit for bit", base.params().equalsWithEps(baseParams, 0));

        out.println();
        out.print(table.toString(Program.columns(spec.commandLine())));
        out.println();
        out.printf(Locale.ROOT, "%.1f minutes. Base and logs in %s%n", (System.nanoTime() - start) / 60e9, folder);
        out.flush();
        if (!passed) {
            spec.commandLine().getErr().println("spark: a check failed, see FAILED above");
        }
        return passed ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }

    private void checkOptions() {
        Require.atLeastOne(spec, "--epochs", epochs);
        Require.atLeastOne(spec, "--width", width);
        if (sharing == Sharing.GRADIENTS) {
            ui.refuse("with --sharing GRADIENTS: its executors do not report their figures");
        }
        if (kill && !(onCluster && sharing == Sharing.PARAMETERS)) {
            throw new ParameterException(spec.commandLine(),
                    "--kill needs --cluster and --sharing PARAMETERS: a thread cannot be "
                    + "killed, and killing a worker has not been tried with gradient sharing");
        }
    }

    /** One engine per training: DL4J's gradient sharing does not start twice in the same executors. */
    private Engine engine(Path folder) throws IOException {
        long start = System.nanoTime();
        StatusLine line = new StatusLine(spec.commandLine().getErr());
        line.show(() -> String.format(Locale.ROOT, "  starting Spark, %.1f s", (System.nanoTime() - start) / 1e9));
        try {
            return onCluster ? Engine.cluster(folder) : Engine.local();
        } finally {
            line.clear();
        }
    }

    /** Rounds of averaging in {@code ofEpochs} epochs. */
    private int rounds(int ofEpochs) {
        return ofEpochs * ParameterAveraging.rounds(task.batches(), Engine.WORKERS);
    }

    private void train(String name, ComputationGraph network, Engine engine, ResultTable table) {
        JavaRDD<DataSet> data = task.data(engine.spark(), Engine.WORKERS);
        long start = System.nanoTime();
        StatusLine line = new StatusLine(spec.commandLine().getErr());
        line.show(() -> String.format(Locale.ROOT, "  %-21s %s%.1f s", name, sharing == Sharing.GRADIENTS ? ""
                : "round " + engine.roundsSoFar() + " of " + rounds(epochs) + ", ", (System.nanoTime() - start) / 1e9));
        try {
            if (sharing == Sharing.PARAMETERS) {
                ParameterAveraging.train(engine.spark(), network, data, Engine.WORKERS, epochs, seed, ui.listeners(name));
            } else {
                GradientSharing.train(engine.spark(), network, data, Engine.WORKERS, onCluster ? 1 : Engine.WORKERS, epochs,
                        seed);
            }
        } finally {
            line.clear();
        }
        String seconds = String.format(Locale.ROOT, "%.1f", (System.nanoTime() - start) / 1e9);
        out.printf(Locale.ROOT, "  %-21s %d epochs, %s s%n", name, epochs, seconds);
        out.flush();
        String trained = String.format(Locale.ROOT, "%,d", network.numParams());
        if (sharing == Sharing.PARAMETERS) {
            WireBytes.Count sent = engine.sent();
            table.row(name, trained, percent(network), seconds, Integer.toString(sent.rounds()), bytes(sent.down()),
                    bytes(sent.up()));
        } else {
            table.row(name, trained, percent(network), seconds, NONE, NONE, NONE);
        }
    }

    private boolean check(String what, boolean ok) {
        out.println((ok ? "ok      " : "FAILED  ") + what);
        return ok;
    }

    private String percent(ComputationGraph network) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * task.accuracy(network));
    }

    private static String bytes(long bytes) {
        return String.format(Locale.ROOT, "%,d bytes", bytes);
    }

    private static String sha256(Path file) throws IOException {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("This JVM has no SHA-256", e);
        }
    }
}
