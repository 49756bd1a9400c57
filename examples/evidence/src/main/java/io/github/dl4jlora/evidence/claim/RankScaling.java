package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Plot;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.evidence.Training;
import io.github.dl4jlora.examples.Spread;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** With alpha over rank, gradients shrink as the rank grows; with alpha over the root of the rank, they do not. */
public record RankScaling(Task task) implements Claim {

    private static final int[] RANKS = {4, 8, 16, 32, 64, 128, 256};
    /** Has 64 inputs, so a higher rank is of no use. */
    private static final String NARROW = "fc1";
    private static final int SEEDS = 3;
    private static final int FIRST_STEPS = 5;
    private static final int EPOCHS = 5;
    private static final double RATE = 5e-4;

    private record Result(Training training, double gradient, Trained trained) {
    }

    /**
     * The mean norm of the gradient, before the updater changes it, in the first steps; later the norm says how much is left to
     * learn.
     */
    private static final class GradientNorm extends BaseTrainingListener {

        private double sum;
        private int steps;

        @Override
        public void onGradientCalculation(Model model) {
            if (steps < FIRST_STEPS) {
                sum += ((ComputationGraph) model).getFlattenedGradients().norm2Number().doubleValue();
                steps++;
            }
        }
    }

    @Override
    public Statement statement() {
        return new Statement("rslora",
                "With alpha / rank gradients collapse as the rank grows, with alpha / √rank they do not, and high ranks learn "
                        + "faster",
                new Source("Kalajdzievski 2023, \"A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA\"", "2312.03732"),
                "Llama 2 7B on OpenOrca, ranks 4 to 2048: with alpha / rank the mean norm of the gradient falls as the rank "
                        + "grows and all ranks come to the same perplexity; with alpha / √rank it stays within the same order, "
                        + "and perplexity falls with rank.");
    }

    @Override
    public Finding examine(Lab lab) {
        Map<Scaling, String> names = new LinkedHashMap<>();
        names.put(Scaling.ALPHA_OVER_RANK, "alpha / rank");
        names.put(Scaling.ALPHA_OVER_SQRT_RANK, "alpha / √rank");
        List<Training> trainings = new ArrayList<>();
        names.forEach((scaling, name) -> IntStream.of(RANKS).forEach(rank -> Arrays.stream(lab.seeds(SEEDS)).forEach(seed ->
                trainings.add(new Training(task, method(scaling, name, rank), RATE, seed, EPOCHS)))));
        List<Result> results = lab.each(trainings, training -> {
            ComputationGraph network = lab.prepare(training);
            GradientNorm norm = new GradientNorm();
            network.addListeners(norm);
            Trained trained = lab.train(training, network);
            return new Result(training, norm.sum / norm.steps, trained);
        });
        Plot gradients = Plot.curves("Mean norm of the gradient, first five steps", "rank", "norm").logarithmicX().logarithmicY();
        Plot losses = Plot.curves("Loss at the end, rate 5e-4 for all", "rank", "loss").logarithmicX();
        List<List<String>> rows = new ArrayList<>();
        Finding finding = new Finding();
        double[] ranks = Arrays.stream(RANKS).asDoubleStream().toArray();
        names.forEach((scaling, name) -> {
            List<List<Result>> byRank = IntStream.of(RANKS).mapToObj(rank -> results.stream().filter(result ->
                    result.training.method().equals(method(scaling, name, rank))).toList()).toList();
            List<Spread> norms = byRank.stream().map(some -> Spread.of(some, Result::gradient)).toList();
            List<Spread> ends = byRank.stream().map(some -> Spread.of(some, result -> result.trained.lastLoss())).toList();
            gradients.add(name, ranks, norms);
            losses.add(name, ranks, ends);
            rows.add(row(name + ": norm of the gradient", norms));
            rows.add(row(name + ": loss", ends));
            double ratio = norms.get(RANKS.length - 1).mean() / norms.get(0).mean();
            double fall = ends.get(RANKS.length - 1).mean() / ends.get(0).mean();
            if (scaling == Scaling.ALPHA_OVER_RANK) {
                finding.check(name + ": gradient at rank 256 over that at rank 4", "falls", ratio, 0, 0.3);
            } else {
                finding.check(name + ": gradient at rank 256 over that at rank 4", "about 1", ratio, 0.4, 2.5);
                finding.check(name + ": loss at rank 256 over that at rank 4", "below 1", fall, 0, 0.95);
            }
        });
        List<String> header = new ArrayList<>(List.of("rank"));
        IntStream.of(RANKS).forEach(rank -> header.add(String.valueOf(rank)));
        return finding.plot("rslora-gradient", gradients).plot("rslora-loss", losses).table(header, rows);
    }

    private static Method method(Scaling scaling, String name, int rank) {
        return Method.lora(name + ", rank " + rank, rank, lora -> lora.scaling(scaling).exclude(NARROW));
    }

    private static List<String> row(String name, List<Spread> values) {
        List<String> row = new ArrayList<>(List.of(name));
        values.forEach(value -> row.add(value.toString(3)));
        return row;
    }
}
