package io.github.dl4jlora.examples.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.AnyNetwork;
import io.github.dl4jlora.examples.report.AdapterReport;
import io.github.dl4jlora.examples.report.ScoreHistory;
import org.deeplearning4j.nn.api.Model;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

@Command(name = "report", header = "Writes a page about adapters, to look at in a browser.",
        description =
                {"What trains, how far each layer moves, whether the rank is enough or wasted, how alike adapters are; with "
                + "--scores, the loss too. One file that loads nothing from anywhere.",
                "NAME is what the page calls it; default: the name of its file. Give adapter and scores the same name to see "
                        + "them in one colour."},
        footer = {"  dl4j-lora report base.zip adapter -o report.html", "  dl4j-lora report tuned.zip -o report.html",
                "  dl4j-lora report base.zip spam tone --scores spam.tsv --scores tone.tsv -o report.html"})
final class ReportCommand extends Work {

    @Parameters(index = "0", paramLabel = "NETWORK", description = "The base, or an adapted network, which is reported on too.")
    private Path network;

    @Parameters(index = "1..*", arity = "0..*", paramLabel = "ADAPTER[=NAME]", description = "Adapters' folders.")
    private List<String> adapters = List.of();

    @Option(names = "--scores", paramLabel = "FILE[=NAME]",
            description = "Losses of a training, as DL4J's CollectScoresIterationListener "
            + "exports them; may be given often.")
    private List<String> scores = List.of();

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
        Model stock = read.model();
        if (!read.isStock()) {
            byName.put(stem(network), LoRAAdapter.of(read.model()));
            stock = AnyNetwork.unload(read.model());
        } else if (adapters.isEmpty()) {
            throw new IOException(network + " has no adapter to report on. Name one: dl4j-lora report " + network + " ADAPTER -o "
                    + output.path());
        }
        for (String argument : adapters) {
            Named named = Named.of(argument);
            progress.step("reading " + named.path);
            if (byName.putIfAbsent(named.name, AdapterFolder.read(named.path)) != null) {
                throw new IOException(named.path + ": there is an adapter named " + named.name + " already. Name this one: "
                        + named.path + "=NAME");
            }
        }
        AdapterReport report = new AdapterReport(title == null ? "Adapters of " + network.getFileName() : title, stock);
        byName.forEach(report::add);
        for (String argument : scores) {
            Named named = Named.of(argument);
            report.scores(named.name, ScoreHistory.read(named.path));
        }
        progress.expect(report.steps());
        report.watch(progress::step);
        try {
            report.write(output.path());
        } catch (IllegalArgumentException e) {
            throw new IOException("No report on " + byName.keySet() + " of " + network + ": " + e.getMessage(), e);
        }
        output.tell("a page about " + String.join(", ", byName.keySet()) + ".", facts);
        facts.put("adapters", List.copyOf(byName.keySet()));
    }

    /** A file and what the page calls it. */
    private record Named(Path path, String name) {

        static Named of(String argument) {
            int equals = argument.lastIndexOf('=');
            Path whole = Path.of(argument);
            return equals < 1 || Files.exists(whole) ? new Named(whole, stem(whole))
                    : new Named(Path.of(argument.substring(0, equals)), argument.substring(equals + 1));
        }
    }

    private static String stem(Path path) {
        String name = path.toAbsolutePath().normalize().getFileName().toString();
        return Files.isDirectory(path) ? name : name.replaceFirst("\\.[A-Za-z0-9]+$", "");
    }
}
