package io.github.dl4jlora.examples;

import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** At which learning rate each way is taught: the example's own, a given one, or one that a sweep finds for each. */
public final class RateOption {

    private static final int FEW_POINTS = 6;
    private static final int FEW_STEPS = 5;

    @ArgGroup
    private final Choice choice = new Choice();

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    private final Map<String, LearningRates> swept = new LinkedHashMap<>();

    private static final class Choice {

        @Option(names = "--learning-rate", paramLabel = "<rate>",
                description = "Learning rate of whatever is taught, instead of the example's own; the base keeps that.")
        private Double rate;

        @Option(names = "--sweep",
                description = "Tries learning rates for each way first, a few steps each, and teaches with what "
                + "LearningRateSweep suggests.")
        private boolean sweep;
    }

    /** The rate that is given, or the example's own. */
    public double or(double usual) {
        if (choice.rate == null) {
            return usual;
        }
        if (!(choice.rate > 0) || !Double.isFinite(choice.rate)) {
            throw new ParameterException(command.commandLine(), "--learning-rate is " + choice.rate
                    + ", but must be a finite number above 0");
        }
        return choice.rate;
    }

    boolean sweeps() {
        return choice.sweep;
    }

    /**
     * Gives a network the rate that a sweep suggests, if one is asked for.
     *
     * @param brief whether to show that it works rather than what a good rate is
     */
    public void find(String name, MultiLayerNetwork network, DataSetIterator data, boolean brief) {
        if (choice.sweep) {
            network.setLearningRate(find(name, LearningRateSweep.of(network), data, brief));
        }
    }

    /** As {@link #find(String, MultiLayerNetwork, DataSetIterator, boolean)}. */
    public void find(String name, ComputationGraph network, DataSetIterator data, boolean brief) {
        if (choice.sweep) {
            network.setLearningRate(find(name, LearningRateSweep.of(network), data, brief));
        }
    }

    private double find(String name, LearningRateSweep sweep, DataSetIterator data, boolean brief) {
        LearningRates rates = (brief ? sweep.points(FEW_POINTS).steps(FEW_STEPS) : sweep).run(data);
        swept.put(name, rates);
        command.commandLine().getOut().printf(Locale.ROOT, "  %-16s learning rate %.2e suggested, of %d from %.0e to %.0e; after "
                + "%d steps %.1e is best%n", name, rates.suggested(), rates.points().size(), rates.points().get(0).rate(),
                rates.points().get(rates.points().size() - 1).rate(), rates.steps(), rates.best().rate());
        command.commandLine().getOut().flush();
        return rates.suggested();
    }

    /** By the way's name. */
    public Map<String, LearningRates> swept() {
        return swept;
    }

    /** What the page says of it. */
    public String told(double usual) {
        return (swept.isEmpty() ? String.valueOf(or(usual)) : swept.entrySet().stream().map(entry ->
                String.format(Locale.ROOT, "%s %.2e", entry.getKey(), entry.getValue().suggested()))
                .collect(Collectors.joining(", ", "", ", swept"))) + ", Adam";
    }
}
