package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Plot;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Training;
import io.github.dl4jlora.evidence.task.Pictures;
import io.github.dl4jlora.examples.Spread;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** LoRA learns less and forgets less; and what it forgets comes back when the adapter is off. */
public record LearnsAndForgets(Pictures task) implements Claim {

    private static final int SEEDS = 5;
    private static final int EVERY = 2;
    private static final double ENOUGH = 95;

    /** At 2e-3 and at 4e-3 it learns as much, within the spread of seeds: which is better depends on the processor. */
    private static final Method LORA = Method.lora(8);

    /** Full fine-tuning at a lower rate, since the rate decides how much is forgotten. */
    private static final Method SLOWER = new Method("full, a quarter of the rate", Method.full().way());

    /** One training, measured every {@link #EVERY} epochs. */
    private record Course(double[] learned, double[] kept, boolean givenBack) {

        /** What is kept when enough was learned for the first time; NaN if that never happens. */
        double keptWhenLearned() {
            return IntStream.range(0, learned.length).filter(i -> learned[i] >= ENOUGH).mapToDouble(i -> kept[i]).findFirst()
                    .orElse(Double.NaN);
        }
    }

    @Override
    public Statement statement() {
        return new Statement("forgetting",
                "LoRA learns less and forgets less than full fine-tuning; with the adapter off, nothing is forgotten",
                new Source("Biderman et al. 2024, \"LoRA Learns Less and Forgets Less\", figure 4", "2405.09673"),
                "Llama 2 7B, code and mathematics: LoRA learns less and forgets less; at the same amount learned it forgets less "
                        + "or as much; lower ranks forget less.");
    }

    /** Unless the method's name says otherwise, the rate at which it learns most, from the claim on rates. */
    private static Map<Method, Double> methods() {
        Map<Method, Double> rates = new LinkedHashMap<>();
        rates.put(Method.above(Pictures.LAST_HIDDEN), 8e-3);
        rates.put(Method.lora(1), 2e-3);
        rates.put(LORA, 2e-3);
        rates.put(Method.lora("LoRA, rank 8, half of the rate", 8, lora -> lora), 1e-3);
        rates.put(Method.lora(32), 4e-3);
        rates.put(Method.full(), 4e-3);
        rates.put(SLOWER, 1e-3);
        return rates;
    }

    @Override
    public Finding examine(Lab lab) {
        Map<Method, Double> methods = methods();
        List<Training> trainings = Training.atRates(task, methods, lab.seeds(SEEDS));
        List<Course> courses = lab.each(trainings, training -> course(lab, training));
        Plot plot = Plot.curves("Learned and kept, from top left along the training", task.measure(), "of upright ones, %");
        List<List<String>> rows = new ArrayList<>();
        Map<Method, Spread> ends = new LinkedHashMap<>();
        Map<Method, Spread> at95 = new LinkedHashMap<>();
        methods.keySet().forEach(method -> {
            List<Course> some = IntStream.range(0, trainings.size()).filter(i ->
                    trainings.get(i).method().equals(method)).mapToObj(courses::get).toList();
            int points = some.get(0).learned.length;
            plot.path(method.name(), means(some.stream().map(Course::learned).toList(), points),
                    means(some.stream().map(Course::kept).toList(), points));
            ends.put(method, Spread.of(some, course -> course.kept[points - 1]));
            double[] kept = some.stream().mapToDouble(Course::keptWhenLearned).toArray();
            // Those seeds alone that learned enough would be the easier ones.
            at95.put(method, Arrays.stream(kept).anyMatch(Double::isNaN) ? Spread.of() : Spread.of(kept));
            rows.add(List.of(method.name(), String.format(Locale.ROOT, "%.0e", methods.get(method)),
                    Spread.of(some, course -> course.learned[points - 1]).toString(1),
                    ends.get(method).toString(1), at95.get(method).number() == 0 ? "-" : at95.get(method).toString(1)));
        });
        Finding finding = new Finding().plot("forgetting", plot).table(List.of("method", "rate", "learned, %",
                "kept at the end, %", "kept when " + (int) ENOUGH + " % were learned"), rows);
        boolean givenBack = courses.stream().allMatch(Course::givenBack);
        finding.check("share of adapters that give the base's outputs back, bit for bit, once off", "1", givenBack ? 1 : 0, 1, 1);
        finding.check("kept at the end, LoRA of rank 8 at 2e-03 less full fine-tuning, points", "above 0",
                ends.get(LORA).mean() - ends.get(Method.full()).mean(), 5, Double.POSITIVE_INFINITY);
        finding.text("How much is forgotten depends on the rate first of all: at a quarter of the rate, full fine-tuning "
                + "forgets less than LoRA of rank 32 at 4e-03.");
        return finding.check("kept when " + (int) ENOUGH + " % were learned, LoRA of rank 8 at 2e-03 less full "
                + "fine-tuning at the better of its rates, points", "0 or more", at95.get(LORA).mean()
                - Stream.of(Method.full(), SLOWER).mapToDouble(method -> at95.get(method).mean())
                        .filter(mean -> !Double.isNaN(mean)).max().orElse(Double.NaN), -10, Double.POSITIVE_INFINITY);
    }

    private Course course(Lab lab, Training training) {
        Task.Start start = lab.start(task, training.seed());
        ComputationGraph network = lab.prepare(training);
        int looks = lab.isBrief() ? 1 : training.epochs() / EVERY;
        double[] learned = new double[looks + 1];
        double[] kept = new double[looks + 1];
        for (int look = 0; look <= looks; look++) {
            if (look > 0) {
                network.fit(new ExistingDataSetIterator(start.batches()), EVERY);
            }
            learned[look] = start.learned(network);
            kept[look] = start.kept(network);
        }
        return new Course(learned, kept, !training.method().name().startsWith("LoRA") || givesBack(network, start));
    }

    private static boolean givesBack(ComputationGraph network, Task.Start start) {
        INDArray questions = start.batches().get(0).getFeatures();
        INDArray answers = start.base().outputSingle(questions);
        try (LoRA.Scope off = LoRA.disabled(network)) {
            return answers.equalsWithEps(network.outputSingle(questions), 0);
        }
    }

    private static double[] means(List<double[]> courses, int points) {
        return IntStream.range(0, points).mapToDouble(i -> courses.stream().mapToDouble(course -> course[i]).average()
                .orElseThrow()).toArray();
    }
}
