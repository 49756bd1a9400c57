package io.github.dl4jlora.examples;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.report.AdapterReport;
import io.github.dl4jlora.examples.report.ScoreHistory;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import picocli.CommandLine;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/**
 * A network that reads upright digits learns to read digits that lie on their side, in three ways: with only its output
 * layer trained, with LoRA, and with every weight trained. All three start from the same network and get the same
 * images, epochs and updater. {@link #tell} is the story from top to bottom.
 */
@Command(name = "digits", sortOptions = false, description = "Trains a network on upright handwritten digits, teaches it digits "
        + "turned by 90 degrees with LoRA, and compares that with training only its output layer and with full fine-tuning.")
public final class DigitsExample implements Callable<Integer> {

    private static final int WIDTH = 256;
    private static final int LAST_HIDDEN = 2;
    private static final int BATCH = 32;
    private static final double LEARNING_RATE = 2e-3;
    private static final double TEST_SHARE = 0.25;
    private static final double ROUNDING = 1e-4;
    private static final String NONE = "-";

    @Option(names = "--rank", defaultValue = "8", description = "Rank of the adapters. Default: ${DEFAULT-VALUE}.")
    private int rank;

    @Option(names = "--alpha", defaultValue = "1", description = "Factor of the adapters, alpha x A x B. Default: ${DEFAULT-VALUE}.")
    private double alpha;

    @Option(names = "--storage", defaultValue = "SHARED",
            description = "Where the frozen weights live: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    private FrozenStorage storage;

    @Option(names = "--seed", defaultValue = "7", description = "Seed of split, weights and adapters. Default: ${DEFAULT-VALUE}.")
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

    private PrintWriter out;
    private final Map<String, ScoreHistory> losses = new HashMap<>();

    /** How long every training takes. */
    private static final class Length {

        @Option(names = "--epochs", description = "Epochs of every training. Default: 20.")
        private int epochs = 20;

        @Option(names = "--short", description = "Two epochs only: does everything work?")
        private boolean brief;

        int epochs() {
            return brief ? 2 : epochs;
        }
    }

    public static void main(String[] args) {
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new DigitsExample()).setCaseInsensitiveEnumValuesAllowed(true);
    }

    @Override
    public Integer call() throws IOException {
        out = spec.commandLine().getOut();
        LoRAConfig lora = checkedConfig();
        Path folder = outputFolder();
        try (ui) {
            ui.open(out);
            boolean passed = tell(lora, folder);
            ui.linger(out, System.in);
            if (!passed) {
                spec.commandLine().getErr().println("digits: a check failed, see FAILED above");
            }
            return passed ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
        }
    }

    private boolean tell(LoRAConfig lora, Path folder) throws IOException {

        // Real handwriting, and the same images lying on their side. Nothing is trained on test images.
        Digits.Split upright = Digits.load().split(TEST_SHARE, seed);
        Digits.Split turned = new Digits.Split(upright.train().turned(), upright.test().turned());
        INDArray questions = turned.test().features();
        out.printf(Locale.ROOT, "%,d handwritten digits to learn from, %,d to be tested on%n", upright.train().size(),
                upright.test().size());

        // The base learns to read upright digits only.
        MultiLayerNetwork base = newNetwork();
        train("base, upright", base, upright.train());
        INDArray baseParams = base.params().dup();
        INDArray baseAnswers = base.output(questions);

        // Three ways to teach it turned digits.
        FineTuneConfiguration anew = new FineTuneConfiguration.Builder().updater(new Adam(LEARNING_RATE)).seed(seed).build();
        MultiLayerNetwork headOnly = new TransferLearning.Builder(base).fineTuneConfiguration(anew)
                .setFeatureExtractor(LAST_HIDDEN).build();
        double headStep = train("head-only", headOnly, turned.train());

        MultiLayerNetwork adapted = LoRA.apply(base, lora);
        double loraStep = train("LoRA", adapted, turned.train());
        MultiLayerNetwork unloaded = LoRA.unload(adapted);

        MultiLayerNetwork full = new TransferLearning.Builder(base).fineTuneConfiguration(anew).build();
        double fullStep = train("full fine-tuning", full, turned.train());

        // What has to be stored: whole networks, or an adapter beside the base.
        Path baseFile = save(base, folder.resolve("base.zip"));
        Path headFile = save(headOnly, folder.resolve("head-only.zip"));
        Path fullFile = save(full, folder.resolve("full-fine-tuning.zip"));
        Path adapterFolder = folder.resolve("adapter");
        LoRAAdapter.of(adapted).save(adapterFolder);

        out.println();
        out.print(new ResultTable("", "trained parameters", "turned digits", "upright digits", "median step", "on disk")
                .row("base", NONE, accuracy(base, turned), accuracy(base, upright), NONE, bytes(baseFile))
                .row("head-only", trained(headOnly), accuracy(headOnly, turned), accuracy(headOnly, upright), millis(headStep),
                        bytes(headFile))
                .row("LoRA", trained(adapted), accuracy(adapted, turned), accuracy(adapted, upright), millis(loraStep),
                        bytes(adapterFolder))
                .row("  adapter removed", NONE, accuracy(unloaded, turned), accuracy(unloaded, upright), NONE, NONE)
                .row("full fine-tuning", trained(full), accuracy(full, turned), accuracy(full, upright), millis(fullStep),
                        bytes(fullFile)));
        out.println();

        // The adapter is a thing of its own: it comes off, goes on elsewhere, and merges into plain Deeplearning4j.
        INDArray answers = adapted.output(questions);
        MultiLayerNetwork restored = ModelSerializer.restoreMultiLayerNetwork(baseFile.toFile());
        MultiLayerNetwork reloaded = LoRA.apply(restored, LoRAAdapter.load(adapterFolder));
        MultiLayerNetwork merged = LoRA.merge(adapted);
        double rounding = merged.output(questions).sub(answers).amaxNumber().doubleValue();

        boolean passed = Stream.of(
                check("adapter removed: answers as the base, bit for bit", sameBits(unloaded.output(questions), baseAnswers)),
                check("base and adapter reloaded from disk: answers as before, bit for bit",
                        sameBits(reloaded.output(questions), answers)),
                check(String.format(Locale.ROOT, "merged into a plain network: answers as before, largest difference %.1e", rounding),
                        rounding <= ROUNDING),
                check("base: no parameter moved by a bit", sameBits(base.params(), baseParams))
        ).toList().stream().allMatch(ok -> ok);
        out.println("Saved in " + folder);

        // What the adapter did, as a page to look at.
        Path page = folder.resolve("report.html");
        new AdapterReport("LoRA on turned digits", base).add("LoRA", LoRAAdapter.of(adapted))
                .scores("head-only", losses.get("head-only")).scores("LoRA", losses.get("LoRA"))
                .scores("full fine-tuning", losses.get("full fine-tuning")).write(page);
        out.println("Look at it: " + page.toUri());
        out.flush();
        return passed;
    }

    private LoRAConfig checkedConfig() {
        if (length.epochs() < 1) {
            throw new ParameterException(spec.commandLine(), "--epochs is " + length.epochs() + ", but must be at least 1");
        }
        if (rank < 1) {
            throw new ParameterException(spec.commandLine(), "--rank is " + rank + ", but must be at least 1");
        }
        if (!Double.isFinite(alpha)) {
            throw new ParameterException(spec.commandLine(), "--alpha is " + alpha + ", but must be a finite number");
        }
        return LoRAConfig.builder().rank(rank).alpha(alpha).storage(storage).updater(new Adam(LEARNING_RATE)).seed(seed).build();
    }

    private Path outputFolder() throws IOException {
        if (output == null) {
            return Files.createTempDirectory("dl4j-lora-digits-");
        }
        if (Files.exists(output) && !Files.isDirectory(output)) {
            throw new ParameterException(spec.commandLine(), "--output " + output + " is there, but is no folder");
        }
        return Files.createDirectories(output);
    }

    private MultiLayerNetwork newNetwork() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed)
                .updater(new Adam(LEARNING_RATE)).weightInit(WeightInit.RELU).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Digits.PIXELS).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc3").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(Digits.CLASSES)
                        .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }

    /** Gives back the median time of a step in milliseconds. */
    private double train(String name, MultiLayerNetwork network, Digits digits) {
        StepTimer timer = new StepTimer();
        CollectScoresIterationListener scores = new CollectScoresIterationListener();
        network.setListeners(new ProgressLine(out, System.console() != null, name, length.epochs()), timer, scores);
        ui.listeners(name).forEach(network::addListeners);
        network.fit(digits.batches(BATCH), length.epochs());
        network.setListeners(List.of());
        losses.put(name, ScoreHistory.of(scores));
        return timer.medianMillis();
    }

    private boolean check(String what, boolean ok) {
        out.println((ok ? "ok      " : "FAILED  ") + what);
        return ok;
    }

    private static Path save(MultiLayerNetwork network, Path file) throws IOException {
        ModelSerializer.writeModel(network, file.toFile(), false);
        return file;
    }

    private static String trained(MultiLayerNetwork network) {
        return String.format(Locale.ROOT, "%,d", LoRA.summary(network).trainableParams());
    }

    private static String accuracy(MultiLayerNetwork network, Digits.Split digits) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * network.evaluate(digits.test().batches(BATCH)).accuracy());
    }

    private static String millis(double millis) {
        return String.format(Locale.ROOT, "%.2f ms", millis);
    }

    /** Of a file, or of all files in a folder. */
    private static String bytes(Path path) throws IOException {
        long sum = 0;
        try (Stream<Path> files = Files.walk(path)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                sum += Files.size(file);
            }
        }
        return String.format(Locale.ROOT, "%,d bytes", sum);
    }

    /** Unlike {@code INDArray.equals}, which tolerates rounding. */
    private static boolean sameBits(INDArray a, INDArray b) {
        return Arrays.equals(a.shape(), b.shape()) && Arrays.equals(a.dup('c').data().asFloat(), b.dup('c').data().asFloat());
    }
}
