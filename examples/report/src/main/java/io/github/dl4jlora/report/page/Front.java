package io.github.dl4jlora.report.page;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;

import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/** The top of the page: what was compared, the results, the date, the base and the settings. */
final class Front {

    private static final DateTimeFormatter DATE = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm z", Locale.ROOT);
    /** Hexadecimal digits of a content id that tell it from any other in practice. */
    private static final int ID_DIGITS = 12;
    /** At most this many ids are shown open. */
    private static final int FEW = 6;

    /** An empty cell in tables of text. */
    private static final String NONE = "-";

    private final List<String> about = new ArrayList<>();
    private final Map<String, String> facts = new LinkedHashMap<>();
    private List<String> header = List.of();
    private List<List<String>> rows = List.of();

    void about(String sentence) {
        about.add(sentence);
    }

    void fact(String name, String value) {
        facts.put(name, value);
    }

    void results(List<String> names, List<List<String>> results) {
        for (List<String> row : Objects.requireNonNull(results, "rows")) {
            if (row.isEmpty() || row.size() != names.size()) {
                throw new IllegalArgumentException("A row of results has " + row.size() + " cells, but the header has "
                        + names.size() + ": " + row);
            }
        }
        header = List.copyOf(names);
        rows = results.stream().map(List::copyOf).toList();
    }

    /** In the order of the results. */
    List<String> methods() {
        return rows.stream().map(row -> row.get(0)).toList();
    }

    String html(Model base, Map<String, LoRAAdapter> adapters, List<String> names) {
        StringBuilder html = new StringBuilder("<section class=\"front\">\n");
        about.forEach(sentence -> html.append("<p class=\"lead\">").append(Html.escaped(sentence)).append("</p>\n"));
        if (!rows.isEmpty()) {
            html.append(table(names));
        }
        Map<String, String> all = new LinkedHashMap<>();
        all.put("date", Html.escaped(ZonedDateTime.now(ZoneId.systemDefault()).format(DATE)));
        LoRASummary summary = LoRA.summary(base);
        all.put("base", Html.escaped(String.format(Locale.ROOT, "%s of %,d layers and %,d values",
                base.getClass().getSimpleName(), summary.rows().size(), summary.totalParams())));
        all.put("base id", ids(adapters));
        facts.forEach((name, value) -> all.put(name, Html.escaped(value)));
        adapters.forEach((name, adapter) -> all.put(adapters.size() == 1 ? "adapter" : "adapter " + name,
                Html.escaped(settings(adapter.config()))));
        html.append("<dl class=\"facts\">");
        all.forEach((name, value) -> html.append("<div><dt>").append(Html.escaped(name)).append("</dt><dd>").append(value)
                .append("</dd></div>\n"));
        return html.append("</dl></section>\n").toString();
    }

    private String table(List<String> names) {
        List<String> head = new ArrayList<>(header);
        head.set(0, head.get(0).isEmpty() ? "method" : head.get(0));
        List<List<String>> shown = rows.stream().map(row -> {
            List<String> cells = row.stream().map(cell -> cell.equals(NONE) ? "" : Html.escaped(cell))
                    .collect(Collectors.toCollection(ArrayList::new));
            String name = row.get(0);
            cells.set(0, name.startsWith(" ") ? "<span class=\"below\">" + Html.escaped(name.strip()) + "</span>"
                    : Look.named(names, name));
            return cells;
        }).map(List::copyOf).toList();
        List<Boolean> numeric = new ArrayList<>(Collections.nCopies(head.size(), true));
        numeric.set(0, false);
        return "<div class=\"results\">" + Html.table("Results", head, numeric, shown) + "</div>\n";
    }

    /** Content ids of the frozen layers under the adapters, in the order of the first adapter that has them. */
    private static String ids(Map<String, LoRAAdapter> adapters) {
        Map<String, String> ids = new LinkedHashMap<>();
        adapters.values().forEach(adapter -> adapter.layers().forEach(layer ->
                adapter.baseId(layer).ifPresent(id -> ids.putIfAbsent(layer, id))));
        if (ids.isEmpty()) {
            return "the adapter's file does not say";
        }
        String list = ids.entrySet().stream().map(entry -> Html.name(entry.getKey()) + " <code>" + shortened(entry.getValue())
                + "</code>").collect(Collectors.joining(", "));
        return ids.size() <= FEW ? list : "<details><summary>" + ids.size() + " layers</summary>" + list + "</details>";
    }

    /** A stranger's file may have any text in its place. */
    private static String shortened(String id) {
        return Html.escaped(id.substring(0, Math.min(ID_DIGITS, id.length())));
    }

    private static String settings(LoRAConfig config) {
        LoRASettings settings = config.settings();
        List<String> words = new ArrayList<>(List.of(settings.variant().name(), "rank " + settings.rank(),
                "alpha " + Numbers.setting(settings.alpha()) + " (A·B times " + Numbers.setting(settings.factor()) + ")"));
        if (settings.loraInit() != LoRASettings.DEFAULTS.loraInit()) {
            words.add("start " + settings.loraInit());
        }
        if (settings.loraDropout() > 0) {
            words.add("dropout " + Numbers.setting(settings.loraDropout()));
        }
        if (!config.overrides().isEmpty()) {
            words.add(config.overrides().size() + " layers with other settings: see \"What trains\"");
        }
        return String.join(", ", words);
    }
}
