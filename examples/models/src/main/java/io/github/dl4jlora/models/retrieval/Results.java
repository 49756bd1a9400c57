package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.examples.Figures;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;

/** What all tasks came to, as tables and sentences. */
final class Results {

    static final String BASE = "base";
    private static final String NONE = "-";

    private final Map<Task, Result> tasks = new LinkedHashMap<>();
    private final Function<Task, Path> adapters;

    /**
     * Of one task.
     *
     * @param outcomes by each method
     * @param rankings with no adapter, and with each task's of the first seed, by name
     */
    record Result(List<Sample> test, List<Outcome> outcomes, Map<String, Ranking> rankings) {
    }

    /** @param adapters a task's folder */
    Results(Function<Task, Path> adapters) {
        this.adapters = adapters;
    }

    void add(Task task, Result result) {
        tasks.put(task, result);
    }

    /** Means over the seeds and, where there are several, what the nDCG@10 of the seeds is between. */
    ResultTable found() {
        boolean several = isOfSeveralSeeds();
        List<String> head = new ArrayList<>(List.of("", "nDCG @10"));
        if (several) {
            head.addAll(List.of("lowest", "highest"));
        }
        head.addAll(List.of("recall @1", "recall @5", "recall @10", "MRR"));
        ResultTable table = new ResultTable(head.toArray(String[]::new));
        tasks.forEach((task, result) -> {
            table.row(row(task + ", base", new Outcome(null, 0, List.of(result.rankings.get(BASE)), 0, 0, null), several));
            result.outcomes.forEach(outcome -> table.row(row(task + ", " + outcome.method().title, outcome, several)));
        });
        return table;
    }

    private boolean isOfSeveralSeeds() {
        return outcomes().anyMatch(outcome -> outcome.rankings().size() > 1);
    }

    private Stream<Outcome> outcomes() {
        return tasks.values().stream().flatMap(result -> result.outcomes.stream());
    }

    private static String[] row(String name, Outcome outcome, boolean several) {
        List<String> cells = new ArrayList<>(List.of(name, format("%.3f", outcome.mean(Ranking::ndcg))));
        if (several) {
            boolean isOne = outcome.rankings().size() == 1;
            cells.add(isOne ? NONE : format("%.3f", outcome.lowest(Ranking::ndcg)));
            cells.add(isOne ? NONE : format("%.3f", outcome.highest(Ranking::ndcg)));
        }
        for (int k : new int[] {1, 5, 10}) {
            cells.add(format("%.3f", outcome.mean(ranking -> ranking.recallAt(k))));
        }
        cells.add(format("%.3f", outcome.mean(Ranking::mrr)));
        return cells.toArray(String[]::new);
    }

    /** How it was taught, and on what it was tested. */
    ResultTable taken() throws IOException {
        boolean several = isOfSeveralSeeds();
        ResultTable table = new ResultTable("", "rate", "seeds", "queries", "documents", "trained values", "minutes",
                "adapter bytes");
        for (Map.Entry<Task, Result> task : tasks.entrySet()) {
            for (Outcome outcome : task.getValue().outcomes) {
                table.row(task.getKey() + ", " + outcome.method().title, format("%.0e", outcome.rate()),
                        several ? String.valueOf(outcome.rankings().size()) : "", format("%,d", task.getValue().test.size()),
                        format("%,d", Finder.documents(task.getValue().test).size()), format("%,d", outcome.trained()),
                        format("%.1f", outcome.seconds() / 60), outcome.method() == Method.LORA
                                ? format("%,d", Figures.size(adapters.apply(task.getKey()))) : NONE);
            }
        }
        return table;
    }

    /** MRR of each task with each task's adapter. */
    ResultTable crossed() {
        List<String> head = new ArrayList<>(List.of("", BASE));
        tasks.keySet().forEach(task -> head.add("adapter " + task));
        ResultTable table = new ResultTable(head.toArray(String[]::new));
        tasks.forEach((task, result) -> {
            List<String> cells = new ArrayList<>(List.of(task.toString()));
            result.rankings.values().forEach(ranking -> cells.add(format("%.3f", ranking.mrr())));
            table.row(cells.toArray(String[]::new));
        });
        return table;
    }

    /** What the first seed's adapter is worth. */
    String verdict(Task task) {
        Ranking base = tasks.get(task).rankings.get(BASE);
        Ranking adapted = tasks.get(task).rankings.get(task.toString());
        return String.format(Locale.ROOT, "%s, %s: the adapter %s. It puts the answer higher for %,d queries, lower for %,d.",
                task, task.aim, adapted.mrr() > base.mrr() ? "helps" : "does not help", adapted.above(base), base.above(adapted));
    }

    static String format(String pattern, Object value) {
        return String.format(Locale.ROOT, pattern, value);
    }
}
