package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.console.InputMessage;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.examples.Figures;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.report.page.AdapterReport;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
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
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;

/** Trains an adapter for each of three retrieval tasks on one all-MiniLM-L6-v2, and tells what each is worth. */
@Command(name = "retrieval", sortOptions = false,
        description = "Trains the sentence encoder all-MiniLM-L6-v2 to find what answers a query, with an adapter for each "
        + "task, and keeps the adapters and the encoder.")
public final class RetrievalExample implements Callable<Integer> {

    private static final String NONE = "-";
    private static final String BASE = "base";
    private static final int BATCH = 32;
    private static final int TESTED = 1000;
    private static final int FEW = 320;
    private static final int FEW_TESTED = 200;
    private static final String SHORT = "A few pairs only: this shows that everything works, not what adapters can do.";

    @Option(names = "--texts", paramLabel = "<folder>", defaultValue = Texts.FOLDER,
            description = "WordNet in its folder wordnet, State of the Union addresses in sotu. "
                    + "Default: ${DEFAULT-VALUE}, where fetch-texts.sh puts them.")
    private Path texts;

    @Option(names = "--output", paramLabel = "<folder>", defaultValue = "examples/target/retrieval",
            description = "Where adapters and encoder are kept. Default: ${DEFAULT-VALUE}.")
    private Path output;

    @Option(names = "--only", paramLabel = "<task>", description = "One task: ${COMPLETION-CANDIDATES}.")
    private Task only;

    @Option(names = "--pairs", defaultValue = "4000", description = "Of each task, to learn from. Default: ${DEFAULT-VALUE}.")
    private int pairs;

    @Option(names = "--epochs", defaultValue = "1", description = "Default: ${DEFAULT-VALUE}.")
    private int epochs;

    @Option(names = "--learning-rate", paramLabel = "<rate>", defaultValue = "1e-3", description = "Default: ${DEFAULT-VALUE}.")
    private double learningRate;

    @Option(names = "--seed", defaultValue = "7", description = "Seed of adapters and batches. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--short", description = "A few pairs, and a small test, to check that everything works.")
    private boolean brief;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final Map<Task, Samples> samples = new EnumMap<>(Task.class);
    private final Map<Task, Training.Taken> taken = new EnumMap<>(Task.class);
    private final Map<Task, Map<String, Ranking>> rankings = new EnumMap<>(Task.class);

    private RetrievalExample() {
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new RetrievalExample()).setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(new UsageMessage("-Pminilm -pl examples/models"))
                .setExecutionExceptionHandler(new InputMessage());
    }

    @Override
    public Integer call() throws IOException {
        requireAtLeastOne("--pairs", pairs);
        requireAtLeastOne("--epochs", epochs);
        if (!(learningRate > 0) || !Double.isFinite(learningRate)) {
            throw new ParameterException(spec.commandLine(), "--learning-rate is " + learningRate
                    + ", but must be a finite number above 0");
        }
        if (Files.exists(output) && !Files.isDirectory(output)) {
            throw new ParameterException(spec.commandLine(), "--output " + output + " exists, but is not a folder");
        }
        for (Task task : only == null ? Task.values() : new Task[]{only}) {
            samples.put(task, task.samples(texts, brief ? Math.min(pairs, FEW) : pairs,
                    brief ? FEW_TESTED : TESTED));
        }
        Files.createDirectories(output);
        Checks checks = new Checks(spec.commandLine());
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(Texts.TOKENS)) {
            train(tokenizer, checks);
            ComputationGraph encoder = PretrainedEncoder.MINILM.sentenceEncoder();
            ModelSerializer.writeModel(encoder, baseFile().toFile(), false);
            test(tokenizer);
            tell(encoder);
        }
        return checks.exitCode();
    }

    private void requireAtLeastOne(String option, int value) {
        if (value < 1) {
            throw new ParameterException(spec.commandLine(), option + " is " + value + ", but must be at least 1");
        }
    }

    private Path baseFile() {
        return output.resolve("base.zip");
    }

    private Path adapters() {
        return output.resolve("adapters");
    }

    private Path adapter(Task task) {
        return adapters().resolve(task.toString());
    }

    private void train(Tokenizer tokenizer, Checks checks) throws IOException {
        Training training = new Training(tokenizer, new Training.Settings(epochs, BATCH, learningRate, seed), spec.commandLine());
        for (Map.Entry<Task, Samples> task : samples.entrySet()) {
            taken.put(task.getKey(), training.train(task.getKey(), task.getValue(), adapter(task.getKey()), checks));
        }
    }

    private void test(Tokenizer tokenizer) throws IOException {
        try (Served served = new Served(baseFile(), adapters(), samples.keySet(), tokenizer,
                new StatusLine(spec.commandLine().getErr()))) {
            samples.forEach((task, texts) -> {
                Map<String, Ranking> ofTask = new LinkedHashMap<>();
                ofTask.put(BASE, served.rank(task, texts.test(), AdapterBank.BASE));
                samples.keySet().forEach(other -> ofTask.put(other.toString(),
                        served.rank(task, texts.test(), other.toString())));
                rankings.put(task, ofTask);
            });
        }
    }

    private void tell(ComputationGraph encoder) throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        int columns = Program.columns(spec.commandLine());
        ResultTable results = results();
        out.println();
        out.print(results.toString(columns));
        out.println();
        if (samples.size() > 1) {
            out.println("MRR of each task with each adapter:");
            out.print(crossed().toString(columns));
            out.println();
        }
        for (Task task : samples.keySet()) {
            out.println(verdict(task));
        }
        if (brief) {
            out.println(SHORT);
        }
        out.println("Kept in " + output);
        report(encoder, results);
        out.flush();
    }

    private ResultTable results() throws IOException {
        ResultTable table = new ResultTable("", "recall @1", "recall @5", "recall @10", "MRR", "queries", "documents",
                "trained values", "minutes", "adapter bytes");
        for (Task task : samples.keySet()) {
            List<Sample> test = samples.get(task).test();
            table.row(row(task + ", base", rankings.get(task).get(BASE), format("%,d", test.size()),
                    format("%,d", Served.documents(test).size()), NONE, NONE, NONE));
            table.row(row(named(task), rankings.get(task).get(task.toString()), NONE, NONE,
                    format("%,d", taken.get(task).trained()), format("%.1f", taken.get(task).seconds() / 60),
                    format("%,d", Figures.size(adapter(task)))));
        }
        return table;
    }

    private static String named(Task task) {
        return task + ", LoRA";
    }

    private static String[] row(String name, Ranking ranking, String... rest) {
        List<String> cells = new ArrayList<>(List.of(name, format("%.3f", ranking.recallAt(1)),
                format("%.3f", ranking.recallAt(5)), format("%.3f", ranking.recallAt(10)), format("%.3f", ranking.mrr())));
        cells.addAll(List.of(rest));
        return cells.toArray(String[]::new);
    }

    private ResultTable crossed() {
        List<String> head = new ArrayList<>(List.of("", BASE));
        samples.keySet().forEach(task -> head.add("adapter " + task));
        ResultTable table = new ResultTable(head.toArray(String[]::new));
        rankings.forEach((task, ofTask) -> {
            List<String> cells = new ArrayList<>(List.of(task.toString()));
            ofTask.values().forEach(ranking -> cells.add(format("%.3f", ranking.mrr())));
            table.row(cells.toArray(String[]::new));
        });
        return table;
    }

    private String verdict(Task task) {
        Ranking base = rankings.get(task).get(BASE);
        Ranking adapted = rankings.get(task).get(task.toString());
        return String.format(Locale.ROOT, "%s, %s: the adapter %s. It puts the answer higher for %,d queries, lower for %,d.",
                task, task.aim, adapted.mrr() > base.mrr() ? "helps" : "does not help", adapted.above(base), base.above(adapted));
    }

    /** What was learned, as a page. */
    private void report(ComputationGraph encoder, ResultTable results) throws IOException {
        AdapterReport report = new AdapterReport("LoRA on a sentence encoder: retrieval", encoder)
                .about("The pretrained sentence encoder all-MiniLM-L6-v2 is taught to find what answers a query, with an "
                        + "adapter for each task. A query's answer has to be told from the other documents of its batch.")
                .about("recall@k is the share of queries that have an answer among the first k documents, MRR the mean of 1/rank "
                        + "of the first. No text that is tested on was learned from.")
                .results(results.header(), results.rows()).fact("pairs to learn from", format("at most %,d of each task", pairs))
                .fact("learning rate", learningRate + ", Adam").fact("epochs", String.valueOf(epochs))
                .fact("seed", String.valueOf(seed));
        for (Task task : samples.keySet()) {
            report.add(named(task), LoRAAdapter.load(adapter(task))).scores(named(task), taken.get(task).losses());
        }
        Path page = output.resolve("report.html");
        report.write(page);
        spec.commandLine().getOut().println("Look at it: " + page.toUri());
    }

    private static String format(String pattern, Object value) {
        return String.format(Locale.ROOT, pattern, value);
    }
}
