package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Plot;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.evidence.Training;
import io.github.dl4jlora.evidence.snippet.SnippetNetwork;
import io.github.dl4jlora.examples.Spread;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Compares the library with a simple layer in SameDiff, from the same start, on the same batches. */
public record TrainsAlike(List<Setting> settings) implements Claim {

    private static final int RANK = 8;
    private static final int SEEDS = 5;
    /** Later, differences of rounding have grown, as between any two trainings that differ by a bit. */
    private static final int EARLY = 10;
    /** The path's scale: plain alpha, as in the snippet, s = 2. */
    private static final double FACTOR = Method.ALPHA / RANK;

    /**
     * One task.
     *
     * @param head   the layer that trains in full with both, since DL4J cannot freeze an output layer with others below it
     * @param early  the largest relative difference of losses in the first steps
     * @param alike  the largest difference in what the two learn, in the task's unit
     */
    public record Setting(Task task, String head, double rate, int seeds, int epochs, double early, double alike) {
    }

    /** {@return the setting of a task of pictures} */
    public static Setting pictures(Task task) {
        return new Setting(task, "out", 1e-3, SEEDS, task.epochs(), 1e-3, 2);
    }

    @Override
    public Statement statement() {
        return new Statement("snippet",
                "The layer of twenty lines that this project began with, and the library, train alike",
                new Source("The first sketch of this project: alpha·x·A·B as a SameDiff layer beside a dense layer in "
                        + "`FrozenLayerWithBackprop`, summed by an `ElementWiseVertex`", ""),
                "Both compute the same function. They differ by rounding, and because the gradients of DL4J's SameDiff layers "
                        + "are twice as large as they should be: for A and B this makes no difference to Adam, which divides by "
                        + "their size, but the gradients of the layers below are slightly wrong.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<List<String>> rows = new ArrayList<>();
        for (Setting setting : settings) {
            Method library = Method.lora("the library", RANK, lora -> lora.trainable(setting.head));
            Method snippet = new Method("the snippet", (task, start, rate, seed) -> SnippetNetwork.of(start.base(),
                    task.targets(), List.of(setting.head), RANK, FACTOR, rate, library.way().prepare(task, start, rate, seed)));
            List<Training> trainings = Arrays.stream(lab.seeds(setting.seeds)).boxed().flatMap(seed ->
                    List.of(library, snippet).stream().map(method ->
                            new Training(setting.task, method, setting.rate, seed, setting.epochs))).toList();
            Map<Training, Trained> outcomes = lab.run(trainings);
            List<Trained> ours = of(library, trainings, outcomes);
            List<Trained> theirs = of(snippet, trainings, outcomes);
            String name = setting.task.name();
            finding.plot("snippet-" + Finding.file(name), Plot.curves("Loss, " + name + ", seed 1", "steps", "loss")
                    .losses("the library", ours.get(0).losses()).losses("the snippet", theirs.get(0).losses()));
            rows.add(row(name, "the library", ours));
            rows.add(row(name, "the snippet", theirs));
            double apart = 0;
            double lossApart = 0;
            for (int i = 0; i < ours.size(); i++) {
                apart = Math.max(apart, Math.abs(ours.get(i).learned() - theirs.get(i).learned()));
                lossApart = Math.max(lossApart, furthest(ours.get(i).losses(), theirs.get(i).losses()));
            }
            finding.check(name + ": largest difference of a loss in the first " + EARLY + " steps, any seed, over the "
                    + "loss", "0", lossApart, 0, setting.early);
            finding.check(name + ": largest difference of what is learned, any seed, " + setting.task.measure(), "0", apart, 0,
                    setting.alike);
        }
        return finding.table(List.of("task", "", "learned", "last loss"), rows);
    }

    private static double furthest(double[] some, double[] others) {
        double furthest = 0;
        for (int i = 0; i < Math.min(EARLY, some.length); i++) {
            furthest = Math.max(furthest, Math.abs(some[i] - others[i]) / Math.abs(some[i]));
        }
        return furthest;
    }

    private static List<Trained> of(Method method, List<Training> trainings, Map<Training, Trained> outcomes) {
        return trainings.stream().filter(training -> training.method().equals(method)).map(outcomes::get).toList();
    }

    private static List<String> row(String task, String name, List<Trained> outcomes) {
        return List.of(task, name, Spread.of(outcomes, Trained::learned).toString(2),
                Spread.of(outcomes, Trained::lastLoss).toString(4));
    }
}
