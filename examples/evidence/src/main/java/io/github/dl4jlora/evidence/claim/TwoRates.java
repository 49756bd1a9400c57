package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Plot;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.evidence.Training;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.DoubleStream;

/** A rate of B above that of A trains faster. */
public record TwoRates(List<Setting> settings) implements Claim {

    private static final int RANK = 8;
    /** In points: a larger gain would mean that the best rate for both was not found. */
    private static final double GAIN = 5;

    /**
     * One task.
     *
     * @param lowest the lowest rate
     * @param factor between two rates
     * @param number of rates of A, and of B
     * @param epochs few, since the claim is about speed
     * @param above  least points here by which a higher rate of B is ahead of the same two rates exchanged
     * @param ratio  least ratio here of B's rate to A's where they are best
     */
    public record Setting(Task task, double lowest, double factor, int number, int seeds, int epochs, double above,
                          double ratio) {
    }

    /** {@return the setting of digits} */
    public static Setting digits(Task task) {
        return new Setting(task, 6.25e-5, 4, 6, 3, 4, 0.5, 0.25);
    }

    @Override
    public Statement statement() {
        return new Statement("loraplus",
                "A learning rate of B above that of A trains faster than the other way round, and than one rate for both",
                new Source("Hayou et al. 2024, \"LoRA+: Efficient Low Rank Adaptation of Large Models\"", "2402.12354"),
                "Heat maps of both rates, of GPT-2 and RoBERTa: the best cells have B's rate well above A's; with the ratio 16, "
                        + "one to two points more and up to twice the speed.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        for (Setting setting : settings) {
            examine(lab, setting, finding);
        }
        return finding;
    }

    private static void examine(Lab lab, Setting setting, Finding finding) {
        double[] rates = lab.rates(setting.lowest, setting.factor, setting.number);
        List<Training> trainings = new ArrayList<>();
        for (double b : rates) {
            for (double a : rates) {
                Arrays.stream(lab.seeds(setting.seeds)).forEach(seed -> trainings.add(training(setting, a, b, seed)));
            }
        }
        Map<Training, Trained> outcomes = lab.run(trainings);
        double[][] learned = new double[rates.length][rates.length];
        double above = 0;
        double below = 0;
        Cell best = null;
        Cell bestEqual = null;
        for (int b = 0; b < rates.length; b++) {
            for (int a = 0; a < rates.length; a++) {
                double rateA = rates[a];
                double rateB = rates[b];
                learned[b][a] = Arrays.stream(lab.seeds(setting.seeds)).mapToDouble(seed ->
                        outcomes.get(training(setting, rateA, rateB, seed)).learned()).average().orElseThrow();
                above += b > a ? learned[b][a] : 0;
                below += b < a ? learned[b][a] : 0;
                Cell cell = new Cell(rateA, rateB, learned[b][a]);
                best = best == null || cell.learned > best.learned ? cell : best;
                bestEqual = a == b && (bestEqual == null || cell.learned > bestEqual.learned) ? cell : bestEqual;
            }
        }
        String name = setting.task.name();
        int pairs = Math.max(1, rates.length * (rates.length - 1) / 2);
        List<String> labels = DoubleStream.of(rates).mapToObj(rate -> String.format(Locale.ROOT, "%.1e", rate)).toList();
        finding.plot("loraplus-" + Finding.file(name), Plot.heat(name + ": " + setting.task.measure(),
                "learning rate of A", "learning rate of B", labels, labels, learned, "0.0"));
        if (!setting.task.trainable().isEmpty()) {
            finding.text(name + ": the layer that is trained in full has A's rate, as in PEFT.");
        }
        finding.text(String.format(Locale.ROOT, "%s, %d epochs: best at %.1e (A) and %.1e (B), %.1f; with one rate for both at "
                + "%.1e, %.1f.", name, setting.epochs, best.a, best.b, best.learned, bestEqual.a, bestEqual.learned));
        finding.check(name + ": B's rate above A's, less the same two rates exchanged, mean of all pairs, points", "above 0",
                (above - below) / pairs, Interval.atLeast(0.5), Interval.atLeast(setting.above));
        finding.check(name + ": B's rate over A's where it is best", "16, or more", best.b / best.a, Interval.atLeast(4),
                Interval.atLeast(setting.ratio));
        finding.check(name + ": best cell, less the best with one rate, points", "1 to 2", best.learned - bestEqual.learned,
                new Interval(1, GAIN), new Interval(0, GAIN));
    }

    private record Cell(double a, double b, double learned) {
    }

    private static Training training(Setting setting, double a, double b, long seed) {
        double ratio = b / a;
        return new Training(setting.task, Method.lora(String.format(Locale.ROOT, "LoRA+, ratio %.4g", ratio), RANK,
                lora -> lora.loraPlusRatio(ratio)), a, seed, setting.epochs);
    }
}
