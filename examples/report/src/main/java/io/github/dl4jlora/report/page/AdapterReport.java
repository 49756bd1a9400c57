package io.github.dl4jlora.report.page;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.report.LoRASummary;
import io.github.dl4jlora.tune.LearningRates;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * One self-contained HTML page about the adapters of a base network: what was compared and the results, advice on settings,
 * learning rates that were tried, the course of the loss, what trains, how much each layer changes (‖ΔW‖ / ‖W‖), the singular
 * values of each ΔW (which rank would be enough?), and how similar the adapters are. It loads no other files, fits a phone and
 * paper, and follows the reader's light or dark setting.
 *
 * <pre>{@code
 * CollectScoresIterationListener losses = new CollectScoresIterationListener();
 * tuned.addListeners(losses);
 * tuned.fit(iterator, epochs);
 * new AdapterReport("Spam filter", base)
 *         .about("Rank 8, trained on 4,000 mails.")
 *         .fact("learning rate", "0.001")
 *         .add("rank 8", LoRAAdapter.of(tuned))
 *         .scores("rank 8", ScoreHistory.of(losses))
 *         .write(Path.of("report.html"));
 * }</pre>
 *
 * Adapter, losses and learning rates of one training have one name, such as "rank 8" here, by which the page knows what belongs
 * together. Names may hold any characters. A report is not safe for use by several threads.
 */
public final class AdapterReport {

    private static final String STYLE = "report.css";
    /** A table of at most this many layers is shown open. */
    private static final int FEW = 12;

    private final String title;
    private final Model base;
    private final Front front = new Front();
    private final Map<String, LoRAAdapter> adapters = new LinkedHashMap<>();
    private final Map<String, ScoreHistory> histories = new LinkedHashMap<>();
    private final Map<String, LearningRates> sweeps = new LinkedHashMap<>();
    private final Outlines outlines = new Outlines();
    private Consumer<String> watcher = layer -> { };

    /**
     * A report without adapters, to which {@link #add} adds some.
     *
     * @param title the page's heading
     * @param base  the network that the adapters were made for, not adapted, a MultiLayerNetwork or a ComputationGraph; it is not
     *              changed
     */
    public AdapterReport(String title, Model base) {
        this.title = Objects.requireNonNull(title, "title");
        this.base = Objects.requireNonNull(base, "base");
    }

    /** Adds a sentence at the top of the page, such as what was compared and with which result. */
    public AdapterReport about(String sentence) {
        front.about(Objects.requireNonNull(sentence, "sentence"));
        return this;
    }

    /**
     * The results, shown below these sentences as a table.
     *
     * @param header the columns' names; the first, of the methods' names, may be empty
     * @param rows   one for each method, whose name is its first cell; a method that has an adapter or a loss here must have the
     *               same name. A row whose name starts with a blank belongs to the one above; the cell "-" stays empty
     * @throws IllegalArgumentException if a row has no cells, or more or fewer than the header
     */
    public AdapterReport results(List<String> header, List<List<String>> rows) {
        front.results(header, rows);
        return this;
    }

    /** A setting, such as {@code fact("learning rate", "0.001")}, beside date, base and settings of the adapters. */
    public AdapterReport fact(String name, String value) {
        front.fact(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, "value"));
        return this;
    }

    /**
     * Adds an adapter; a report needs at least one.
     *
     * @param name as it is to appear on the page
     * @throws IllegalArgumentException if there is one of that name already
     */
    public AdapterReport add(String name, LoRAAdapter adapter) {
        Objects.requireNonNull(adapter, "adapter");
        if (adapters.putIfAbsent(Objects.requireNonNull(name, "name"), adapter) != null) {
            throw new IllegalArgumentException("The report has an adapter \"" + name + "\" already: give each its own name");
        }
        return this;
    }

    /** The loss curve of a training; an adapter of the same name gets the same colour. */
    public AdapterReport scores(String name, ScoreHistory history) {
        histories.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(history, "history"));
        return this;
    }

    /** What a sweep of learning rates found; an adapter or a loss of the same name gets the same colour. */
    public AdapterReport rates(String name, LearningRates rates) {
        sweeps.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(rates, "rates"));
        return this;
    }

    /** Sets a listener that is told what is being computed, {@link #steps()} times, since large layers take a while. */
    public AdapterReport watch(Consumer<String> watcher) {
        this.watcher = Objects.requireNonNull(watcher, "watcher");
        return this;
    }

    /** {@return how often {@link #write} calls the listener of {@link #watch}: for each layer of each adapter that has a ΔW} */
    public int steps() {
        return additive().values().stream().mapToInt(adapter -> adapter.layers().size()).sum();
    }

    /**
     * Writes the page; it appears completely or not at all.
     *
     * @param options each at most once
     * @throws IOException              if it cannot be written; a {@link java.nio.file.FileAlreadyExistsException} if it exists
     *                                  and {@link SaveOption#NEW_ONLY} is given
     * @throws IllegalArgumentException if an adapter was made for another base; the message names the layer
     * @throws java.util.NoSuchElementException if the base is an adapted network, whose layers an adapter does not know
     * @throws IllegalStateException    if there is no adapter, or one holds NaN or infinity
     */
    public void write(Path file, SaveOption... options) throws IOException {
        byte[] page = html().getBytes(StandardCharsets.UTF_8);
        AtomicFile.write(file, out -> out.write(page), options);
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
        page.append(front.html(base, adapters, names())).append(AdviceSection.html(adapters, histories, names(), base));
        if (!sweeps.isEmpty()) {
            page.append(new RateSection(sweeps, names()).html(outlines));
        }
        if (!histories.isEmpty()) {
            page.append(losses());
        }
        page.append(trains()).append(leftOut())
                .append(new ChangeSections(additive(), names(), outlines, base, watcher).html());
        return page.append("</main>").append(outlines.definitions()).append("</body></html>\n").toString();
    }

    /** The adapters that have a ΔW of their own. */
    private Map<String, LoRAAdapter> additive() {
        Map<String, LoRAAdapter> additive = new LinkedHashMap<>(adapters);
        additive.values().removeIf(adapter -> !notAdditive(adapter).isEmpty());
        return additive;
    }

    /** Layers whose variant rescales W as well. */
    private static List<String> notAdditive(LoRAAdapter adapter) {
        return adapter.layers().stream().filter(layer -> !adapter.settings(layer).variant().isAdditive()).toList();
    }

    private String leftOut() {
        StringBuilder html = new StringBuilder();
        adapters.forEach((name, adapter) -> {
            List<String> rescaled = notAdditive(adapter);
            if (!rescaled.isEmpty()) {
                html.append("<p>").append(Html.escaped(name)).append(" is a ")
                        .append(adapter.settings(rescaled.get(0)).variant().name()).append(" adapter")
                        .append(rescaled.size() == adapter.layers().size() ? ""
                                : " in " + Html.escaped(String.join(", ", rescaled)))
                        .append(", which rescales W as well: it has no ΔW of its own, and so no figures below.</p>\n");
            }
        });
        return html.toString();
    }

    private String trains() {
        StringBuilder html = new StringBuilder("<section><h2>What trains</h2>\n");
        adapters.forEach((name, adapter) -> {
            LoRASummary summary = summary(base, adapter);
            html.append("<h3>").append(Look.named(names(), name)).append("</h3>\n<details")
                    .append(adapters.size() == 1 && summary.rows().size() <= FEW ? " open" : "").append("><summary>")
                    .append(String.format(Locale.ROOT, "%,d of %,d values train, %.2f %%: by layer", summary.trainableParams(),
                            summary.totalParams(), summary.trainablePercent())).append("</summary>")
                    .append(Html.table("Layers of " + name, List.of("layer", "role", "trained", "frozen"),
                            List.of(false, false, true, true), summary.rows().stream().map(AdapterReport::cells).toList()))
                    .append("</details>\n");
        });
        return html.append("</section>\n").toString();
    }

    private static LoRASummary summary(Model base, LoRAAdapter adapter) {
        return LoRA.summary(base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter)
                : LoRA.apply((MultiLayerNetwork) base, adapter));
    }

    private static List<String> cells(LoRASummary.Row row) {
        String adapted = row.rank() == 0 ? "" : String.format(Locale.ROOT, "<br><small>rank %d, alpha %s</small>", row.rank(),
                Numbers.setting(row.alpha()));
        return List.of(Html.name(row.name()) + "<br><small>" + Html.escaped(row.type()) + "</small>",
                Html.escaped(row.role()) + adapted, Numbers.count(row.trainable()), Numbers.count(row.frozen()));
    }

    private String losses() {
        Map<String, ScoreHistory> drawn = new LinkedHashMap<>();
        histories.forEach((name, history) -> history.drawn().ifPresent(some -> drawn.put(name, some)));
        StringBuilder html = new StringBuilder("<section><h2>Loss</h2>\n<figure class=\"wide short\">");
        if (!drawn.isEmpty()) {
            Chart chart = new Chart("Loss by step", histories.entrySet().stream().map(entry -> entry.getKey() + ": "
                    + course(entry.getValue())).collect(Collectors.joining(" ")), "steps", "loss").countingFrom(0).farApart();
            drawn.forEach((name, history) -> chart.add(new Look(names().indexOf(name)),
                    Arrays.stream(history.iterations()).asDoubleStream().toArray(), history.scores()));
            html.append(outlines.shared(chart.logarithmic().svg("loss")));
        }
        html.append("<figcaption><ul>");
        histories.forEach((name, history) -> html.append("<li>")
                .append(names().size() == 1 ? "" : Look.named(names(), name) + ": ")
                .append(Html.escaped(course(history))).append("</li>"));
        return html.append("</ul></figcaption></figure></section>\n").toString();
    }

    private static String course(ScoreHistory history) {
        if (history.scores().length == 0) {
            return "no step was recorded.";
        }
        return String.format(Locale.ROOT, "%,d steps, loss from %s to %s%s%s.", history.scores().length,
                Numbers.figure(history.first()), Numbers.figure(history.last()),
                history.lastStretch() == 1 ? "" : " (mean of the last " + history.lastStretch() + ")",
                history.diverged() ? "; it was NaN or infinite on the way: training diverged" : "");
    }

    /** In the order of the results, then adapters, histories, sweeps. */
    private List<String> names() {
        Set<String> known = new LinkedHashSet<>(adapters.keySet());
        known.addAll(histories.keySet());
        known.addAll(sweeps.keySet());
        Set<String> names = new LinkedHashSet<>(front.methods());
        names.retainAll(known);
        names.addAll(known);
        return List.copyOf(names);
    }

    /** {@return the page's style sheet, for other pages that should look like it} */
    public static String style() {
        try (InputStream css = AdapterReport.class.getResourceAsStream(STYLE)) {
            return new String(css.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(STYLE + " cannot be read", e);
        }
    }
}
