package io.github.dl4jlora.examples;

import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** The learning rate of each way: the example's own, a given one, or one that a sweep finds for each. */
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
                description = "Learning rate of all trainings after the base's. Default: the example's own.")
        private Double rate;

        @Option(names = "--sweep",
                description = "First tries several learning rates for each way, a few steps each, then trains with the rate "
                        + "that LearningRateSweep suggests.")
        private boolean sweep;
    }

    /** The given rate, or the example's own. */
    public double or(double usual) {
        Require.aboveZero(command, "--learning-rate", choice.rate);
        return choice.rate == null ? usual : choice.rate;
    }

    boolean sweeps() {
        return choice.sweep;
    }

    /**
     * Gives a network the rate that a sweep suggests, if one is asked for.
     *
     * @param brief whether a few rates and steps are enough, to show that it works
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

    /** By the name of the way. */
    public Map<String, LearningRates> swept() {
        return swept;
    }

    /** What the report says about the rate. */
    public String told(double usual) {
        return (swept.isEmpty() ? String.valueOf(or(usual)) : swept.entrySet().stream().map(entry ->
                String.format(Locale.ROOT, "%s %.2e", entry.getKey(), entry.getValue().suggested()))
                .collect(Collectors.joining(", ", "", ", swept"))) + ", Adam";
    }
}
