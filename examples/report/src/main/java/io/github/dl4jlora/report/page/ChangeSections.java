package io.github.dl4jlora.report.page;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.tune.RankUse;
import org.deeplearning4j.nn.api.Model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Describes the ΔW of adapters: how large they are, how many directions they have, and how similar they are to each other. */
final class ChangeSections {

    private static final int FEW = 3;

    private final Map<String, LoRAAdapter> adapters;
    private final List<String> names;
    private final Outlines outlines;
    /** By layer, then by adapter. */
    private final Map<String, Map<String, Figures>> figures = new LinkedHashMap<>();

    /** Figures of one layer in one adapter. */
    private record Figures(double relativeNorm, double[] spectrum, RankUse use) {
    }

    /**
     * @param adapters that have a ΔW
     * @param names    of all that the page shows
     * @param watcher  is told of each layer before its figures are computed
     */
    ChangeSections(Map<String, LoRAAdapter> adapters, List<String> names, Outlines outlines, Model base,
                   Consumer<String> watcher) {
        this.adapters = adapters;
        this.names = names;
        this.outlines = outlines;
        adapters.forEach((name, adapter) -> {
            adapter.layers().forEach(layer -> {
                watcher.accept(name + ", " + layer);
                figures.computeIfAbsent(layer, key -> new LinkedHashMap<>()).put(name,
                        new Figures(adapter.relativeNorm(layer, base), adapter.spectrum(layer), null));
            });
            RankUse.of(adapter).forEach((layer, use) -> figures.get(layer).computeIfPresent(name, (key, of) ->
                    new Figures(of.relativeNorm, of.spectrum, use)));
        });
    }

    String html() {
        return figures.isEmpty() ? "" : moves() + directions() + (adapters.size() > 1 ? comparison() : "");
    }

    private String moves() {
        double largest = figures.values().stream().flatMap(byName -> byName.values().stream()).mapToDouble(Figures::relativeNorm)
                .filter(Double::isFinite).max().orElse(0);
        StringBuilder html = new StringBuilder("<section><h2>How much each layer changes</h2>\n<p>‖ΔW‖ / ‖W‖: the size of what "
                + "the adapter adds, relative to the weights that it is added to.</p>\n<ul class=\"scale\">"
                + "<li><b>0.1</b> A tenth of the weights: the base's layer with a correction.</li>"
                + "<li><b>1</b> As large as the weights: adapter and base count the same.</li>"
                + "<li><b>3</b> Three times the weights: little of the base is left in this layer. If the base's task still "
                + "matters, try a smaller alpha or learning rate.</li></ul>\n<div class=\"bars\">");
        boolean several = adapters.size() > 1;
        figures.forEach((layer, byName) -> {
            html.append("<div class=\"of\">").append(several ? "<h3>" + Html.name(layer) + "</h3>" : "");
            byName.forEach((name, of) -> {
                double width = largest == 0 || !Double.isFinite(of.relativeNorm) ? 0 : 100 * of.relativeNorm / largest;
                html.append("<div class=\"row\">").append(several ? Look.named(names, name)
                        : "<span class=\"who\">" + Html.name(layer) + "</span>")
                        .append(String.format(Locale.ROOT, "<span class=\"track\"><span class=\"bar s%d\" "
                                + "style=\"width:%.1f%%\"></span></span><span class=\"n\">%s</span></div>\n",
                                new Look(names.indexOf(name)).colour(), width, Numbers.figure(of.relativeNorm)));
            });
            html.append("</div>\n");
        });
        return html.append("</div></section>\n").toString();
    }

    private String directions() {
        StringBuilder html = new StringBuilder(
                "<section class=\"grid\"><div class=\"intro\"><h2>Directions of each change</h2>\n"
                + "<p>The singular values of ΔW, the largest first: how strongly an "
                + "adapter changes a layer in each of its independent directions. The number needed for 99 % of the change, "
                + "measured as ‖ΔW‖², is the rank that would be enough; truncating to it loses at most a tenth of ‖ΔW‖. "
                + "<code>dl4j-lora combine ADAPTER --compress RANK</code> does so and shows the same figures. Where all "
                + "directions are needed, a larger rank may learn more; only a training can tell.</p></div>\n");
        int id = 0;
        for (Map.Entry<String, Map<String, Figures>> layer : figures.entrySet()) {
            Map<String, Figures> byName = layer.getValue();
            Chart chart = new Chart("Singular values of ΔW of " + layer.getKey(), byName.entrySet().stream()
                    .map(entry -> entry.getKey() + ": " + entry.getValue().use).collect(Collectors.joining(" ")),
                    "direction", "singular value").valuesFromZero().countingFrom(1);
            byName.forEach((name, of) -> chart.add(new Look(names.indexOf(name)),
                    IntStream.rangeClosed(1, of.spectrum.length).asDoubleStream().toArray(), of.spectrum));
            // On paper a chart stays with its title; sentences about a few adapters stay with both.
            html.append("<figure").append(byName.size() <= FEW ? " class=\"short\"" : "").append("><div class=\"picture\"><h3>")
                    .append(Html.name(layer.getKey())).append("</h3>").append(outlines.shared(chart.svg("layer" + id++)))
                    .append("</div><figcaption><ul>");
            byName.forEach((name, of) -> html.append(item(name, Html.escaped(of.use.toString()))));
            html.append("</ul><details><summary>Figures</summary><ul>");
            byName.forEach((name, of) -> html.append(item(name, Arrays.stream(of.spectrum).mapToObj(Numbers::figure)
                    .collect(Collectors.joining(", ")))));
            html.append("</ul></details></figcaption></figure>\n");
        }
        return html.append("</section>\n").toString();
    }

    private String item(String name, String words) {
        return "<li>" + (adapters.size() == 1 ? "" : Look.named(names, name) + ": ") + words + "</li>";
    }

    private String comparison() {
        StringBuilder html = new StringBuilder("<section><h2>Adapters compared</h2>\n<p>The cosine between two changes, all "
                + "layers together: 1 is the same direction, 0 unrelated, −1 opposite. Unrelated adapters can be combined with "
                + "little harm to each other.</p>\n");
        List<String> additive = List.copyOf(adapters.keySet());
        List<List<String>> pairs = new ArrayList<>();
        List<List<String>> byLayer = new ArrayList<>();
        for (int i = 0; i < additive.size(); i++) {
            for (int j = i + 1; j < additive.size(); j++) {
                LoRAAdapter one = adapters.get(additive.get(i));
                LoRAAdapter other = adapters.get(additive.get(j));
                String pair = Look.named(names, additive.get(i)) + "<br>" + Look.named(names, additive.get(j));
                double cosine = one.cosine(other);
                pairs.add(List.of(pair, Numbers.cosine(cosine), Verdict.onCosine(cosine)));
                Set<String> common = new LinkedHashSet<>(one.layers());
                common.retainAll(other.layers());
                common.forEach(layer -> byLayer.add(List.of(pair, Html.name(layer),
                        Numbers.cosine(one.cosine(layer, other)))));
            }
        }
        return html.append(Html.table("Cosine between adapters", List.of("adapters", "cosine", "in words"),
                        List.of(false, true, false), pairs))
                .append("<details><summary>By layer</summary>")
                .append(Html.table("Cosine between adapters, by layer", List.of("adapters", "layer", "cosine"),
                        List.of(false, false, true), byLayer)).append("</details></section>\n").toString();
    }
}
