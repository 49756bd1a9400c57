package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Rates;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.evidence.Training;
import io.github.dl4jlora.evidence.task.Pictures;
import io.github.dl4jlora.examples.Spread;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.LongStream;

/** Each way to teach a base, at its own best rate, with seeds that were not used to choose the rate. */
public final class MainTable implements Claim {

    private static final long FURTHER = 10;

    private final Pictures task;

    public MainTable(Pictures task) {
        this.task = task;
    }

    @Override
    public String id() {
        return "table";
    }

    @Override
    public String says() {
        return "At its own best rate LoRA comes close to full fine-tuning with a fourteenth of its trained values, and forgets "
                + "less";
    }

    @Override
    public Source source() {
        return new Source("This project's main table", "");
    }

    @Override
    public String published() {
        return "The README has this table.";
    }

    @Override
    public Finding examine(Lab lab) {
        List<Method> methods = List.of(Method.above(Pictures.LAST_HIDDEN), Method.lora(8), Method.full());
        Rates rates = new Rates(lab, task, methods, lab.rates(2.5e-4, 2, 8), lab.seeds(BestRates.SEEDS));
        long[] others = LongStream.of(lab.seeds(BestRates.SEEDS)).map(seed -> seed + FURTHER).toArray();
        Map<Method, List<Trained>> outcomes = new LinkedHashMap<>();
        methods.forEach(method -> outcomes.put(method, List.copyOf(lab.run(Arrays.stream(others).mapToObj(seed ->
                new Training(task, method, rates.bestRate(method), seed)).toList()).values())));
        List<Task.Start> starts = Arrays.stream(others).mapToObj(seed -> lab.start(task, seed)).toList();
        Spread baseLearned = Spread.of(starts, start -> start.learned(start.base()));
        Spread baseKept = Spread.of(starts, start -> start.kept(start.base()));
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("base", "", "", baseLearned.toString(1), baseKept.toString(1)));
        outcomes.forEach((method, some) -> {
            rows.add(List.of(method.name(), String.format(Locale.ROOT, "%,d", some.get(0).values()),
                    String.format(Locale.ROOT, "%.0e", rates.bestRate(method)), Spread.of(some, Trained::learned).toString(1),
                    Spread.of(some, Trained::kept).toString(1)));
            if (method.equals(Method.lora(8))) {
                rows.add(List.of("LoRA, adapter off", "", "", baseLearned.toString(1), baseKept.toString(1)));
            }
        });
        Finding finding = new Finding().table(List.of("", "trained values", "rate", "turned digits, %", "upright digits, "
                + "%"), rows);
        finding.text("Rates were chosen with seeds 1 to " + BestRates.SEEDS + ", the table is for " + others.length + " others, "
                + "which have other parts for training and testing and other bases.");
        finding.check("full fine-tuning less LoRA, turned digits, points", "", Spread.of(outcomes.get(Method.full()),
                Trained::learned).mean() - Spread.of(outcomes.get(Method.lora(8)), Trained::learned).mean(), -1, 3);
        return finding.check("LoRA less full fine-tuning, upright digits, points", "", Spread.of(outcomes.get(Method.lora(8)),
                Trained::kept).mean() - Spread.of(outcomes.get(Method.full()), Trained::kept).mean(), 5, 100);
    }
}
