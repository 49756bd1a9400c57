package io.github.dl4jlora.examples.evidence;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/** Methods on one task, each at several rates and with several seeds. */
public final class Rates {

    private final Task task;
    private final double[] rates;
    private final Map<Method, List<Spread>> learned = new LinkedHashMap<>();
    private final Map<Method, List<Spread>> kept = new LinkedHashMap<>();

    /** Runs what was not run yet. */
    public Rates(Lab lab, Task task, List<Method> methods, double[] rates, long[] seeds) {
        this.task = task;
        this.rates = rates;
        List<Training> trainings = new ArrayList<>();
        methods.forEach(method -> Arrays.stream(rates).forEach(rate -> Arrays.stream(seeds).forEach(seed ->
                trainings.add(new Training(task, method, rate, seed)))));
        Map<Training, Trained> outcomes = lab.run(trainings);
        for (Method method : methods) {
            List<Spread> ofLearned = new ArrayList<>();
            List<Spread> ofKept = new ArrayList<>();
            for (double rate : rates) {
                List<Trained> some = Arrays.stream(seeds).mapToObj(seed ->
                        outcomes.get(new Training(task, method, rate, seed))).toList();
                ofLearned.add(Spread.of(some.stream().map(Trained::learned).toList()));
                ofKept.add(Spread.of(some.stream().map(Trained::kept).toList()));
            }
            learned.put(method, ofLearned);
            kept.put(method, ofKept);
        }
    }

    /** {@return the rate with the best mean} */
    public double bestRate(Method method) {
        return rates[best(method)];
    }

    /** {@return whether that is the lowest or the highest that was tried} */
    public boolean isAtTheEdge(Method method) {
        return best(method) == 0 || best(method) == rates.length - 1;
    }

    /** {@return what was learned at that rate} */
    public Spread bestLearned(Method method) {
        return learned.get(method).get(best(method));
    }

    /** {@return what is kept of the base's at that rate} */
    public Spread bestKept(Method method) {
        return kept.get(method).get(best(method));
    }

    private int best(Method method) {
        Comparator<Integer> byMean = Comparator.comparingDouble(i -> learned.get(method).get(i).mean());
        return IntStream.range(0, rates.length).boxed().max(task.isLoss() ? byMean.reversed() : byMean).orElseThrow();
    }

    /** {@return a picture of all methods} */
    public Plot plot(String title, double low, double high) {
        Plot plot = Plot.curves(title, "learning rate", task.measure()).logarithmicX().between(low, high);
        learned.forEach((method, spreads) -> plot.add(method.name(), rates, spreads));
        return plot;
    }

    /** {@return a row of a table for each method: best rate, what it comes to, what it keeps} */
    public List<List<String>> rows(int decimals) {
        return learned.keySet().stream().map(method -> List.of(task.name(), method.name(),
                String.format(Locale.ROOT, "%.1e", bestRate(method)), bestLearned(method).toString(decimals),
                Double.isNaN(bestKept(method).mean()) ? "-" : bestKept(method).toString(decimals))).toList();
    }

    /** {@return the head of {@link #rows}} */
    public static List<String> header() {
        return List.of("task", "method", "best rate", "learned", "left of the base's task");
    }
}
