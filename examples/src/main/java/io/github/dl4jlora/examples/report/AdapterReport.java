package io.github.dl4jlora.examples.report;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRASummary;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.AnyNetwork;
import io.github.dl4jlora.internal.file.AtomicFile;
import org.deeplearning4j.nn.api.Model;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * One self-contained HTML page about the adapters of a base network: what trains, how the loss went, how far each layer
 * moves (‖ΔW‖ / ‖W‖), the singular values of each ΔW (is the rank enough, is it wasted?), and how alike the adapters are.
 * It loads nothing from anywhere, fits a phone, and follows the reader's light or dark setting.
 *
 * <pre>{@code
 * new AdapterReport("Spam filter", base).add("rank 8", adapter).scores("rank 8", history).write(Path.of("report.html"));
 * }</pre>
 */
public final class AdapterReport {

    private static final String STYLE = "report.css";
    /** A table of so many layers is shown at once. */
    private static final int FEW = 12;

    private final String title;
    private final Model base;
    private final Map<String, LoRAAdapter> adapters = new LinkedHashMap<>();
    private final Map<String, ScoreHistory> histories = new LinkedHashMap<>();
    private final Outlines outlines = new Outlines();
    private Consumer<String> watcher = layer -> { };

    /**
     * @param base the network that the adapters were made for, not adapted
     */
    public AdapterReport(String title, Model base) {
        this.title = Objects.requireNonNull(title, "title");
        this.base = Objects.requireNonNull(base, "base");
    }

    /**
     * @param name as it is to appear on the page
     * @throws IllegalArgumentException if there is one of that name already, or it was made for another base
     */
    public AdapterReport add(String name, LoRAAdapter adapter) {
        if (adapters.putIfAbsent(name, adapter) != null) {
            throw new IllegalArgumentException("The report has an adapter \"" + name + "\" already: give each its own name");
        }
        return this;
    }

    /** The loss curve of a training; a name that an adapter has too puts both in one colour. */
    public AdapterReport scores(String name, ScoreHistory history) {
        histories.put(name, history);
        return this;
    }

    /** Is told what is being computed: {@link #steps()} times, since large layers take a while. */
    public AdapterReport watch(Consumer<String> watcher) {
        this.watcher = watcher;
        return this;
    }

    public int steps() {
        return additive().values().stream().mapToInt(adapter -> adapter.layers().size()).sum();
    }

    /**
     * Writes the page; it appears whole or not at all.
     *
     * @throws IllegalArgumentException if an adapter was made for another base; the message names the layer
     * @throws IllegalStateException    if there is no adapter, or one holds NaN or infinity
     */
    public void write(Path file) throws IOException {
        byte[] page = html().getBytes(StandardCharsets.UTF_8);
        AtomicFile.write(file, out -> out.write(page));
    }

    String html() {
        if (adapters.isEmpty()) {
            throw new IllegalStateException("There is nothing to report on: add(name, adapter) first");
        }
        StringBuilder page = new StringBuilder("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                + "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                + "<meta name=\"color-scheme\" content=\"light dark\">"
                + "<link rel=\"icon\" href=\"data:,\"><title>")
                .append(Html.escaped(title)).append("</title><style>\n").append(style())
                .append("</style></head><body><main>\n<h1>")
                .append(Html.escaped(title)).append("</h1>\n");
        Map<String, Map<String, Figures>> figures = figures();
        page.append(trains());
        if (!histories.isEmpty()) {
            page.append(losses());
        }
        page.append(leftOut());
        if (!figures.isEmpty()) {
            page.append(moves(figures)).append(directions(figures));
        }
        if (additive().size() > 1) {
            page.append(comparison());
        }
        return page.append("</main>").append(outlines.definitions()).append("</body></html>\n").toString();
    }

    /** Of one layer in one adapter. */
    private record Figures(double relativeNorm, double[] spectrum, double effectiveRank, int rank) {
    }

    /** Those that have a ΔW of their own. */
    private Map<String, LoRAAdapter> additive() {
        Map<String, LoRAAdapter> additive = new LinkedHashMap<>(adapters);
        additive.values().removeIf(adapter -> !adapter.config().variant().isAdditive());
        return additive;
    }

    private String leftOut() {
        return adapters.entrySet().stream().filter(entry -> !additive().containsKey(entry.getKey())).map(entry -> {
            String variant = entry.getValue().config().variant().name();
            return "<p>" + Html.escaped(entry.getKey()) + " is a " + variant
                    + " adapter, which does more than to add to the weights: it has no ΔW of its own, and so no figures "
                    + "below.</p>\n";
        }).collect(Collectors.joining());
    }

    /** By layer, then by adapter. */
    private Map<String, Map<String, Figures>> figures() {
        Map<String, Map<String, Figures>> figures = new LinkedHashMap<>();
        additive().forEach((name, adapter) -> adapter.layers().forEach(layer -> {
            watcher.accept(name + ", " + layer);
            figures.computeIfAbsent(layer, key -> new LinkedHashMap<>()).put(name, new Figures(adapter.relativeNorm(layer, base),
                    adapter.spectrum(layer), adapter.effectiveRank(layer), adapter.rank(layer)));
        }));
        return figures;
    }

    private String trains() {
        StringBuilder html = new StringBuilder("<section><h2>What trains</h2>\n");
        adapters.forEach((name, adapter) -> {
            LoRASummary summary = LoRA.summary(AnyNetwork.apply(base, adapter));
            html.append("<h3>").append(mark(look(name))).append(Html.escaped(name)).append("</h3><p>")
                    .append(String.format(Locale.ROOT, "%,d of %,d values train: %.2f %%.", summary.trainableParams(),
                            summary.totalParams(), summary.trainablePercent()))
                    .append("</p>\n<details").append(adapters.size() == 1 && summary.rows().size() <= FEW ? " open" : "")
                    .append("><summary>By layer</summary>")
                    .append(Html.table("Layers of " + name, List.of("layer", "role", "trained", "frozen"),
                            List.of(false, false, true, true), summary.rows().stream().map(AdapterReport::cells).toList()))
                    .append("</details>\n");
        });
        return html.append("</section>\n").toString();
    }

    private static List<String> cells(LoRASummary.Row row) {
        String adapted = row.rank() == 0 ? "" : String.format(Locale.ROOT, "<br><small>rank %d, alpha %s</small>", row.rank(),
                figure(row.alpha()));
        return List.of(Html.name(row.name()) + "<br><small>" + Html.escaped(row.type()) + "</small>",
                Html.escaped(row.role()) + adapted,
                String.format(Locale.ROOT, "%,d", row.trainable()), String.format(Locale.ROOT, "%,d", row.frozen()));
    }

    private String losses() {
        Chart chart = new Chart("Loss by step", sentences(histories, AdapterReport::course), "steps", "loss").fromZero();
        boolean any = false;
        for (Map.Entry<String, ScoreHistory> entry : histories.entrySet()) {
            ScoreHistory drawn = entry.getValue().drawn().orElse(null);
            if (drawn != null) {
                any = true;
                chart.add(entry.getKey(), look(entry.getKey()), Arrays.stream(drawn.iterations()).asDoubleStream().toArray(),
                        drawn.scores(), drawn.scores().length == 1);
            }
        }
        return "<section><h2>Loss</h2>\n<figure class=\"wide\">" + (any ? outlines.shared(chart.svg("loss")) : "")
                + "<figcaption><ul>"
                + histories.entrySet().stream().map(entry -> item(entry.getKey(), course(entry.getValue())))
                .collect(Collectors.joining())
                + "</ul></figcaption></figure></section>\n";
    }

    private static String course(ScoreHistory history) {
        return String.format(Locale.ROOT, "%,d steps, loss from %s to %s%s.", history.scores().length, figure(history.first()),
                figure(history.last()), history.diverged() ? "; it was NaN or infinite on the way: training diverged" : "");
    }

    private String moves(Map<String, Map<String, Figures>> figures) {
        double largest = figures.values().stream().flatMap(byName -> byName.values().stream()).mapToDouble(Figures::relativeNorm)
                .filter(Double::isFinite).max().orElse(0);
        List<List<String>> rows = new ArrayList<>();
        figures.forEach((layer, byName) -> rows.add(List.of(Html.name(layer), byName.entrySet().stream().map(entry -> {
            double value = entry.getValue().relativeNorm();
            double width = largest == 0 || !Double.isFinite(value) ? 0 : 100 * value / largest;
            return String.format(Locale.ROOT,
                    "<div class=\"row\"><span class=\"track\"><span class=\"bar s%d\" style=\"width:%.1f%%\" "
                    + "title=\"%s\"></span></span><span class=\"n\">%s</span></div>", look(entry.getKey()), width,
                    Html.escaped(entry.getKey()), figure(value));
        }).collect(Collectors.joining()))));
        return "<section><h2>How far each layer moves</h2>\n<p>‖ΔW‖ / ‖W‖: the size of what the adapter adds, beside the weights "
                + "that it adds it to.</p>" + legend() + "<div class=\"bars\">" + Html.table("‖ΔW‖ / ‖W‖ by layer",
                List.of("layer", "‖ΔW‖ / ‖W‖"), List.of(false, false), rows) + "</div></section>\n";
    }

    private String directions(Map<String, Map<String, Figures>> figures) {
        StringBuilder html = new StringBuilder(
                "<section><h2>Directions of each change</h2>\n<p>The singular values of ΔW, the largest "
                + "first: how many independent directions an adapter uses, and how strongly. A curve that falls to zero early "
                + "says that a smaller rank would do; one that ends high, that the rank cuts it off.</p>").append(legend())
                .append("<div class=\"grid\">\n");
        int id = 0;
        for (Map.Entry<String, Map<String, Figures>> layer : figures.entrySet()) {
            Map<String, Figures> byName = layer.getValue();
            Chart chart = new Chart("Singular values of ΔW of " + layer.getKey(), sentences(byName, AdapterReport::verdict),
                    "direction", "singular value");
            byName.forEach((name, of) -> chart.add(name, look(name), IntStream.rangeClosed(1, of.spectrum().length)
                    .asDoubleStream()
                    .toArray(), of.spectrum(), of.spectrum().length <= 32));
            chart.wholeNumbers(byName.values().stream().mapToInt(of -> of.spectrum().length).max().orElse(1));
            html.append("<figure><h3>").append(Html.name(layer.getKey())).append("</h3>")
                    .append(outlines.shared(chart.svg("layer" + id++)))
                    .append("<figcaption><ul>");
            byName.forEach((name, of) -> html.append(item(name, verdict(of))));
            html.append("</ul><details><summary>Figures</summary><ul>");
            byName.forEach((name, of) -> html.append(item(name, Arrays.stream(of.spectrum()).mapToObj(AdapterReport::figure)
                    .collect(Collectors.joining(", ")))));
            html.append("</ul></details></figcaption></figure>\n");
        }
        return html.append("</div></section>\n").toString();
    }

    private static String verdict(Figures of) {
        return Verdict.onRank(of.spectrum(), of.effectiveRank(), of.rank());
    }

    private String comparison() {
        StringBuilder html = new StringBuilder("<section><h2>Adapters compared</h2>\n<p>The cosine between two changes, all "
                + "layers together: 1 is the same direction, 0 unrelated, −1 opposite. Unrelated adapters can be combined with "
                + "little harm to each other.</p>\n");
        List<String> names = List.copyOf(additive().keySet());
        List<List<String>> pairs = new ArrayList<>();
        List<List<String>> byLayer = new ArrayList<>();
        for (int i = 0; i < names.size(); i++) {
            for (int j = i + 1; j < names.size(); j++) {
                LoRAAdapter one = adapters.get(names.get(i));
                LoRAAdapter other = adapters.get(names.get(j));
                String pair = mark(look(names.get(i))) + Html.escaped(names.get(i)) + "<br>" + mark(look(names.get(j)))
                        + Html.escaped(names.get(j));
                double cosine = one.cosine(other);
                pairs.add(List.of(pair, cosine(cosine), Verdict.onCosine(cosine)));
                Set<String> common = new LinkedHashSet<>(one.layers());
                common.retainAll(other.layers());
                common.forEach(layer -> byLayer.add(List.of(pair, Html.name(layer), cosine(one.cosine(layer, other)))));
            }
        }
        return html.append(Html.table("Cosine between adapters", List.of("adapters", "cosine", "in words"),
                        List.of(false, true, false), pairs))
                .append("<details><summary>By layer</summary>")
                .append(Html.table("Cosine between adapters, by layer", List.of("adapters", "layer", "cosine"),
                        List.of(false, false, true), byLayer)).append("</details></section>\n").toString();
    }

    private static <T> String sentences(Map<String, T> byName, Function<T, String> words) {
        return byName.entrySet().stream().map(entry -> entry.getKey() + ": " + words.apply(entry.getValue()))
                .collect(Collectors.joining(" "));
    }

    private String legend() {
        return adapters.size() == 1 ? "" : "<ul class=\"legend\">"
                + adapters.keySet().stream().map(name -> item(name, "")).collect(Collectors.joining()) + "</ul>";
    }

    private String item(String name, String words) {
        boolean named = adapters.size() > 1 || histories.size() > 1 || !adapters.containsKey(name);
        return "<li>" + (named ? mark(look(name)) + "<b>" + Html.escaped(name) + "</b>" + (words.isEmpty() ? "" : ": ") : "")
                + Html.escaped(words) + "</li>";
    }

    private static String mark(int look) {
        return "<span class=\"mark s" + look + "\" aria-hidden=\"true\"></span>";
    }

    /** Adapters first, then histories that belong to none. */
    private int look(String name) {
        Set<String> names = new LinkedHashSet<>(adapters.keySet());
        names.addAll(histories.keySet());
        return List.copyOf(names).indexOf(name) % Chart.LOOKS;
    }

    private static String cosine(double value) {
        return String.format(Locale.ROOT, "%.3f", value).replace('-', '−');
    }

    /** Three digits that count. */
    private static String figure(double value) {
        double size = Math.abs(value);
        if (size == 0 || !Double.isFinite(value)) {
            return value == 0 ? "0" : String.valueOf(value);
        }
        return size >= 1e5 || size < 1e-3 ? String.format(Locale.ROOT, "%.2e", value)
                : size >= 100 ? String.format(Locale.ROOT, "%.0f", value)
                : size >= 10 ? String.format(Locale.ROOT, "%.1f", value)
                : size >= 1 ? String.format(Locale.ROOT, "%.2f", value)
                : size >= 0.1 ? String.format(Locale.ROOT, "%.3f", value) : String.format(Locale.ROOT, "%.4f", value);
    }

    private static String style() {
        try (InputStream css = AdapterReport.class.getResourceAsStream(STYLE)) {
            return new String(css.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(STYLE + " cannot be read", e);
        }
    }
}
