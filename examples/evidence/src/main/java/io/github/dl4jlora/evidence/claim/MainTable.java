package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Rates;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.evidence.Training;
import io.github.dl4jlora.evidence.task.Pictures;
import io.github.dl4jlora.examples.Spread;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.LongStream;

/** Each way to teach a base, at its own best rate, with seeds that were not used to choose the rate. */
public record MainTable(Pictures task) implements Claim {

    private static final long FURTHER = 10;
    private static final int RANK = 8;

    /** What a trained network computes with its adapters, and without them. */
    private record OnAndOff(Trained on, Trained off) {
    }

    @Override
    public Statement statement() {
        return new Statement("table",
                "At its own best rate LoRA comes close to full fine-tuning with a fourteenth of its trained values, and forgets "
                        + "less",
                new Source("This project's main table", ""),
                "The README has this table.");
    }

    @Override
    public Finding examine(Lab lab) {
        List<Method> methods = List.of(Method.above(Pictures.LAST_HIDDEN), Method.lora(RANK), Method.full());
        Rates rates = new Rates(lab, task, methods, lab.rates(2.5e-4, 2, 8), lab.seeds(BestRates.SEEDS));
        long[] others = LongStream.of(lab.seeds(BestRates.SEEDS)).map(seed -> seed + FURTHER).toArray();
        Map<Method, List<Trained>> outcomes = new LinkedHashMap<>();
        List<Trained> off = new ArrayList<>();
        methods.forEach(method -> {
            List<Training> trainings = Arrays.stream(others).mapToObj(seed ->
                    new Training(task, method, rates.bestRate(method), seed)).toList();
            if (method.equals(Method.lora(RANK))) {
                List<OnAndOff> both = lab.each(trainings, training -> onAndOff(lab, training));
                outcomes.put(method, both.stream().map(OnAndOff::on).toList());
                both.stream().map(OnAndOff::off).forEach(off::add);
            } else {
                outcomes.put(method, List.copyOf(lab.run(trainings).values()));
            }
        });
        List<Task.Start> starts = Arrays.stream(others).mapToObj(seed -> lab.start(task, seed)).toList();
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("base", "", "", Spread.of(starts, start -> start.learned(start.base())).toString(1),
                Spread.of(starts, start -> start.kept(start.base())).toString(1)));
        outcomes.forEach((method, some) -> {
            rows.add(List.of(method.name(), String.format(Locale.ROOT, "%,d", some.get(0).values()),
                    String.format(Locale.ROOT, "%.0e", rates.bestRate(method)), learned(some).toString(1),
                    kept(some).toString(1)));
            if (method.equals(Method.lora(RANK))) {
                rows.add(List.of("LoRA, adapter off", "", "", learned(off).toString(1), kept(off).toString(1)));
            }
        });
        Finding finding = new Finding().table(List.of("", "trained values", "rate", "turned digits, %", "upright digits, "
                + "%"), rows);
        finding.text("Rates were chosen with seeds 1 to " + BestRates.SEEDS + ", the table is for " + others.length + " others, "
                + "which have other parts for training and testing and other bases.");
        List<Trained> full = outcomes.get(Method.full());
        List<Trained> lora = outcomes.get(Method.lora(RANK));
        finding.check("full fine-tuning less LoRA, turned digits, points", "", learned(full).mean() - learned(lora).mean(), -1,
                3);
        // Two of LoRA's rates do about equally well. At the higher one LoRA keeps little more than full fine-tuning.
        return finding.check("LoRA less full fine-tuning, upright digits, points", "", kept(lora).mean() - kept(full).mean(),
                Interval.atLeast(5), Interval.atLeast(-5));
    }

    private static OnAndOff onAndOff(Lab lab, Training training) {
        ComputationGraph network = lab.prepare(training);
        Trained on = lab.train(training, network);
        Task.Start start = lab.start(training.task(), training.seed());
        try (LoRA.Scope scope = LoRA.disabled(network)) {
            return new OnAndOff(on, new Trained(start.learned(network), start.kept(network), 0, on.losses()));
        }
    }

    private static Spread learned(List<Trained> outcomes) {
        return Spread.of(outcomes, Trained::learned);
    }

    private static Spread kept(List<Trained> outcomes) {
        return Spread.of(outcomes, Trained::kept);
    }
}
