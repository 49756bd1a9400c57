package io.github.dl4jlora.report.page;

import io.github.dl4jlora.tune.LearningRates;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** Losses after a few steps at each learning rate that was tried. */
final class RateSection {

    private final Map<String, LearningRates> sweeps;
    private final List<String> names;

    RateSection(Map<String, LearningRates> sweeps, List<String> names) {
        this.sweeps = sweeps;
        this.names = names;
    }

    String html(Outlines outlines) {
        StringBuilder html = new StringBuilder("<section><h2>Learning rates</h2>\n<figure class=\"wide short\">")
                .append(chart().map(chart -> outlines.shared(chart.svg("rates"))).orElse(""))
                .append("<figcaption><p>The loss after a few steps from the same start, at each rate that was tried. S is the "
                        + "suggested rate, the lowest with nearly as low a loss as B, the best: a few steps favour rates at "
                        + "which a whole training diverges.</p><ul>");
        sweeps.forEach((name, rates) -> html.append("<li>").append(names.size() == 1 ? "" : Look.named(names, name) + ": ")
                .append(Html.escaped(outcome(rates))).append("</li>"));
        // Outside of the figure, which stays on one sheet of paper even if these are open.
        html.append("</ul></figcaption></figure>\n<details><summary>Figures</summary>");
        sweeps.forEach((name, rates) -> html.append(names.size() == 1 ? "" : "<h3>" + Look.named(names, name) + "</h3>")
                .append(Html.table("Rates of " + name, List.of("rate", "loss"), List.of(true, true), rates.points().stream()
                        .map(point -> List.of(Numbers.figure(point.rate()), loss(point))).toList())));
        return html.append("</details></section>\n").toString();
    }

    /** Empty where every rate diverged. */
    private Optional<Chart> chart() {
        if (sweeps.values().stream().allMatch(rates -> rates.points().stream().allMatch(LearningRates.Point::diverged))) {
            return Optional.empty();
        }
        Chart chart = new Chart("Loss by learning rate", sweeps.entrySet().stream().map(entry -> entry.getKey() + ": "
                + outcome(entry.getValue())).collect(Collectors.joining(" ")), "learning rate", "loss").logarithmicX();
        sweeps.forEach((name, rates) -> {
            List<LearningRates.Point> drawn = rates.points().stream().filter(point -> !point.diverged()).toList();
            if (drawn.isEmpty()) {
                return;
            }
            chart.add(new Look(names.indexOf(name)), drawn.stream().mapToDouble(LearningRates.Point::rate).toArray(),
                    drawn.stream().mapToDouble(LearningRates.Point::loss).toArray());
            if (learns(rates)) {
                boolean one = rates.suggested() == rates.best().rate();
                drawn.stream().filter(point -> point.rate() == rates.suggested())
                        .forEach(point -> chart.mark(point.rate(), point.loss(), one ? "S B" : "S"));
                if (!one) {
                    chart.mark(rates.best().rate(), rates.best().loss(), "B");
                }
            }
        });
        return Optional.of(chart.logarithmic());
    }

    private static boolean learns(LearningRates rates) {
        return rates.points().stream().anyMatch(point -> point.loss() < rates.untrained());
    }

    private static String outcome(LearningRates rates) {
        List<String> words = new ArrayList<>();
        words.add(learns(rates) ? Numbers.figure(rates.suggested()) + " is suggested, the best is "
                + Numbers.figure(rates.best().rate()) : "no rate made the loss smaller");
        words.add(rates.steps() + " steps each");
        words.add(Numbers.figure(rates.untrained()) + " without training");
        return String.join("; ", words) + ".";
    }

    private static String loss(LearningRates.Point point) {
        return point.diverged() ? "diverged" : Numbers.figure(point.loss());
    }
}
