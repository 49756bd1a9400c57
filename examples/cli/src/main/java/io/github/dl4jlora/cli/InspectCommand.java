package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.tune.LoRAAdvice;
import io.github.dl4jlora.tune.RankUse;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.buffer.DataType;
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
import java.util.Objects;
import java.util.Set;
import java.util.function.DoubleSupplier;
import java.util.stream.Collectors;

@Command(name = "inspect", header = "Shows what a saved network or an adapter contains.",
        description = {"For a network: its layers, which of them train, the number of trained values, and how the others are "
                + "stored: data type, BF16, INT8 or NF4, bytes, and the relative error of quantised weights.",
                "For an adapter: alpha, scaling, variant, and how its base was stored during training (FLOAT, BF16, INT8, NF4); "
                        + "for each layer, rank and size of what it learned, the rank that would hold 99 %% of that, and the id "
                        + "of its base weights; with --base, also the size relative to these weights. Finally, advice that "
                        + "follows from these figures."},
        footer = {"  dl4j-lora inspect base.zip", "  dl4j-lora inspect adapter --base base.zip",
                "  dl4j-lora inspect adapter --json"})
final class InspectCommand extends Work {

    private static final String NONE = "-";
    /** Enough digits to distinguish two content ids. */
    private static final int SHORT_ID = 12;
    /** Settings that are mostly the same for all layers, as they are named in a sentence. */
    private static final Map<String, String> SETTINGS = headings("alpha", "alpha", "scaling", "scaling", "factor", "factor",
            "variant", "variant", "init", "start", "storedAs", "base kept as");
    private static final Map<String, String> COLUMNS = headings("name", "layer", "rank", "rank", "needed",
            "rank for 99 %", "alpha", "alpha", "scaling", "scaling", "factor", "factor", "variant", "variant", "init", "start",
            "storedAs", "base kept as", "norm", "norm of change", "relativeNorm", "relative to W", "baseId", "base id");

    @Parameters(paramLabel = "NETWORK|ADAPTER", description = "A saved network (.zip) or an adapter's folder.")
    private Path path;

    @Option(names = "--base", paramLabel = "NETWORK",
            description = "The network that an adapter was made for, or that a checkpoint "
            + "was adapted from.")
    private Path base;

    private static Map<String, String> headings(String... keysAndHeadings) {
        Map<String, String> headings = new LinkedHashMap<>();
        for (int i = 0; i < keysAndHeadings.length; i += 2) {
            headings.put(keysAndHeadings[i], keysAndHeadings[i + 1]);
        }
        return headings;
    }

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
                + (network.normalizer() == null ? "" : ", with a " + network.normalizer().getClass().getSimpleName()) + ".");
        say(summary, facts);
        facts.put("kind", network.kind().name()).put("type", network.type())
                .put("normalizer", network.normalizer() == null ? null : network.normalizer().getClass().getSimpleName())
                .put("trainable", summary.trainableParams()).put("total", summary.totalParams())
                .put("layers", summary.rows().stream().map(InspectCommand::values).toList()).put("notes", summary.notes());
    }

    /** A table of the layers, the sums, and what else there is to say. */
    static void say(LoRASummary summary, Facts facts) {
        ResultTable table = new ResultTable("layer", "type", "role", "rank", "alpha", "trainable", "frozen", "stored as", "bytes",
                "error");
        for (LoRASummary.Row row : summary.rows()) {
            boolean adapted = row.rank() > 0;
            table.row(row.name(), row.type(), row.role(), adapted ? String.valueOf(row.rank()) : "",
                    adapted ? number(row.alpha()) : "", number(row.trainable()), number(row.frozen()), row.storedAs(),
                    number(bytes(row)),
                    Double.isNaN(row.error()) ? "" : String.format(Locale.ROOT, "%.2f %%", 100 * row.error()));
        }
        facts.say(table).say(String.format(Locale.ROOT, "trainable params: %,d || all params: %,d || trainable%%: %.4f",
                summary.trainableParams(), summary.totalParams(), summary.trainablePercent()));
        summary.notes().forEach(facts::say);
    }

    private static String number(long value) {
        return String.format(Locale.ROOT, "%,d", value);
    }

    /** Whole numbers have no fraction. */
    private static String number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e9 ? number((long) value)
                : String.format(Locale.ROOT, "%.4g", value);
    }

    /** Bytes as stored; for a layer without frozen values, those of the trained values. */
    private static long bytes(LoRASummary.Row row) {
        return row.frozen() > 0 || row.trainable() == 0 || row.rank() > 0 ? row.bytes()
                : row.trainable() * DataType.valueOf(row.storedAs()).width();
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
        values.put("bytes", bytes(row));
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
        Map<String, RankUse> uses = uses(adapter);
        List<Map<String, Object>> layers = new ArrayList<>();
        for (String layer : adapter.layers()) {
            progress.step(layer);
            layers.add(values(adapter, layer, network, uses.get(layer)));
        }
        LoRAConfig config = adapter.config();
        facts.say(path + ": a " + config.variant().name() + " adapter of " + layers.size() + " layers"
                + (config.loraInit().isTakenFromW() ? ", started from a part of W (" + config.loraInit()
                + "): what it adds has up to twice the rank" : "")
                + (adapter.trainedLayers().isEmpty() ? "" : "; trained in full beside them: " + adapter.trainedLayers()) + ".");
        say(layers, facts);
        List<LoRAAdvice> advice = (network == null ? LoRAAdvice.about(adapter) : LoRAAdvice.about(adapter).base(network)).list();
        String smaller = smaller(uses);
        LoRAAdvice.alike(advice).forEach(alike -> facts.say("Advice: " + alike.get(0).kind() + ": " + alike.get(0).finding()
                + ". " + Wording.of(alike.get(0).remedy()).replace("compressToEnergy(0.99)", smaller)
                + alike.stream().map(of -> of.layer().map(layer -> "; " + layer + ": ").orElse("; ") + of.figures())
                .collect(Collectors.joining()).replaceFirst("; ", " (") + ")."));
        facts.put("advice", advice.stream().map(InspectCommand::values).toList());
        facts.put("kind", "ADAPTER").put("variant", config.variant().name()).put("init", config.loraInit().name())
                .put("layers", layers).put("trainedLayers", adapter.trainedLayers());
    }

    /** What truncates the adapter: one rank for all layers here, where that keeps enough of each; otherwise Java. */
    private String smaller(Map<String, RankUse> uses) {
        int needed = uses.values().stream().mapToInt(RankUse::needed).max().orElse(0);
        int largest = uses.values().stream().mapToInt(RankUse::rank).max().orElse(0);
        return needed < largest ? "dl4j-lora combine " + path + " --compress " + needed + " -o smaller"
                : "LoRAAdapter.compressToEnergy(0.99) in Java";
    }

    private static Map<String, Object> values(LoRAAdvice advice) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("kind", advice.kind().name());
        values.put("layer", advice.layer().orElse(null));
        values.put("finding", advice.finding());
        values.put("evidence", advice.evidence());
        values.put("remedy", advice.remedy());
        return values;
    }

    private static Map<String, Object> values(LoRAAdapter adapter, String layer, Model network, RankUse use) {
        LoRASettings settings = adapter.settings(layer);
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("name", layer);
        values.put("rank", settings.rank());
        values.put("needed", use == null ? null : use.needed());
        values.put("alpha", settings.alpha());
        values.put("scaling", settings.scaling().name());
        values.put("factor", settings.factor());
        values.put("variant", settings.variant().name());
        values.put("init", settings.loraInit().name());
        values.put("storedAs", adapter.storedAs(layer).orElse(null));
        values.put("baseId", adapter.baseId(layer).orElse(null));
        values.put("effectiveRank", figure(() -> adapter.effectiveRank(layer)));
        values.put("norm", figure(() -> adapter.norm(layer)));
        values.put("relativeNorm", network == null ? null : figure(() -> adapter.relativeNorm(layer, network)));
        return values;
    }

    /** Settings that all layers share are shown once; a table has the rest. */
    private static void say(List<Map<String, Object>> layers, Facts facts) {
        Map<String, Object> first = layers.get(0);
        Set<String> shared = SETTINGS.keySet().stream().filter(key -> layers.stream()
                .allMatch(layer -> Objects.equals(layer.get(key), first.get(key)))).collect(Collectors.toSet());
        facts.say("Every layer: " + SETTINGS.entrySet().stream().filter(setting -> shared.contains(setting.getKey()))
                .map(setting -> setting.getValue() + " " + shown(setting.getKey(), first.get(setting.getKey())))
                .collect(Collectors.joining(", ")) + ".");
        List<String> columns = COLUMNS.keySet().stream()
                .filter(key -> !shared.contains(key))
                .filter(key -> !key.equals("relativeNorm") || layers.stream().anyMatch(layer -> layer.get(key) != null)).toList();
        ResultTable table = new ResultTable(columns.stream().map(COLUMNS::get).toArray(String[]::new));
        layers.forEach(layer -> table.row(columns.stream().map(key -> shown(key, layer.get(key))).toArray(String[]::new)));
        facts.say(table);
    }

    private static String shown(String key, Object value) {
        return value == null ? key.equals("storedAs") ? "unknown" : NONE
                : key.equals("baseId") ? value.toString().substring(0, Math.min(SHORT_ID, value.toString().length()))
                : value instanceof Double number ? number(number) : value.toString();
    }

    /** Empty if there is no ΔW: DoRA does more than add, and a file may lack the initial A and B. */
    private static Map<String, RankUse> uses(LoRAAdapter adapter) {
        try {
            return RankUse.of(adapter);
        } catch (IllegalArgumentException e) {
            return Map.of();
        }
    }

    /** Null if the figure has no meaning: DoRA does more than add. */
    private static Double figure(DoubleSupplier of) {
        try {
            return of.getAsDouble();
        } catch (IllegalArgumentException e) {
            return null;
        }
    }
}
