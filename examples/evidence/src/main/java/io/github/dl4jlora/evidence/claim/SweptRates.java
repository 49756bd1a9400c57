package io.github.dl4jlora.evidence.claim;

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
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/** A sweep of a few steps suggests a rate that does nearly as well as the best one, found by whole trainings. */
public record SweptRates(List<Setting> settings) implements Claim {

    private static final int RANK = 8;

    /**
     * What is tried on a task.
     *
     * @param methods what is trained
     * @param lowest  of the rates of whole trainings
     * @param rates   their number, each twice the one before
     * @param seeds   number of seeds
     * @param close   how far behind the best rate the suggested one may be for the claim to hold, in the task's unit
     * @param behind  how far behind it may be here
     */
    public record Setting(Task task, List<Method> methods, double lowest, int rates, int seeds, double close, double behind) {
    }

    /** {@return what is tried on digits} */
    public static Setting digits(Task task) {
        return new Setting(task, List.of(Method.lora(RANK), Method.above(Pictures.LAST_HIDDEN), Method.full()), 2.5e-4, 8,
                BestRates.SEEDS, 2, 4);
    }

    /** {@return what is tried on Shakespeare} */
    public static Setting shakespeare(Task task) {
        return new Setting(task, List.of(Method.lora(RANK), Method.full()), 2.5e-3, 5, BestRates.FEW_SEEDS, .1, .15);
    }

    @Override
    public Statement statement() {
        return new Statement("sweep",
                "A sweep of thirty steps a rate suggests a learning rate that does nearly as well as the best one",
                new Source("This project's guide", ""),
                "`LearningRateSweep` suggests the lowest rate whose loss falls at least 90 % as far as with the best one, since "
                        + "a rate that does best for thirty steps may be too high for a whole training.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<List<String>> rows = new ArrayList<>();
        settings.forEach(setting -> setting.methods.forEach(method -> examine(lab, setting, method, finding, rows)));
        return finding.table(List.of("task", "method", "suggested", "learned", "best after 30 steps", "learned", "best of all",
                "learned"), rows).text("Sweeps as by default: 16 rates from 1e-5 to 1. Each seed has its own sweep; the "
                + "table has the lowest and the highest rate of all seeds. The best of all is the rate with the best mean after "
                + "whole trainings, each rate twice the one before.");
    }

    private static void examine(Lab lab, Setting setting, Method method, Finding finding, List<List<String>> rows) {
        Task task = setting.task;
        long[] seeds = lab.seeds(setting.seeds);
        Rates rates = new Rates(lab, task, List.of(method), lab.rates(setting.lowest, 2, setting.rates), seeds);
        List<LearningRates> swept = lab.each(Arrays.stream(seeds).mapToObj(seed ->
                new Training(task, method, rates.bestRate(method), seed)).toList(), training -> sweep(lab, training));
        rates.tellEdges(finding);
        Way suggested = way(lab, task, method, seeds, swept, LearningRates::suggested);
        Way best = way(lab, task, method, seeds, swept, some -> some.best().rate());
        int decimals = task.isLoss() ? 3 : 1;
        rows.add(List.of(task.name(), method.name(), suggested.rates, suggested.learned.toString(decimals), best.rates,
                best.learned.toString(decimals), String.format(Locale.ROOT, "%.1e", rates.bestRate(method)),
                rates.bestLearned(method).toString(decimals)));
        finding.check(task.name() + ", " + method.name() + ": the best rate's result less the suggested one's, " + task.measure(),
                "about 0", (task.isLoss() ? -1 : 1) * (rates.bestLearned(method).mean() - suggested.learned.mean()),
                Interval.atMost(setting.close), Interval.atMost(setting.behind));
    }

    private static LearningRates sweep(Lab lab, Training training) {
        LearningRateSweep sweep = LearningRateSweep.of(lab.prepare(training));
        return (lab.isBrief() ? sweep.points(2).steps(2) : sweep).run(
                new ExistingDataSetIterator(lab.start(training.task(), training.seed()).batches()));
    }

    /** A way to take a rate from a sweep: the rates of all seeds, and what is learned at them. */
    private record Way(String rates, Spread learned) {
    }

    private static Way way(Lab lab, Task task, Method method, long[] seeds, List<LearningRates> swept,
                           ToDoubleFunction<LearningRates> choice) {
        List<Training> trainings = new ArrayList<>();
        for (int i = 0; i < seeds.length; i++) {
            trainings.add(new Training(task, method, choice.applyAsDouble(swept.get(i)), seeds[i]));
        }
        double[] rates = trainings.stream().mapToDouble(Training::rate).sorted().toArray();
        String lowest = String.format(Locale.ROOT, "%.1e", rates[0]);
        String highest = String.format(Locale.ROOT, "%.1e", rates[rates.length - 1]);
        return new Way(lowest.equals(highest) ? lowest : lowest + " to " + highest,
                Spread.of(lab.run(trainings).values(), Trained::learned));
    }
}
