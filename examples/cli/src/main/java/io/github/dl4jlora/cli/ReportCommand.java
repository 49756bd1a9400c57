package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.report.page.AdapterReport;
import io.github.dl4jlora.report.page.ScoreHistory;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

@Command(name = "report", header = "Writes a page about adapters, to open in a browser.",
        description =
                {"The page shows what was compared and the results, what trains, how much each layer changes, which rank would "
                        + "be enough, and how similar adapters are; with --scores, also the loss. It is one file that loads no "
                        + "others.",
                "NAME is the name on the page; default: the name of the file. Losses belong to the adapter of the same name; a "
                        + "single file of losses without NAME belongs to a single adapter."},
        footer = {"  dl4j-lora report base.zip adapter -o report.html", "  dl4j-lora report tuned.zip -o report.html",
                "  dl4j-lora report base.zip spam tone --scores spam.tsv --scores tone.tsv -o report.html"})
final class ReportCommand extends Work {

    private static final String NONE = "-";

    @Parameters(index = "0", paramLabel = "NETWORK", description = "The base, or an adapted network, whose adapter is also "
            + "reported on.")
    private Path network;

    @Parameters(index = "1..*", arity = "0..*", paramLabel = "ADAPTER[=NAME]", description = "Adapters' folders.")
    private List<String> adapters = List.of();

    @Option(names = "--scores", paramLabel = "FILE[=NAME]",
            description = "Losses of a training, as DL4J's CollectScoresIterationListener "
            + "exports them; may be repeated.")
    private List<String> scores = List.of();

    @Option(names = "--note", paramLabel = "TEXT",
            description = "What readers should know and the files do not contain: the task, the accuracy, the learning rate; "
                    + "may be repeated.")
    private List<String> notes = List.of();

    @Option(names = "--title", paramLabel = "TEXT", description = "Heading of the page.")
    private String title;

    @Option(names = "--base", paramLabel = "NETWORK", description = "The network that a checkpoint was adapted from.")
    private Path base;

    @Mixin
    private Output output;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        output.checkedFile();
        progress.expect(adapters.size() + 2).step("reading " + network);
        SavedNetwork read = SavedNetwork.read(network, base);
        Map<String, LoRAAdapter> byName = new LinkedHashMap<>();
        Map<String, Path> files = new LinkedHashMap<>();
        Model stock = read.model();
        if (!read.isStock()) {
            byName.put(stem(network), LoRAAdapter.of(read.model()));
            files.put(stem(network), network);
            stock = read.unloaded("dl4j-lora report BASE ADAPTER -o " + output.path());
        } else if (adapters.isEmpty()) {
            throw new IOException(network + " has no adapter to report on. Name one: dl4j-lora report " + network + " ADAPTER -o "
                    + output.path());
        }
        for (String argument : adapters) {
            Named named = Named.of(argument);
            progress.step("reading " + named.path);
            if (byName.putIfAbsent(named.name, AdapterFolder.read(named.path)) != null) {
                throw new IOException(named.path + ": another adapter is already named " + named.name + ". Give this one a name: "
                        + named.path + "=NAME");
            }
            files.put(named.name, named.path);
        }
        AdapterReport report = new AdapterReport(title == null ? "Adapters of " + network.getFileName() : title, stock)
                .about((byName.size() == 1 ? "Adapter" : "Adapters") + " of the network " + (base == null ? network : base)
                        .getFileName() + ": " + String.join(", ", byName.keySet()) + ".")
                .fact(byName.size() == 1 || read.isStock() ? "learning rate" : "learning rate of " + stem(network),
                        learningRates(read));
        notes.forEach(report::about);
        byName.forEach(report::add);
        Map<String, ScoreHistory> losses = new LinkedHashMap<>();
        for (String argument : scores) {
            Named named = Named.of(argument);
            boolean onlyPair = scores.size() == 1 && byName.size() == 1 && !named.given;
            String name = onlyPair ? byName.keySet().iterator().next() : named.name;
            if (losses.putIfAbsent(name, ScoreHistory.read(named.path)) != null) {
                throw new IOException(named.path + ": other losses are already named " + name + ". Give these a name: "
                        + named.path + "=NAME");
            }
        }
        losses.forEach(report::scores);
        progress.expect(report.steps());
        report.watch(progress::step);
        try {
            ResultTable results = results(stock, byName, losses, files);
            report.results(results.header(), results.rows());
            output.write(report::write);
        } catch (IllegalArgumentException e) {
            throw new IOException("No report can be written on " + byName.keySet() + " of " + network + ": " + e.getMessage(), e);
        }
        output.tell("a page about " + byName.size() + (byName.size() == 1 ? " adapter: " : " adapters: ")
                + String.join(", ", byName.keySet()) + ".", facts);
        facts.put("adapters", List.copyOf(byName.keySet()));
    }

    /** A row for each adapter: trained values, loss where there is one, size. */
    private static ResultTable results(Model stock, Map<String, LoRAAdapter> byName, Map<String, ScoreHistory> losses,
                                       Map<String, Path> files) throws IOException {
        boolean lossy = byName.keySet().stream().anyMatch(losses::containsKey);
        ResultTable table = lossy ? new ResultTable("adapter", "trained values", "of all", "steps", "loss at the end", "on disk")
                : new ResultTable("adapter", "trained values", "of all", "on disk");
        for (Map.Entry<String, LoRAAdapter> entry : byName.entrySet()) {
            LoRASummary summary = LoRA.summary(AnyNetwork.apply(stock, entry.getValue()));
            List<String> cells = new ArrayList<>(List.of(entry.getKey(),
                    String.format(Locale.ROOT, "%,d", summary.trainableParams()),
                    String.format(Locale.ROOT, "%.2f %%", summary.trainablePercent())));
            ScoreHistory history = losses.get(entry.getKey());
            if (lossy) {
                cells.add(history == null ? NONE : String.format(Locale.ROOT, "%,d", history.scores().length));
                cells.add(history == null ? NONE : String.format(Locale.ROOT, "%.4g", history.last()));
            }
            cells.add(String.format(Locale.ROOT, "%,d bytes", Output.size(files.get(entry.getKey()))));
            table.row(cells.toArray(String[]::new));
        }
        return table;
    }

    /** Those of an adapted network's layers, if it was trained with them: a fresh one has those of the base. */
    private static String learningRates(SavedNetwork network) {
        Model adapted = network.model();
        if (network.isStock() || iterations(adapted) == 0) {
            return "not recorded with adapters";
        }
        Stream<Double> rates = adapted instanceof ComputationGraph graph
                ? Arrays.stream(graph.getLayers()).map(layer -> graph.getLearningRate(layer.conf().getLayer().getLayerName()))
                : IntStream.range(0, ((MultiLayerNetwork) adapted).getnLayers())
                .mapToObj(((MultiLayerNetwork) adapted)::getLearningRate);
        String list = rates.filter(Objects::nonNull).filter(rate -> !rate.isNaN()).distinct().map(String::valueOf)
                .collect(Collectors.joining(", "));
        return list.isEmpty() ? "none" : list;
    }

    private static int iterations(Model network) {
        return network instanceof ComputationGraph graph ? graph.getConfiguration().getIterationCount()
                : ((MultiLayerNetwork) network).getLayerWiseConfigurations().getIterationCount();
    }

    /** A file and its name on the page, which is given or the file's own. */
    private record Named(Path path, String name, boolean given) {

        static Named of(String argument) {
            int equals = argument.lastIndexOf('=');
            Path whole = Path.of(argument);
            return equals < 1 || Files.exists(whole) ? new Named(whole, stem(whole), false)
                    : new Named(Path.of(argument.substring(0, equals)), argument.substring(equals + 1), true);
        }
    }

    private static String stem(Path path) {
        String name = path.toAbsolutePath().normalize().getFileName().toString();
        return Files.isDirectory(path) ? name : name.replaceFirst("\\.[A-Za-z0-9]+$", "");
    }
}
