package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.console.InputMessage;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.examples.Figures;
import io.github.dl4jlora.examples.RateOption;
import io.github.dl4jlora.examples.Spread;
import io.github.dl4jlora.examples.UiOption;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.report.page.AdapterReport;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;

/**
 * A pretrained network that enlarges photographs is taught to enlarge print, in three ways, and the cost of each way is shown.
 */
@Command(name = "enlarge", sortOptions = false,
        description = "Teaches a pretrained network that makes photographs twice as large to do so with print: with LoRA on its "
        + "convolutions, with its last layer trained, and with every weight trained.")
public final class EnlargeExample implements Callable<Integer> {

    private static final String SCRIPT = "examples/fetch-enlarge.sh";
    private static final String NONE = "-";
    private static final String BASE = "base";
    private static final int USUAL_BATCHES = 100;
    private static final int FEW_BATCHES = 4;
    private static final String SHORT = "A few steps only: this shows that everything works, not what each way can do.";
    /** Of 255. */
    private static final double ROUNDING = 0.01;

    @Option(names = "--data", paramLabel = "<folder>", defaultValue = "examples/target/enlarge",
            description = "Network, fonts and photographs. Default: ${DEFAULT-VALUE}, where fetch-enlarge.sh puts them.")
    private Path data;

    @Option(names = "--output", paramLabel = "<folder>", defaultValue = "examples/target/enlarged",
            description = "Where networks, adapter, pictures and report are kept. Default: ${DEFAULT-VALUE}.")
    private Path output;

    @Option(names = "--rank", defaultValue = "8", description = "Rank of the adapters. Default: ${DEFAULT-VALUE}.")
    private int rank;

    @Option(names = "--epochs", defaultValue = "3", description = "Epochs of " + USUAL_BATCHES + " batches. Default: "
            + "${DEFAULT-VALUE}.")
    private int epochs;

    @Mixin
    private final RateOption rate = new RateOption();

    @Option(names = "--seed", defaultValue = "7", description = "Seed of everything random. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--seeds", defaultValue = "1",
            description = "Repeats everything with this many seeds, and shows means and deviations. Default: ${DEFAULT-VALUE}.")
    private int seeds;

    @Option(names = "--short", description = "A few steps and a small test, to check that everything works.")
    private boolean brief;

    @Mixin
    private final UiOption ui = new UiOption();

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final Map<Way, List<Teaching.Taught>> taught = new EnumMap<>(Way.class);
    private final Map<Way, Path> kept = new EnumMap<>(Way.class);

    private EnlargeExample() {
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new EnlargeExample()).setParameterExceptionHandler(new UsageMessage("-pl examples"))
                .setExecutionExceptionHandler(new InputMessage());
    }

    @Override
    public Integer call() throws IOException {
        Require.atLeastOne(spec, "--rank", rank);
        Require.atLeastOne(spec, "--epochs", epochs);
        Require.atLeastOne(spec, "--seeds", seeds);
        Require.folder(spec, "--output", output);
        try (ui) {
            ui.open(spec.commandLine().getOut());
            int exitCode = compare();
            ui.linger(spec.commandLine().getOut(), System.in);
            return exitCode;
        } catch (FileNotFoundException e) {
            throw new IOException(e.getMessage() + ". Fetch it with " + SCRIPT + ", or say with --data FOLDER where network, "
                    + "fonts and photographs are", e);
        }
    }

    private int compare() throws IOException {
        ComputationGraph base = base(data.resolve("network"));
        if (rank >= Way.widest(base)) {
            throw new ParameterException(spec.commandLine(), "--rank is " + rank + ", but must be below " + Way.widest(base)
                    + ", the largest number of filters of a convolution in this network");
        }
        INDArray before = base.params().dup();
        Teaching teaching = new Teaching(base, rank, brief ? 1 : epochs, brief, rate, ui, spec.commandLine());
        Material first = material(seed);
        Files.createDirectories(output);
        ModelSerializer.writeModel(base, output.resolve("base.zip").toFile(), false);
        for (int i = 0; i < seeds; i++) {
            Material material = i == 0 ? first : material(seed + i);
            for (Way way : Way.values()) {
                Teaching.Taught one = teaching.teach(way, material, seed + i);
                taught.computeIfAbsent(way, key -> new ArrayList<>()).add(one);
                if (i == 0) {
                    kept.put(way, way.keep(one.network(), output));
                }
            }
            if (i == 0) {
                pictures(base, first);
            }
        }
        ResultTable results = results(base, first);
        say("");
        spec.commandLine().getOut().print(results.toString(Program.columns(spec.commandLine())));
        say(brief ? SHORT : "");
        report(base, results);
        return check(base, before, first.print().get(0).half().array());
    }

    private Material material(long seed) throws IOException {
        return Material.of(data, brief ? FEW_BATCHES : USUAL_BATCHES, brief, seed);
    }

    private ComputationGraph base(Path folder) throws IOException {
        ComputationGraph network = LayersModel.open(folder, seed);
        INDArray probe = new Picture(2, 2, new float[Picture.COLOURS * 2 * 2]).array();
        long inputs = network.getLayer(0).getParam("W").size(1);
        if (inputs != Picture.COLOURS || !network.outputSingle(probe).equalShapes(probe.repeat(2, 2).repeat(3, 2))) {
            throw new IOException("The network in " + folder + " does not make coloured pictures twice as large");
        }
        return network;
    }

    private void say(String line) {
        spec.commandLine().getOut().println(line);
        spec.commandLine().getOut().flush();
    }

    private ResultTable results(ComputationGraph base, Material material) throws IOException {
        ResultTable table = new ResultTable("", "trained parameters", "print, PSNR, dB", "print, SSIM", "photographs, PSNR, dB",
                "photographs, SSIM", "seconds", "bytes kept");
        untrained(table, "bicubic", material, Bicubic::enlarge, NONE);
        untrained(table, BASE, material, with(base), format("%,d", Files.size(output.resolve("base.zip"))));
        for (Map.Entry<Way, List<Teaching.Taught>> way : taught.entrySet()) {
            List<Teaching.Taught> all = way.getValue();
            table.row(way.getKey().title, format("%,d", all.get(0).trained()), spread(all, one -> one.print().psnr(), 2),
                    spread(all, one -> one.print().ssim(), 3), spread(all, one -> one.photographs().psnr(), 2),
                    spread(all, one -> one.photographs().ssim(), 3), spread(all, Teaching.Taught::seconds, 0),
                    format("%,d", Figures.size(kept.get(way.getKey()))));
            if (way.getKey() == Way.LORA) {
                untrained(table, "  adapter removed", material, with(LoRA.unload(all.get(0).network())), NONE);
            }
        }
        return table;
    }

    private static void untrained(ResultTable table, String name, Material material, UnaryOperator<Picture> enlarger,
                                  String bytes) {
        Measure print = Measure.of(material.print(), enlarger);
        Measure photographs = Measure.of(material.photographs(), enlarger);
        table.row(name, NONE, format("%.2f", print.psnr()), format("%.3f", print.ssim()), format("%.2f", photographs.psnr()),
                format("%.3f", photographs.ssim()), NONE, bytes);
    }

    private static UnaryOperator<Picture> with(ComputationGraph network) {
        return picture -> Enlarger.enlarge(network, picture);
    }

    private static String spread(List<Teaching.Taught> all, ToDoubleFunction<Teaching.Taught> figure, int decimals) {
        return Spread.of(all, figure).toString(decimals);
    }

    private ComputationGraph tuned() {
        return taught.get(Way.LORA).get(0).network();
    }

    /** Pictures that show what the figures mean. */
    private void pictures(ComputationGraph base, Material material) throws IOException {
        Map<String, UnaryOperator<Picture>> ways = new LinkedHashMap<>();
        ways.put("small", Bicubic::enlargePixels);
        ways.put("bicubic", Bicubic::enlarge);
        ways.put(BASE, with(base));
        ways.put("with the adapter", with(tuned()));
        Path sheet = output.resolve("pictures.png");
        Sheet.write(sheet, material.some(), ways);
        say("Look at it: " + sheet);
    }

    private void report(ComputationGraph base, ResultTable results) throws IOException {
        AdapterReport report = new AdapterReport("LoRA on a network that enlarges pictures", base)
                .add(Way.LORA.title, LoRAAdapter.of(tuned()))
                .about("A network that makes photographs twice as large is taught to do so with print, in three ways that get "
                        + "the same pictures.")
                .about("PSNR and SSIM compare an enlarged picture with the original that was made small: higher is better. The "
                        + "typefaces and the text of the tests were not used for training.")
                .results(results.header(), results.rows()).fact("seeds", seeds + " from " + seed);
        taught.forEach((way, all) -> {
            report.fact("learning rate, " + way.title, rate.told(way.usualRate));
            report.scores(way.title, all.get(0).losses());
        });
        rate.swept().forEach(report::rates);
        Path page = output.resolve("report.html");
        report.write(page);
        say("Look at it: " + page.toUri());
    }

    private int check(ComputationGraph base, INDArray before, INDArray question) throws IOException {
        Checks checks = new Checks(spec.commandLine());
        INDArray answer = base.outputSingle(question).dup();
        INDArray adapted = tuned().outputSingle(question).dup();
        Path plain = output.resolve("merged.zip");
        ModelSerializer.writeModel(LoRA.merge(tuned()), plain.toFile(), false);
        double rounding = ModelSerializer.restoreComputationGraph(plain.toFile()).outputSingle(question).sub(adapted).amaxNumber()
                .doubleValue();
        ComputationGraph reloaded = LoRA.apply(ModelSerializer.restoreComputationGraph(output.resolve("base.zip").toFile()),
                LoRAAdapter.load(kept.get(Way.LORA)));
        checks.check("adapter removed: same pictures as the base, bit for bit",
                Checks.sameBits(LoRA.unload(tuned()).outputSingle(question), answer));
        checks.check("base and adapter reloaded from disk: pictures as before, bit for bit",
                Checks.sameBits(reloaded.outputSingle(question), adapted));
        checks.check(format("merged and saved as a plain network: pictures as before, largest difference %.1e of 255", rounding),
                rounding <= ROUNDING);
        checks.check("base: parameters unchanged, bit for bit", Checks.sameBits(base.params(), before));
        say("Kept in " + output);
        return checks.exitCode();
    }

    private static String format(String pattern, Object value) {
        return String.format(Locale.ROOT, pattern, value);
    }
}
