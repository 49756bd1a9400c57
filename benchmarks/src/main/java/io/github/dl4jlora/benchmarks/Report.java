package io.github.dl4jlora.benchmarks;

import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.VectorGraphicsEncoder;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

import static io.github.dl4jlora.benchmarks.Table.megabytes;
import static io.github.dl4jlora.benchmarks.Table.number;

/** Writes {@link Results} as Markdown, and as one self-contained HTML page with plots. */
final class Report {

    private final Results results;

    Report(Results results) {
        this.results = results;
    }

    void write(Path folder) throws IOException {
        List<Table> tables = tables();
        Files.writeString(folder.resolve("report.md"), tables.stream().map(Table::markdown).collect(Collectors.joining()).strip()
                + "\n");
        Files.writeString(folder.resolve("report.html"), html(tables));
    }

    private List<Table> tables() {
        List<Table> tables = new ArrayList<>(List.of(machine(), failures(), targets()));
        if (!results.steps.isEmpty()) {
            tables.addAll(List.of(settings(), steps(), ratios()));
        }
        tables.addAll(List.of(made(), resident(), inference(), memory(), manyAdapters(), disk(), encoder(), bertBase()));
        tables.addAll(TextMeasurements.tables(results));
        tables.addAll(PeerMeasurements.tables(results));
        tables.add(OnnxMeasurements.table(results));
        tables.addAll(StorageMeasurements.tables(results));
        tables.addAll(List.of(ServingMeasurements.table(results), PlanMeasurements.table(results),
                BuildMeasurements.table(results),
                layers("Layers that are not dense",
                        "Milliseconds per training step, in brackets per forward pass. One thread, batch 32, Adam, rank 8.",
                        cost -> number(cost.step()) + " (" + number(cost.output()) + ")"),
                layers("Memory of the same", "Largest resident size of the process in MB, Java heap of 150 MB included.",
                        cost -> cost.peak() < 0 ? number(Double.NaN) : megabytes(cost.peak())),
                layers("Values that train, of the same", "", cost -> String.format(Locale.ROOT, "%,d", cost.trained())),
                variants()));
        // A head alone: nothing of the table was measured.
        tables.removeIf(table -> table.rows().size() == 1);
        return tables;
    }

    private Table machine() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "found"));
        results.machine.forEach((name, value) -> rows.add(List.of(name, value)));
        return new Table("Machine and versions", "", rows);
    }

    private Table failures() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("Could not be measured"));
        results.failures.forEach(failure -> rows.add(List.of(failure)));
        return new Table("Failures", "These figures are missing from the tables.", rows);
    }

    private Table targets() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("what", "target", "measured", ""));
        Target.of(results).forEach(target -> rows.add(List.of(target.what(), "≤ " + number(target.limit()),
                target.isMeasured() ? number(target.value()) : "", target.verdict())));
        return new Table("Targets", "", rows);
    }

    private Table settings() {
        List<List<String>> rows = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("ms per step"));
        Arrays.stream(Settings.values()).map(Settings::title).forEach(head::add);
        rows.add(head);
        for (Side side : Side.values()) {
            if (side.isOfDenseLayers() && side.isMeasuredUnder(Settings.AS_FOUND)) {
                results.steps.keySet().stream().filter(Shape::isCompared).forEach(shape -> {
                    List<String> row = new ArrayList<>(List.of(side.title() + ", " + shape.name()));
                    for (Settings settings : Settings.values()) {
                        row.add(side.isMeasuredUnder(settings) ? number(results.step(shape, side, settings)) : "");
                    }
                    rows.add(row);
                });
            }
        }
        return new Table("Time per training step, as found and as recommended", Arrays.stream(Settings.values())
                .map(settings -> settings.title() + ": " + settings.meaning()).collect(Collectors.joining(". ")) + ".", rows);
    }

    private Table made() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("made in a training step", "arrays", "bytes on Java's heap"));
        results.made.forEach((side, made) -> rows.add(List.of(side.title(), number(made.arrays()),
                String.format(Locale.ROOT, "%,.0f", made.bytes()))));
        return new Table("Arrays made in a step", "Three layers, 256 wide; views and arrays in workspaces included.", rows);
    }

    private Table resident() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "MB"));
        results.resident.forEach((run, bytes) -> rows.add(List.of(run.title(), megabytes(bytes))));
        return new Table("Resident memory of a long training, above the base", "Three layers, 256 wide, " + ResidentChild.STEPS
                + " steps, -Xmx1g, Java's heap included.", rows);
    }

    private Table layers(String title, String note, Function<Results.LayerCost, String> cell) {
        List<List<String>> rows = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of(""));
        Arrays.stream(LayerSide.values()).map(LayerSide::title).forEach(head::add);
        rows.add(head);
        results.layers.forEach((task, costs) -> {
            List<String> row = new ArrayList<>(List.of(task.title()));
            Arrays.stream(LayerSide.values()).map(side -> costs.containsKey(side) ? cell.apply(costs.get(side)) : "")
                    .forEach(row::add);
            rows.add(row);
        });
        return new Table(title, note, rows);
    }

    private Table variants() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "values that train", "ms per step", "ms, one row's forward pass", "LoRA.apply, s"));
        results.variants.forEach((variant, cost) -> rows.add(List.of(variant, String.format(Locale.ROOT, "%,d", cost.trained()),
                number(cost.step()), number(cost.output()), number(cost.apply()))));
        return new Table("Variants",
                "One thread, three dense layers 1024 wide, batch 32, Adam, rank 8; the variants take turns in one process.",
                rows);
    }

    private Table encoder() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("ms", "this library", "PyTorch", "/ PyTorch"));
        results.encoder.forEach((settings, tasks) -> tasks.forEach((task, of) ->
                rows.add(List.of(task.title() + "; " + settings.titleBesidePyTorch(), number(of.here()), number(of.pyTorch()),
                        number(of.here() / of.pyTorch())))));
        return new Table("A BERT encoder", "The sizes of all-MiniLM-L6-v2 with random weights, 8 texts of 64 tokens, Adam. "
                + "Medians of the turns' medians.", rows);
    }

    private Table bertBase() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "ms", "PyTorch", "ratio", "MB beyond what was there", "PyTorch", "ratio", "MB in all", "PyTorch",
                "ratio"));
        results.bertBase.forEach((settings, tasks) -> tasks.forEach((task, of) -> {
            Results.Cost here = of.here();
            Results.Cost there = of.pyTorch();
            rows.add(List.of(task.title() + "; " + settings.titleBesidePyTorch(), number(here.millis()), number(there.millis()),
                    number(here.millis() / there.millis()), number(here.beyond() / 1e6), number(there.beyond() / 1e6),
                    number(here.beyond() / there.beyond()), number(here.peak() / 1e6), number(there.peak() / 1e6),
                    number(here.peak() / there.peak())));
        }));
        return new Table("BERT-base", "The sizes of BERT-base with random weights, 8 texts of 128 tokens, LoRA of rank 8 "
                + "on query and value, Adam. Medians of the turns' medians. PyTorch's base is frozen and FLOAT, its attention "
                + "the faster of scaled_dot_product_attention and plain products.", rows);
    }

    private Table steps() {
        List<List<String>> rows = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("ms per step"));
        results.steps.keySet().forEach(shape -> head.add(shape.name()));
        rows.add(head);
        Arrays.stream(Side.values()).filter(Side::isOfDenseLayers).forEach(side -> {
            List<String> row = new ArrayList<>(List.of(side.title()));
            results.steps.keySet().forEach(shape -> {
                double share = results.ratio(shape, side, Side.PYTORCH_LORA);
                row.add(number(results.step(shape, side, Settings.ONE_THREAD))
                        + (side == Side.PYTORCH_LORA || Double.isNaN(share) ? "" : " (" + number(share) + ")"));
            });
            rows.add(row);
        });
        return new Table("Time per training step, one thread", "Medians of the turns' medians; in brackets the share of "
                + "PyTorch's LoRA.", rows);
    }

    private Table ratios() {
        List<List<String>> rows = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("ratio of steps"));
        results.steps.keySet().forEach(shape -> head.add(shape.name()));
        rows.add(head);
        for (Side to : List.of(Side.PYTORCH_LORA, Side.FLOOR, Side.DL4J_FULL, Side.DL4J_FROZEN, Side.LORA_WITHOUT_ONEDNN,
                Side.LORA_PACKED, Side.LORA_BF16, Side.LORA_BF16_PACKED, Side.LORA_INT8, Side.LORA_EMBEDDED,
                Side.LORA_SAMEDIFF)) {
            List<String> row = new ArrayList<>(List.of("LoRA / " + to.title()));
            results.steps.keySet().forEach(shape -> row.add(number(results.ratio(shape, Side.LORA, to))));
            rows.add(row);
        }
        return new Table("The same as ratios", "LoRA is the default: FUSED, SHARED.", rows);
    }

    private Table inference() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "base ms", "adapted / base", "merged / base", "frozen / base"));
        results.inference.forEach((shape, by) -> by.forEach((settings, of) ->
                rows.add(List.of(shape.name() + ", " + settings.title(), number(of.base()), number(of.adapted() / of.base()),
                        number(of.merged() / of.base()), number(of.frozen() / of.base())))));
        return new Table("Inference", "Medians; the four networks take turns in one process; frozen is LoRA.freeze(base).", rows);
    }

    private Table memory() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("parameters of the base", "full, peak MB", "LoRA, peak MB", "LoRA / full", "full, steady MB",
                "LoRA, steady MB", "LoRA.apply, s"));
        results.memory.forEach((shape, use) -> {
            Results.MemoryUse full = use.get(Side.DL4J_FULL);
            Results.MemoryUse lora = use.get(Side.LORA);
            double peakOfFull = of(full, Results.MemoryUse::peak);
            double peakOfLora = of(lora, Results.MemoryUse::peak);
            rows.add(List.of(String.format(Locale.ROOT, "%,d", shape.parameters()), megabytes(peakOfFull), megabytes(peakOfLora),
                    number(peakOfLora / peakOfFull), megabytes(of(full, Results.MemoryUse::steady)),
                    megabytes(of(lora, Results.MemoryUse::steady)), number(of(lora, Results.MemoryUse::seconds))));
        });
        return new Table("Memory while training, on top of the loaded base",
                "Resident memory, one thread, Adam, batch 32; the peak counts from after the base was loaded, LoRA.apply "
                        + "included.", rows);
    }

    /** NaN for a side that was not measured. */
    private static double of(Results.MemoryUse use, ToDoubleFunction<Results.MemoryUse> figure) {
        return use == null ? Double.NaN : figure.applyAsDouble(use);
    }

    private Table manyAdapters() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("adapted networks", "MB on top of the base", "KiB each", "of which adapter KiB"));
        results.manyAdapters.forEach((count, bytes) -> rows.add(List.of(String.valueOf(count), megabytes(bytes),
                number(bytes / 1024.0 / count), number(results.adapterBytes / 1024.0))));
        return new Table("Many adapted networks on one base", "Never trained; the Java heap counted by what is in use.", rows);
    }

    private Table disk() {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "model with Adam's state, MB", "adapter, MB", "adapter / model"));
        results.disk.forEach((shape, bytes) -> rows.add(List.of(shape.name(), megabytes(bytes.full()), megabytes(bytes.adapter()),
                number((double) bytes.adapter() / bytes.full()))));
        return new Table("Bytes on disk", "", rows);
    }

    private String html(List<Table> tables) throws IOException {
        StringBuilder page = new StringBuilder("""
                <!DOCTYPE html>
                <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
                <title>dl4j-lora benchmark</title>
                <style>
                body { font: 16px/1.5 sans-serif; max-width: 70rem; margin: 1rem auto; padding: 0 1rem }
                body { color: #1a1a1a; background: #fff }
                table { border-collapse: collapse } th, td { border: 1px solid #888; padding: .2rem .6rem; text-align: right }
                th:first-child, td:first-child { text-align: left } .wide { overflow-x: auto }
                svg { max-width: 100%; height: auto }
                </style></head><body><h1>dl4j-lora benchmark</h1>
                """);
        tables.forEach(table -> page.append(table.html()));
        results.steps.forEach((shape, millis) -> page.append(plot(shape, millis)));
        return page.append("</body></html>\n").toString();
    }

    private static String plot(Shape shape, Map<Results.Run, Double> millis) {
        CategoryChart chart = new CategoryChartBuilder().width(900).height(420).title("ms per step, " + shape.name()).build();
        chart.getStyler().setXAxisLabelRotation(20);
        chart.getStyler().setLegendVisible(false);
        chart.addSeries("ms", millis.keySet().stream().map(Results.Run::title).toList(),
                new ArrayList<>(millis.values()));
        ByteArrayOutputStream svg = new ByteArrayOutputStream();
        try {
            VectorGraphicsEncoder.saveVectorGraphic(chart, svg, VectorGraphicsEncoder.VectorGraphicsFormat.SVG);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String text = svg.toString(StandardCharsets.UTF_8);
        return "<figure>" + text.substring(Math.max(0, text.indexOf("<svg"))) + "</figure>\n";
    }
}
