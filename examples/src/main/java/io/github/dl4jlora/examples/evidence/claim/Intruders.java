package io.github.dl4jlora.examples.evidence.claim;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.examples.evidence.Claim;
import io.github.dl4jlora.examples.evidence.Finding;
import io.github.dl4jlora.examples.evidence.Lab;
import io.github.dl4jlora.examples.evidence.Method;
import io.github.dl4jlora.examples.evidence.Plot;
import io.github.dl4jlora.examples.evidence.Spread;
import io.github.dl4jlora.examples.evidence.Task;
import io.github.dl4jlora.examples.evidence.Trained;
import io.github.dl4jlora.examples.evidence.Training;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/** LoRA puts strong singular vectors into weights that are like none of the base's, full fine-tuning does not. */
public final class Intruders implements Claim {

    private static final int SEEDS = 3;
    /** Of the paper: among the first 10 vectors, those whose cosine with every vector of the base is below 0.5. */
    private static final int FIRST = 10;
    private static final double ALIKE = 0.5;
    private static final int DRAWN = 40;
    private static final List<String> LAYERS = List.of("fc2", "fc3");

    private final Task task;

    /**
     * The singular vectors of some trained layers, the strongest first.
     *
     * @param alike the largest cosine of each with any of the base's, mean of the layers
     */
    private record Spectrum(Training training, double[] alike, double intruders, Trained trained) {
    }

    public Intruders(Task task) {
        this.task = task;
    }

    @Override
    public String id() {
        return "intruders";
    }

    @Override
    public String says() {
        return "Weights that LoRA has changed have strong singular vectors that are like none of the base's; those that full "
                + "fine-tuning has changed have none";
    }

    @Override
    public Source source() {
        return new Source("Shuttleworth et al. 2024, \"LoRA vs Full Fine-tuning: An Illusion of Equivalence\"", "2410.21228");
    }

    @Override
    public String published() {
        return "RoBERTa and Llama 2: with LoRA several of the first ten singular vectors of a matrix are intruders, which have a cosine "
                + "below 0.5 with every one of the base's; with full fine-tuning none. Low ranks have more strength in them.";
    }

    @Override
    public Finding examine(Lab lab) {
        Map<Method, Double> methods = new LinkedHashMap<>();
        methods.put(Method.lora(1), 2e-3);
        methods.put(Method.lora(8), 2e-3);
        methods.put(Method.lora(32), 4e-3);
        methods.put(Method.full(), 4e-3);
        List<Training> trainings = methods.entrySet().stream().flatMap(entry -> Arrays.stream(lab.seeds(SEEDS)).mapToObj(seed ->
                new Training(task, entry.getKey(), entry.getValue(), seed))).toList();
        List<Spectrum> spectra = lab.each(trainings, training -> spectrum(lab, training));
        Plot plot = Plot.curves("How like the base's a trained layer's singular vectors are", "singular vector, strongest first",
                "largest cosine with one of the base's");
        List<List<String>> rows = new ArrayList<>();
        Map<Method, Spread> intruders = new LinkedHashMap<>();
        methods.forEach((method, rate) -> {
            List<Spectrum> some = spectra.stream().filter(of -> of.training.method().equals(method)).toList();
            plot.line(method.name(), IntStream.rangeClosed(1, DRAWN).asDoubleStream().toArray(),
                    IntStream.range(0, DRAWN).mapToDouble(i -> some.stream().mapToDouble(of -> of.alike[i]).average()
                            .orElseThrow()).toArray());
            intruders.put(method, Spread.of(some.stream().map(Spectrum::intruders).toList()));
            rows.add(List.of(method.name(), String.format(Locale.ROOT, "%.0e", rate), intruders.get(method).toString(1),
                    Spread.of(some.stream().map(of -> of.trained.learned()).toList()).toString(1)));
        });
        Finding finding = new Finding().plot("intruders", plot).table(List.of("method", "rate",
                "intruders among the first 10", "learned, %"), rows);
        finding.check("intruders among the first ten of a layer, LoRA of rank 8", "several", intruders.get(Method.lora(8)).mean(),
                1, FIRST);
        return finding.check("the same, full fine-tuning", "0", intruders.get(Method.full()).mean(), 0, 0.5);
    }

    private Spectrum spectrum(Lab lab, Training training) {
        ComputationGraph network = lab.prepare(training);
        Trained trained = lab.train(training, network);
        ComputationGraph merged = network.getLayer(LAYERS.get(0)).getParam("W") == null ? LoRA.merge(network) : network;
        ComputationGraph base = lab.start(task, training.seed()).base();
        double[] alike = new double[DRAWN];
        double intruders = 0;
        for (String layer : LAYERS) {
            RealMatrix cosines = left(base, layer).transpose().multiply(left(merged, layer));
            for (int i = 0; i < DRAWN; i++) {
                double most = Arrays.stream(cosines.getColumn(i)).map(Math::abs).max().orElseThrow();
                alike[i] += most / LAYERS.size();
                intruders += i < FIRST && most < ALIKE ? 1.0 / LAYERS.size() : 0;
            }
        }
        return new Spectrum(training, alike, intruders, trained);
    }

    /** Singular vectors, one a column. */
    private static RealMatrix left(ComputationGraph network, String layer) {
        return new SingularValueDecomposition(new Array2DRowRealMatrix(network.getLayer(layer).getParam("W").toDoubleMatrix()))
                .getU();
    }
}
