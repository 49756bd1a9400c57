package io.github.dl4jlora.examples.cli;

import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.LoRASummary;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.ResultTable;
import io.github.dl4jlora.examples.report.RankUse;
import org.deeplearning4j.nn.api.Model;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleSupplier;

@Command(name = "inspect", header = "Tells what a saved network or an adapter holds.",
        description = {"Of a network: its layers, which of them train, how many values that is, and how the others are kept: "
                + "their data type or INT8 or NF4, their bytes, and the relative error of weights in fewer bits.",
                "Of an adapter: rank and size of what each layer learned, and the rank that would hold 99 % of it; with --base, "
                        + "also its size beside the weights that it changes."},
        footer = {"  dl4j-lora inspect base.zip", "  dl4j-lora inspect adapter --base base.zip",
                "  dl4j-lora inspect adapter --json"})
final class InspectCommand extends Work {

    private static final String NONE = "-";

    @Parameters(paramLabel = "NETWORK|ADAPTER", description = "A saved network (.zip) or an adapter's folder.")
    private Path path;

    @Option(names = "--base", paramLabel = "NETWORK",
            description = "The network that an adapter was made for, or that a checkpoint "
            + "was adapted from.")
    private Path base;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        facts.put("file", path.toString());
        if (Files.isDirectory(path)) {
            adapter(progress, facts);
        } else {
            network(progress, facts);
        }
    }

    private void network(Progress progress, Facts facts) throws IOException {
        progress.expect(1).step("reading " + path);
        SavedNetwork network = SavedNetwork.read(path, base);
        LoRASummary summary = network.summary();
        facts.say(path + ": " + network.kind() + ", a " + network.type()
                        + (network.normalizer() == null ? "" : ", with a " + network.normalizer().getClass()
                                .getSimpleName()) + ".")
                .say(network.isStock() ? stock(summary) : summary.toString()).put("kind", network.kind().name())
                .put("type", network.type())
                .put("trainable", summary.trainableParams()).put("total", summary.totalParams())
                .put("layers", summary.rows().stream().map(InspectCommand::values).toList());
    }

    /** Without the columns that only adapters fill. */
    private static String stock(LoRASummary summary) {
        ResultTable table = new ResultTable("layer", "type", "role", "trainable", "frozen", "stored as", "bytes", "error");
        summary.rows().forEach(row -> table.row(row.name(), row.type(), row.role(),
                String.format(Locale.ROOT, "%,d", row.trainable()),
                String.format(Locale.ROOT, "%,d", row.frozen()), row.storedAs(),
                String.format(Locale.ROOT, "%,d", row.bytes()),
                Double.isNaN(row.error()) ? "" : String.format(Locale.ROOT, "%.2f %%", 100 * row.error())));
        return table + String.format(Locale.ROOT, "trainable params: %,d || all params: %,d", summary.trainableParams(),
                summary.totalParams());
    }

    static Map<String, Object> values(LoRASummary.Row row) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("name", row.name());
        values.put("type", row.type());
        values.put("role", row.role());
        values.put("rank", row.rank());
        values.put("alpha", row.alpha());
        values.put("trainable", row.trainable());
        values.put("frozen", row.frozen());
        values.put("storedAs", row.storedAs());
        values.put("bytes", row.bytes());
        values.put("error", Double.isNaN(row.error()) ? null : row.error());
        return values;
    }

    private void adapter(Progress progress, Facts facts) throws IOException {
        progress.expect(2).step("reading " + path);
        LoRAAdapter adapter = AdapterFolder.read(path);
        progress.expect(adapter.layers().size());
        Model network = null;
        if (base != null) {
            progress.step("reading " + base);
            SavedNetwork stock = SavedNetwork.read(base).stock();
            Adapting.put(stock, adapter, path, false);
            network = stock.model();
        }
        ResultTable table = network == null ? new ResultTable("layer", "rank", "rank for 99 %", "norm of change")
                : new ResultTable("layer", "rank", "rank for 99 %", "norm of change", "beside the weights");
        Map<String, RankUse> uses = uses(adapter);
        List<Map<String, Object>> layers = new ArrayList<>();
        for (String layer : adapter.layers()) {
            progress.step(layer);
            Map<String, Object> values = new LinkedHashMap<>();
            values.put("name", layer);
            values.put("rank", adapter.rank(layer));
            values.put("needed", uses.containsKey(layer) ? uses.get(layer).needed() : null);
            values.put("norm", figure(() -> adapter.norm(layer)));
            if (network != null) {
                Model weights = network;
                values.put("relativeNorm", figure(() -> adapter.relativeNorm(layer, weights)));
            }
            table.row(values.values().stream().map(value -> value == null ? NONE
                    : value instanceof Double number ? String.format(Locale.ROOT, "%.4g", number) : value.toString())
                    .toArray(String[]::new));
            values.put("effectiveRank", figure(() -> adapter.effectiveRank(layer)));
            adapter.baseId(layer).ifPresent(id -> values.put("baseId", id));
            layers.add(values);
        }
        LoRAConfig config = adapter.config();
        facts.say(path + ": a " + config.variant().name() + " adapter of " + layers.size() + " layers"
                        + (config.loraInit().isTakenFromW() ? ", started from a part of W (" + config.loraInit()
                        + "): what it adds has up to twice the rank" : "")
                        + (adapter.trainedLayers().isEmpty() ? "" : "; trained in full beside them: "
                                + adapter.trainedLayers()) + ".")
                .say(table.toString().stripTrailing()).put("kind", "ADAPTER")
                .put("variant", config.variant().name()).put("init", config.loraInit().name()).put("layers", layers)
                .put("trainedLayers", adapter.trainedLayers());
    }

    /** Empty where there is no ΔW to look at: DoRA does more than to add, and a file may lack what A and B started from. */
    private static Map<String, RankUse> uses(LoRAAdapter adapter) {
        try {
            return RankUse.of(adapter);
        } catch (IllegalArgumentException e) {
            return Map.of();
        }
    }

    /** Null where the figure has no meaning: DoRA does more than to add. */
    private static Double figure(DoubleSupplier of) {
        try {
            return of.getAsDouble();
        } catch (IllegalArgumentException e) {
            return null;
        }
    }
}
