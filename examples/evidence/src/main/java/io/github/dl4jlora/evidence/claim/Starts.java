package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Grid;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Plot;
import io.github.dl4jlora.evidence.Rates;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Compares starts of A and B by the steps that a training takes to a given loss: the loss that the first start, the usual one,
 * reaches in half of its steps. They are compared at one rate for all, and each at its own rate, at which it takes the fewest
 * steps.
 */
final class Starts {

    private static final int WINDOW = 10;

    private final Task task;
    private final List<Method> methods;
    private final double rate;
    private final double[] rates;
    private final Grid grid;

    /**
     * @param methods the usual start first
     * @param rate    one of the rates, for all
     */
    Starts(Lab lab, Task task, List<Method> methods, double rate, double[] rates, long[] seeds, int epochs) {
        this.task = task;
        this.methods = methods;
        this.rate = Arrays.stream(rates).anyMatch(some -> some == rate) ? rate : rates[0];
        this.rates = rates;
        grid = new Grid(lab, task, methods, rates, seeds, epochs);
    }

    /** The losses of all starts at one rate, means of the seeds. */
    Plot plot() {
        Plot plot = Plot.curves(String.format(Locale.ROOT, "Loss, %s, rate %.1e for all", task.name(), rate), "steps", "loss")
                .logarithmicY();
        methods.forEach(method -> {
            List<double[]> losses = grid.of(method, rate).stream().map(Trained::losses).toList();
            plot.losses(method.name(), IntStream.range(0, losses.get(0).length).mapToDouble(step ->
                    losses.stream().mapToDouble(some -> some[step]).average().orElseThrow()).toArray());
        });
        return plot;
    }

    /** Steps of a start over those of the usual one, to the same loss, each at the same rate. */
    double atOneRate(Method method) {
        return steps(method, rate, rate) / steps(methods.get(0), rate, rate);
    }

    /**
     * As {@link #atOneRate}, each at the rate at which it takes the fewest steps; the loss is that of the usual start at its own
     * rate.
     */
    double atOwnRates(Method method) {
        double usual = soonest(methods.get(0), rate);
        return steps(method, soonest(method, usual), usual) / steps(methods.get(0), usual, usual);
    }

    double ownRate(Method method) {
        return soonest(method, soonest(methods.get(0), rate));
    }

    private double soonest(Method method, double ofTarget) {
        return Arrays.stream(rates).boxed().min(Comparator.comparingDouble(some ->
                steps(method, some, ofTarget))).orElseThrow();
    }

    /** The mean over seeds of the steps to the loss that the usual start has half-way; all steps if the loss is not reached. */
    private double steps(Method method, double some, double ofTarget) {
        List<Trained> usual = grid.of(methods.get(0), ofTarget);
        List<Trained> others = grid.of(method, some);
        return IntStream.range(0, usual.size()).mapToDouble(i -> {
            int all = usual.get(i).losses().length;
            int steps = others.get(i).stepsTo(usual.get(i).loss(all / 2 - WINDOW, all / 2), WINDOW);
            return steps < 0 ? all : steps;
        }).average().orElseThrow();
    }

    /** What each start learns at one rate and at its own, and how soon it reaches the usual start's loss. */
    void report(Finding finding) {
        List<List<String>> rows = new ArrayList<>();
        for (Method method : methods) {
            rows.add(List.of(task.name(), method.name(), ratio(atOneRate(method)), ratio(atOwnRates(method)),
                    String.format(Locale.ROOT, "%.1e", ownRate(method)), learned(method, rate),
                    learned(method, ownRate(method))));
        }
        Rates.tellEdges(finding, task, methods.stream().filter(method -> Rates.isAtTheEdge(ownRate(method), rates)).toList());
        finding.table(List.of("task", "start", String.format(Locale.ROOT, "steps, rate %.1e for all", rate),
                "steps, each at its own rate", "own rate", "learned, one rate", "learned, own rate"), rows);
    }

    private String learned(Method method, double some) {
        return grid.spread(method, some, Trained::learned).toString(1);
    }

    private static String ratio(double value) {
        return String.format(Locale.ROOT, "%.2f", value);
    }
}
