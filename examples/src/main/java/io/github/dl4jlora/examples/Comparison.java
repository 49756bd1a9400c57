package io.github.dl4jlora.examples;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.report.page.AdapterReport;
import io.github.dl4jlora.report.page.ScoreHistory;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine.ArgGroup;
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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** What the examples that compare ways of adapting a network have in common: options, training, checks and figures. */
abstract class Comparison implements Callable<Integer> {

    static final String NONE = "-";

    private static final String HEAD = "head-only";
    private static final String LORA = "LoRA";
    private static final String FULL = "full fine-tuning";
    // Columns of the table of results.
    private static final int TRAINED = 1;
    private static final int TAUGHT = 2;
    private static final int BEFORE = 3;

    private static final int SHORT_EPOCHS = 2;
    private static final String SHORT = "Two epochs only: this shows that everything works, not what each way can do.";
    private static final double ROUNDING = 1e-4;

    @Option(names = "--rank", defaultValue = "8", description = "Rank of the adapters. Default: ${DEFAULT-VALUE}.")
    private int rank;

    @Option(names = "--alpha", description = "Scale of the adapters, alpha x A x B. Default: the example's own.")
    private Double alpha;

    @Option(names = "--variant", defaultValue = "LORA",
            description = "Variant of LoRA: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    private AdapterVariant variant;

    @Mixin
    private final RateOption rate = new RateOption();

    @Option(names = "--storage", defaultValue = "SHARED",
            description = "Where the frozen weights live: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    private FrozenStorage storage;

    @Option(names = "--quantize",
            description = "Quantises the base of the adapted network: ${COMPLETION-CANDIDATES}. Default: no quantisation.")
    private Quantization quantization;

    @Option(names = "--seed", defaultValue = "7", description = "Seed of everything random. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @ArgGroup
    private Length length = new Length();

    @Option(names = "--output", paramLabel = "<folder>",
            description = "Where networks and adapter are saved. Default: a new temporary folder.")
    private Path output;

    @Mixin
    private final UiOption ui = new UiOption();

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final int usualEpochs;
    private final Map<String, ScoreHistory> losses = new LinkedHashMap<>();
    private final Map<String, String> facts = new LinkedHashMap<>();
    private final double usualAlpha;

    /** How long every training takes. */
    private static final class Length {

        @Option(names = "--epochs", description = "Epochs of every training. Default: the example's own number.")
        private Integer epochs;

        @Option(names = "--short", description = "Two epochs only, to check that everything works.")
        private boolean brief;
    }

    Comparison(int usualEpochs, double usualAlpha) {
        this.usualEpochs = usualEpochs;
        this.usualAlpha = usualAlpha;
    }

    static CommandLine commandLine(Comparison example) {
        return new CommandLine(example).setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(new UsageMessage("-pl examples"));
    }

    /** Runs the whole comparison. */
    abstract Integer compare() throws IOException;

    @Override
    public final Integer call() throws IOException {
        try (ui) {
            ui.open(out());
            Integer exitCode = compare();
            ui.linger(out(), System.in);
            return exitCode;
        }
    }

    final PrintWriter out() {
        return spec.commandLine().getOut();
    }

    final long seed() {
        return seed;
    }

    final boolean isShort() {
        return length.brief;
    }

    final int epochs() {
        return length.brief ? SHORT_EPOCHS : length.epochs == null ? usualEpochs : length.epochs;
    }

    /** Prints what the networks learn from; the report says it too. */
    final void tellData(String data) {
        out().println(data);
        facts.put("data", data);
    }

    /** The adapters that the options ask for. */
    final LoRAConfig.Builder lora(double usualRate) {
        Require.atLeastOne(spec, "--epochs", epochs());
        Require.atLeastOne(spec, "--rank", rank);
        double factor = alpha == null ? usualAlpha : alpha;
        if (!Double.isFinite(factor)) {
            throw new ParameterException(spec.commandLine(), "--alpha is " + alpha + ", but must be a finite number");
        }
        if (quantization != null && storage == FrozenStorage.EMBEDDED) {
            throw new ParameterException(spec.commandLine(), "--quantize needs --storage SHARED, but --storage is EMBEDDED");
        }
        return LoRAConfig.builder().rank(rank).alpha(factor).storage(storage).quantize(quantization).variant(variant.get())
                .updater(new Adam(rate.or(usualRate))).seed(seed);
    }

    final Path outputFolder() throws IOException {
        if (output == null) {
            return Files.createTempDirectory("dl4j-lora-" + spec.name() + "-");
        }
        Require.folder(spec, "--output", output);
        return Files.createDirectories(output);
    }

    /** Trains a network, and returns the timer of its steps. */
    final StepTimer train(String name, MultiLayerNetwork network, DataSetIterator data) {
        StepTimer timer = new StepTimer();
        CollectScoresIterationListener scores = new CollectScoresIterationListener();
        network.setListeners(new ProgressLine(out(), new StatusLine(spec.commandLine().getErr()), name, epochs()), timer, scores);
        ui.listeners(name).forEach(network::addListeners);
        network.fit(data, epochs());
        network.setListeners(List.of());
        losses.put(name, ScoreHistory.of(scores));
        return timer;
    }

    /**
     * A network that was taught something new.
     *
     * @param name of the way of teaching
     * @param kept what has to be stored: a whole network's file, or an adapter's folder
     */
    record Taught(String name, MultiLayerNetwork network, StepTimer steps, Path kept) {
    }

    /** One base, taught the same task in three ways. */
    record ThreeWays(Path baseFile, Taught headOnly, Taught lora, Taught full) {
    }

    /**
     * Teaches a base in three ways, by training its output layer, adapters, or every weight, and stores what each way has to
     * keep.
     *
     * @param lastHidden index of the layer below the output layer
     * @param data       supplies a new iterator for each training
     */
    final ThreeWays teach(MultiLayerNetwork base, LoRAConfig lora, int lastHidden, double usualRate,
                          Supplier<DataSetIterator> data, Path folder) throws IOException {
        facts.put("learning rate", rate.told(usualRate));
        facts.put("epochs", isShort() ? SHORT : epochs() + " each");
        facts.put("seed", String.valueOf(seed));
        if (quantization != null) {
            facts.put("base of LoRA", "quantised, " + quantization);
        }
        MultiLayerNetwork adapted = adapt(base, lora);
        FineTuneConfiguration anew = new FineTuneConfiguration.Builder().updater(new Adam(rate.or(usualRate))).seed(seed).build();
        MultiLayerNetwork headOnly = new TransferLearning.Builder(base).fineTuneConfiguration(anew)
                .setFeatureExtractor(lastHidden).build();
        StepTimer headSteps = teach(HEAD, headOnly, data);

        StepTimer loraSteps = teach(LORA, adapted, data);

        MultiLayerNetwork full = new TransferLearning.Builder(base).fineTuneConfiguration(anew).build();
        StepTimer fullSteps = teach(FULL, full, data);
        facts.put("learning rate", rate.told(usualRate));

        Path adapter = folder.resolve("adapter");
        LoRAAdapter.of(adapted).save(adapter);
        return new ThreeWays(save(base, folder.resolve("base.zip")),
                new Taught(HEAD, headOnly, headSteps, save(headOnly, folder.resolve("head-only.zip"))),
                new Taught(LORA, adapted, loraSteps, adapter),
                new Taught(FULL, full, fullSteps, save(full, folder.resolve("full-fine-tuning.zip"))));
    }

    private StepTimer teach(String name, MultiLayerNetwork network, Supplier<DataSetIterator> data) {
        rate.find(name, network, data.get(), isShort());
        return train(name, network, data.get());
    }

    private MultiLayerNetwork adapt(MultiLayerNetwork base, LoRAConfig lora) {
        try {
            return LoRA.apply(base, lora);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), "--rank, --alpha and --variant do not suit this network: "
                    + e.getMessage(), e);
        }
    }

    /**
     * Prints what trained, how well each network does, what it took and what has to be stored.
     *
     * @param taught heading and measure of what the network was taught; {@code before} is the same for what it knew before
     */
    final ResultTable printTable(ThreeWays ways, MultiLayerNetwork base, String taught,
                                 Function<MultiLayerNetwork, String> onTaught, String before,
                                 Function<MultiLayerNetwork, String> onBefore) throws IOException {
        MultiLayerNetwork unloaded = LoRA.unload(ways.lora.network);
        ResultTable table = new ResultTable("", "trained parameters", taught, before, "median step", "training", "on disk")
                .row("base", NONE, onTaught.apply(base), onBefore.apply(base), NONE, NONE, Figures.bytes(ways.baseFile));
        for (Taught way : List.of(ways.headOnly, ways.lora, ways.full)) {
            table.row(way.name, Figures.trained(way.network), onTaught.apply(way.network), onBefore.apply(way.network),
                    Figures.millis(way.steps), Figures.seconds(way.steps), Figures.bytes(way.kept));
            if (way == ways.lora) {
                table.row("  adapter removed", NONE, onTaught.apply(unloaded), onBefore.apply(unloaded), NONE, NONE, NONE);
            }
        }
        out().println();
        out().print(table.toString(Program.columns(spec.commandLine())));
        if (isShort()) {
            out().println(SHORT);
        }
        out().println();
        return table;
    }

    /** The parameters and answers of a base before it was adapted. */
    record Before(INDArray params, INDArray questions, INDArray answers) {

        static Before of(MultiLayerNetwork base, INDArray questions) {
            return new Before(base.params().dup(), questions, base.output(questions));
        }
    }

    /** Checks that an adapter can be removed, put on a reloaded base, and merged into a plain Deeplearning4j network. */
    private void checkAdapter(Checks checks, MultiLayerNetwork adapted, MultiLayerNetwork base, Before before, Path baseFile,
                              Path adapterFolder) throws IOException {
        INDArray answers = adapted.output(before.questions);
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(baseFile.toFile());
        MultiLayerNetwork reloaded = LoRA.apply(restored, LoRAAdapter.load(adapterFolder),
                LoRAConfig.builder().quantize(quantization).build());
        double rounding = LoRA.merge(adapted).output(before.questions).sub(answers).amaxNumber().doubleValue();
        checks.check("adapter removed: same answers as the base, bit for bit",
                Checks.sameBits(LoRA.unload(adapted).output(before.questions), quantization == null ? before.answers
                        : LoRA.merge(LoRA.freeze(base, quantization)).output(before.questions)));
        checks.check("base and adapter reloaded from disk: answers as before, bit for bit",
                Checks.sameBits(reloaded.output(before.questions), answers));
        checks.check(String.format(Locale.ROOT, "merged into a plain network: answers as before, largest difference %.1e",
                rounding), rounding <= ROUNDING);
        checks.check("base: parameters unchanged, bit for bit", Checks.sameBits(base.params(), before.params));
    }

    /** Compares LoRA and full fine-tuning by figures of the table. */
    private static String outcome(ResultTable results) {
        List<String> head = results.header();
        Map<String, List<String>> rows = results.rows().stream().collect(Collectors.toMap(row -> row.get(0), row -> row));
        return String.format("LoRA reaches %s (%s) and %s (%s) with %s trained values, full fine-tuning %s and %s with %s.",
                rows.get(LORA).get(TAUGHT), head.get(TAUGHT), rows.get(LORA).get(BEFORE), head.get(BEFORE),
                rows.get(LORA).get(TRAINED), rows.get(FULL).get(TAUGHT), rows.get(FULL).get(BEFORE), rows.get(FULL).get(TRAINED));
    }

    /**
     * What the report says.
     *
     * @param task    what the base can do and what it is taught
     * @param measure what the figures of the table are
     */
    record Story(String title, String task, String measure) {
    }

    /** Writes the comparison and its results as a page, without the first training, which made the base. */
    private void report(Story story, MultiLayerNetwork base, ThreeWays ways, ResultTable results, Path folder)
            throws IOException {
        Path page = folder.resolve("report.html");
        AdapterReport report = new AdapterReport(story.title, base).add(LORA, LoRAAdapter.of(ways.lora.network))
                .about(story.task + " Three ways of teaching start from the same network and use the same data"
                        + (rate.sweeps() ? " and epochs, each with its own learning rate, found by a sweep"
                        : ", epochs and learning rate") + ": training its output layer alone (head-only), training adapters of "
                        + "rank " + rank
                        + " beside its frozen weights (LoRA), and training every weight (full fine-tuning).")
                .about(story.measure + " No test data was used for training. " + outcome(results))
                .results(results.header(), results.rows());
        facts.forEach(report::fact);
        rate.swept().forEach(report::rates);
        losses.entrySet().stream().skip(1).forEach(entry -> report.scores(entry.getKey(), entry.getValue()));
        report.write(page);
        out().println("Look at it: " + page.toUri());
    }

    /** Runs the checks and writes the report. */
    final int conclude(Story story, MultiLayerNetwork base, Before before, ThreeWays ways, ResultTable results, Path folder)
            throws IOException {
        Checks checks = new Checks(spec.commandLine());
        checkAdapter(checks, ways.lora.network, base, before, ways.baseFile, ways.lora.kept);
        out().println("Saved in " + folder);
        report(story, base, ways, results, folder);
        return checks.exitCode();
    }

    private static Path save(MultiLayerNetwork network, Path file) throws IOException {
        ModelSerializer.writeModel(network, file.toFile(), false);
        return file;
    }
}
