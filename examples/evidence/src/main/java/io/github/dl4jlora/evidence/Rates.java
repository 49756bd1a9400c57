package io.github.dl4jlora.evidence;

import io.github.dl4jlora.examples.Spread;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Methods on one task, each at several rates and with several seeds. */
public final class Rates {

    private final Task task;
    private final List<Method> methods;
    private final double[] rates;
    private final Grid grid;

    /** Runs the trainings that have not run yet. */
    public Rates(Lab lab, Task task, List<Method> methods, double[] rates, long[] seeds) {
        this.task = task;
        this.methods = methods;
        this.rates = rates;
        grid = new Grid(lab, task, methods, rates, seeds, task.epochs());
    }

    /** {@return the rate with the best mean} */
    public double bestRate(Method method) {
        return rates[best(method)];
    }

    /** Says of which methods the best rate is the lowest or the highest that was tried, if of any. */
    public void tellEdges(Finding finding) {
        tellEdges(finding, task, methods.stream().filter(method -> isAtTheEdge(bestRate(method), rates)).toList());
    }

    /** {@return whether a rate is the lowest or the highest of several that were tried} */
    public static boolean isAtTheEdge(double rate, double[] tried) {
        return tried.length > 1 && (rate == tried[0] || rate == tried[tried.length - 1]);
    }

    /**
     * Says that some methods may do better at a rate that was not tried.
     *
     * @param methods whose best rate is at the edge of those that were tried; may be none
     */
    public static void tellEdges(Finding finding, Task task, List<Method> methods) {
        if (!methods.isEmpty()) {
            finding.text(task.name() + ": the best rate is at the edge of the tried ones for "
                    + methods.stream().map(Method::name).collect(Collectors.joining(", ")) + ", which may do better beyond it.");
        }
    }

    /** {@return what was learned at that rate} */
    public Spread bestLearned(Method method) {
        return grid.spread(method, bestRate(method), Trained::learned);
    }

    /** {@return what is kept of the base's task at that rate} */
    public Spread bestKept(Method method) {
        return grid.spread(method, bestRate(method), Trained::kept);
    }

    private int best(Method method) {
        Comparator<Integer> byMean = Comparator.comparingDouble(i -> grid.spread(method, rates[i], Trained::learned).mean());
        return IntStream.range(0, rates.length).boxed().max(task.isLoss() ? byMean.reversed() : byMean).orElseThrow();
    }

    /** {@return a picture of all methods} */
    public Plot plot(String title, double low, double high) {
        Plot plot = Plot.curves(title, "learning rate", task.measure()).logarithmicX().between(low, high);
        methods.forEach(method -> plot.add(method.name(), rates, Arrays.stream(rates).mapToObj(rate ->
                grid.spread(method, rate, Trained::learned)).toList()));
        return plot;
    }

    /** {@return a row of a table for each method: best rate, what it learns, what it keeps} */
    public List<List<String>> rows(int decimals) {
        return methods.stream().map(method -> List.of(task.name(), method.name(),
                String.format(Locale.ROOT, "%.1e", bestRate(method)), bestLearned(method).toString(decimals),
                Double.isNaN(bestKept(method).mean()) ? "-" : bestKept(method).toString(decimals))).toList();
    }

    /** {@return the head of {@link #rows}} */
    public static List<String> header() {
        return List.of("task", "method", "best rate", "learned", "kept of the base's task");
    }
}
