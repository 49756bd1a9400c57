package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Plot;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Trained;
import io.github.dl4jlora.evidence.Training;
import io.github.dl4jlora.examples.Spread;
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
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.IntStream;

/** LoRA adds strong singular vectors to weights that are unlike any of the base's; full fine-tuning does not. */
public record Intruders(List<Setting> settings) implements Claim {

    private static final int[] RANKS = {1, 8, 32};
    /** The paper's intruders: those of the first 10 vectors whose cosine with every vector of the base is below 0.5. */
    private static final int FIRST = 10;
    private static final double ALIKE = 0.5;
    /** A mean number of intruders per layer up to this counts as none. */
    private static final double NONE = 0.1;
    private static final int DRAWN = 40;

    /**
     * One task.
     *
     * @param layers whose weights are examined
     * @param rates  of LoRA at ranks 1, 8 and 32, and last of full fine-tuning
     * @param ofFull how many intruders full fine-tuning leaves here at most
     */
    public record Setting(Task task, List<String> layers, double[] rates, int seeds, double ofFull) {

        private Map<Method, Double> methods() {
            Map<Method, Double> methods = new LinkedHashMap<>();
            for (int i = 0; i < RANKS.length; i++) {
                methods.put(Method.lora(RANKS[i]), rates[i]);
            }
            methods.put(Method.full(), rates[RANKS.length]);
            return methods;
        }
    }

    /**
     * The singular vectors of some trained layers, the strongest first.
     *
     * @param alike     the largest cosine of each with any of the base's, mean of the layers
     * @param intruders among the first ones, mean of the layers
     */
    private record Spectrum(Training training, double[] alike, double intruders, double learned) {
    }

    /** {@return the setting of digits, at the best rates} */
    public static Setting digits(Task task) {
        return new Setting(task, List.of("fc2", "fc3"), new double[] {2e-3, 2e-3, 4e-3, 4e-3}, 3, FIRST);
    }

    @Override
    public Statement statement() {
        return new Statement("intruders",
                "Weights that LoRA has changed have strong singular vectors that are like none of the base's; those that full "
                        + "fine-tuning has changed have none",
                new Source("Shuttleworth et al. 2024, \"LoRA vs Full Fine-tuning: An Illusion of Equivalence\"", "2410.21228"),
                "RoBERTa and Llama 2: matrices that LoRA has changed have intruders among their strongest singular vectors, "
                        + "which have a small cosine with every one of the base's; those of full fine-tuning have none.");
    }

    @Override
    public Finding examine(Lab lab) {
        Finding finding = new Finding();
        List<List<String>> rows = new ArrayList<>();
        settings.forEach(setting -> examine(lab, setting, finding, rows));
        return finding.table(List.of("task", "method", "rate", "intruders among the first 10", "learned"), rows).text("An "
                + "intruder's cosine with every left singular vector of the base's matrix is below " + ALIKE + ".");
    }

    private static void examine(Lab lab, Setting setting, Finding finding, List<List<String>> rows) {
        String name = setting.task.name();
        List<Training> trainings = Training.atRates(setting.task, setting.methods(), lab.seeds(setting.seeds));
        // All methods have the same base for a seed.
        Map<String, RealMatrix> ofBases = new ConcurrentHashMap<>();
        List<Spectrum> spectra = lab.each(trainings, training -> spectrum(lab, training, setting.layers, layer ->
                ofBases.computeIfAbsent(training.seed() + " " + layer, key ->
                        left(lab.start(training.task(), training.seed()).base(), layer))));
        Plot plot = Plot.curves("How like the base's a trained layer's singular vectors are, " + name,
                "singular vector, strongest first", "largest cosine with one of the base's");
        Map<Method, Spread> intruders = new LinkedHashMap<>();
        setting.methods().forEach((method, rate) -> {
            List<Spectrum> some = spectra.stream().filter(of -> of.training.method().equals(method)).toList();
            plot.line(method.name(), IntStream.rangeClosed(1, DRAWN).asDoubleStream().toArray(),
                    IntStream.range(0, DRAWN).mapToDouble(i -> some.stream().mapToDouble(of -> of.alike[i]).average()
                            .orElseThrow()).toArray());
            intruders.put(method, Spread.of(some, Spectrum::intruders));
            rows.add(List.of(name, method.name(), String.format(Locale.ROOT, "%.0e", rate), intruders.get(method).toString(1),
                    Spread.of(some, Spectrum::learned).toString(1)));
        });
        finding.plot("intruders-" + Finding.file(name), plot);
        double ofLora = intruders.get(Method.lora(RANKS[1])).mean();
        double ofFull = intruders.get(Method.full()).mean();
        finding.check(name + ": intruders among the first ten of a layer, LoRA of rank 8", "several", ofLora,
                new Interval(1, FIRST), new Interval(NONE, FIRST));
        if (ofFull > NONE) {
            finding.text(name + ": full fine-tuning has them too. The base is a small network not far from its random start; its "
                    + "singular values lie close together, and any change of W mixes the vectors that belong to them.");
        }
        finding.check(name + ": the same, full fine-tuning", "0", ofFull, new Interval(0, NONE), new Interval(0, setting.ofFull));
    }

    private static Spectrum spectrum(Lab lab, Training training, List<String> layers, Function<String, RealMatrix> ofBase) {
        ComputationGraph network = lab.prepare(training);
        Trained trained = lab.train(training, network);
        ComputationGraph merged = network.getLayer(layers.get(0)).getParam("W") == null ? LoRA.merge(network) : network;
        double[] alike = new double[DRAWN];
        double intruders = 0;
        for (String layer : layers) {
            RealMatrix cosines = ofBase.apply(layer).transpose().multiply(left(merged, layer));
            for (int i = 0; i < DRAWN; i++) {
                double most = Arrays.stream(cosines.getColumn(i)).map(Math::abs).max().orElseThrow();
                alike[i] += most / layers.size();
                intruders += i < FIRST && most < ALIKE ? 1.0 / layers.size() : 0;
            }
        }
        return new Spectrum(training, alike, intruders, trained.learned());
    }

    /** Left singular vectors, one per column. */
    private static RealMatrix left(ComputationGraph network, String layer) {
        return new SingularValueDecomposition(new Array2DRowRealMatrix(network.getLayer(layer).getParam("W").toDoubleMatrix()))
                .getU();
    }
}
