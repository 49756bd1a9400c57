package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.console.InputMessage;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.examples.Checks;
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
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.Callable;

/** Trains an adapter for each of three retrieval tasks on one sentence encoder, and tells what each is worth. */
@Command(name = "retrieval", sortOptions = false,
        description = "Trains a sentence encoder to find what answers a query, with an adapter for each task, and keeps the "
        + "adapters and the encoder.")
public final class RetrievalExample implements Callable<Integer> {

    private static final String FOLDER = "examples/target/retrieval";
    private static final int BATCH = 32;
    private static final int TESTED = 1000;
    private static final int TUNED_SEEDS = 3;
    private static final int ASKED = 3;
    private static final int FEW = 320;
    private static final int FEW_TESTED = 200;
    private static final String SHORT = "A few pairs only: this shows that everything works, not what adapters can do.";

    @Option(names = "--texts", paramLabel = "<folder>", defaultValue = Texts.FOLDER,
            description = "WordNet in its folder wordnet, State of the Union addresses in sotu. "
                    + "Default: ${DEFAULT-VALUE}, where fetch-texts.sh puts them.")
    private Path texts;

    @Option(names = "--output", paramLabel = "<folder>", description = "Where adapters and encoder are kept. Default: "
            + FOLDER + "; of another encoder than MiniLM " + FOLDER + "- and its name.")
    private Path output;

    @Option(names = "--encoder", paramLabel = "<model>", defaultValue = "minilm",
            description = "${COMPLETION-CANDIDATES}: build with its profile. Default: ${DEFAULT-VALUE}.")
    private PretrainedEncoder model;

    @Option(names = "--tuned", description = "Adapters and full fine-tuning, each at the learning rate that is best by pairs "
            + "that are held out, with three seeds.")
    private boolean tuned;

    @Option(names = "--full", description = "Full fine-tuning as well.")
    private boolean full;

    @Option(names = "--seeds", description = "How many, the results being means. Default: 1; with --tuned 3.")
    private Integer seeds;

    @Option(names = "--only", paramLabel = "<task>", description = "One task: ${COMPLETION-CANDIDATES}.")
    private Task only;

    @Option(names = "--pairs", defaultValue = "4000", description = "Of each task, to learn from. Default: ${DEFAULT-VALUE}.")
    private int pairs;

    @Option(names = "--epochs", defaultValue = "1", description = "Default: ${DEFAULT-VALUE}.")
    private int epochs;

    @Option(names = "--learning-rate", paramLabel = "<rate>",
            description = "Default: 1e-3, full fine-tuning 3e-5.")
    private Double learningRate;

    @Option(names = "--seed", defaultValue = "7", description = "Seed of adapters and batches; of several, the first. "
            + "Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--short", description = "A few pairs, and a small test, to check that everything works.")
    private boolean brief;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final Map<Task, Samples> samples = new EnumMap<>(Task.class);
    private final Map<Task, List<Outcome>> outcomes = new EnumMap<>(Task.class);
    private final Results results = new Results(this::adapter);

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
        Require.atLeastOne(spec, "--pairs", pairs);
        Require.atLeastOne(spec, "--epochs", epochs);
        Require.atLeastOne(spec, "--seeds", seeds);
        if (tuned && learningRate != null) {
            throw new ParameterException(spec.commandLine(), "--learning-rate and --tuned: give one of them");
        }
        Require.aboveZero(spec, "--learning-rate", learningRate);
        if (output == null) {
            output = Path.of(FOLDER + (model == PretrainedEncoder.MINILM ? "" : "-" + model));
        }
        Require.folder(spec, "--output", output);
        for (Task task : only == null ? Task.values() : new Task[]{only}) {
            samples.put(task, task.samples(texts, brief ? Math.min(pairs, FEW) : pairs,
                    brief ? FEW_TESTED : TESTED));
        }
        Files.createDirectories(output);
        Checks checks = new Checks(spec.commandLine());
        try (Tokenizer tokenizer = model.tokenizer(Texts.TOKENS)) {
            train(tokenizer, checks);
            ComputationGraph encoder = model.sentenceEncoder();
            ModelSerializer.writeModel(encoder, baseFile().toFile(), false);
            test(tokenizer);
            tell(encoder);
        }
        serve(checks);
        return checks.exitCode();
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
        Training training = new Training(model, tokenizer, spec.commandLine());
        for (Map.Entry<Task, Samples> task : samples.entrySet()) {
            List<Outcome> ofTask = new ArrayList<>();
            for (Method method : tuned || full ? Method.values() : new Method[] {Method.LORA}) {
                Double rate = tuned ? null : learningRate == null ? method.usual : learningRate;
                ofTask.add(new Trials(training, new Trials.Settings(epochs, BATCH, rate, seed, seeds()),
                        spec.commandLine().getOut(), checks).of(task.getKey(), method, task.getValue(), adapter(task.getKey())));
            }
            outcomes.put(task.getKey(), ofTask);
        }
    }

    private int seeds() {
        return seeds != null ? seeds : tuned ? TUNED_SEEDS : 1;
    }

    private void test(Tokenizer tokenizer) throws IOException {
        try (Served served = new Served(model, baseFile(), adapters(), samples.keySet(), tokenizer,
                new StatusLine(spec.commandLine().getErr()))) {
            samples.forEach((task, texts) -> {
                Map<String, Ranking> ofTask = new LinkedHashMap<>();
                ofTask.put(Results.BASE, served.rank(task, texts.test(), AdapterBank.BASE));
                samples.keySet().forEach(other -> ofTask.put(other.toString(),
                        served.rank(task, texts.test(), other.toString())));
                results.add(task, new Results.Result(texts.test(), outcomes.get(task), ofTask));
            });
        }
    }

    private void tell(ComputationGraph encoder) throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        int columns = Program.columns(spec.commandLine());
        ResultTable table = results.found();
        out.println();
        out.print(table.toString(columns));
        out.println();
        if (samples.size() > 1) {
            out.println("MRR of each task with each adapter:");
            out.print(results.crossed().toString(columns));
            out.println();
        }
        out.print(results.taken().toString(columns));
        out.println();
        samples.keySet().forEach(task -> out.println(results.verdict(task)));
        if (brief) {
            out.println(SHORT);
        }
        out.println("Kept in " + output);
        report(encoder, table);
        out.flush();
    }

    /** With a service on the class path; without one, there is nothing to ask. */
    private void serve(Checks checks) throws IOException {
        List<TrainedService.Question> questions = new ArrayList<>();
        samples.forEach((task, texts) -> texts.test().stream().limit(ASKED).forEach(sample -> {
            Set<String> documents = new LinkedHashSet<>(List.of(sample.document()));
            texts.test().stream().filter(other -> !other.group().equals(sample.group())).limit(FEW_TESTED)
                    .forEach(other -> documents.add(other.document()));
            questions.add(new TrainedService.Question(task.toString(), sample.query(), List.copyOf(documents)));
        }));
        for (TrainedService service : ServiceLoader.load(TrainedService.class)) {
            service.ask(model, adapters(), Texts.TOKENS, questions, spec.commandLine().getOut(), checks);
        }
    }

    /** What was learned, as a page. */
    private void report(ComputationGraph encoder, ResultTable table) throws IOException {
        AdapterReport report = new AdapterReport("LoRA on a sentence encoder: retrieval", encoder)
                .about("The pretrained sentence encoder " + model.modelName() + " is taught to find what answers a query, with "
                        + "an adapter for each task. A query's answer has to be told from the other documents of its batch.")
                .about("recall@k is the share of queries that have an answer among the first k documents, MRR the mean of 1/rank "
                        + "of the first, nDCG@10 what the first ten are worth by their places. No text that is tested on was "
                        + "learned from.")
                .results(table.header(), table.rows())
                .fact("pairs to learn from", Results.format("at most %,d of each task", pairs))
                .fact("learning rate", learningRate == null ? "Adam, see the table" : learningRate + ", Adam")
                .fact("epochs", String.valueOf(epochs)).fact("seed", String.valueOf(seed));
        for (Task task : samples.keySet()) {
            String named = task + ", " + Method.LORA.title;
            report.add(named, LoRAAdapter.load(adapter(task))).scores(named, outcomes.get(task).get(0).losses());
        }
        Path page = output.resolve("report.html");
        report.write(page);
        spec.commandLine().getOut().println("Look at it: " + page.toUri());
    }
}
