package io.github.dl4jlora.report.page;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.tune.LoRAAdvice;
import org.deeplearning4j.nn.api.Model;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What the trainings tell about their settings, each sentence with its figures, and what to do. */
final class AdviceSection {

    /** Figures of at most this many layers are shown open. */
    private static final int FEW = 4;

    private AdviceSection() {
    }

    static String html(Map<String, LoRAAdapter> adapters, Map<String, ScoreHistory> histories, List<String> names, Model base) {
        StringBuilder html = new StringBuilder("<section><h2>Advice</h2>\n<p>What these trainings tell about their settings. "
                + "The advice follows from the figures beside it, not from the task of the adapters; losses on the base's own "
                + "task are not considered.</p>\n");
        adapters.forEach((name, adapter) -> {
            ScoreHistory history = histories.get(name);
            List<LoRAAdvice> advice = LoRAAdvice.about(adapter).base(base)
                    .losses(history == null ? new double[0] : history.scores()).list();
            html.append(adapters.size() == 1 ? "" : "<h3>" + Look.named(names, name) + "</h3>\n")
                    .append(advice.isEmpty() ? "<p>Nothing to change, as far as "
                            + (history == null ? "can be seen without the losses of its training" : "this can tell") + ".</p>\n"
                            : "<ul class=\"advice\">" + LoRAAdvice.alike(advice).stream().map(AdviceSection::item)
                            .collect(Collectors.joining()) + "</ul>\n");
        });
        return html.append("</section>\n").toString();
    }

    private static String item(List<LoRAAdvice> alike) {
        LoRAAdvice first = alike.get(0);
        String figures = alike.stream().filter(advice -> !advice.evidence().isEmpty()).map(advice -> "<li>"
                + advice.layer().map(layer -> Html.name(layer) + ": ").orElse("") + Html.escaped(advice.figures()) + "</li>")
                .collect(Collectors.joining());
        String list = figures.isEmpty() ? "" : "<ul class=\"figures\">" + figures + "</ul>";
        return "<li><b>" + first.kind() + ": " + Html.escaped(first.finding()) + ".</b> " + Html.escaped(first.remedy())
                + (alike.size() <= FEW ? list : "<details><summary>" + alike.size() + " layers</summary>" + list + "</details>")
                + "</li>\n";
    }
}
