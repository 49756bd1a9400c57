package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.examples.ProgressLine;
import io.github.dl4jlora.examples.RateOption;
import io.github.dl4jlora.examples.StepTimer;
import io.github.dl4jlora.examples.UiOption;
import io.github.dl4jlora.report.page.ScoreHistory;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import picocli.CommandLine;

import java.util.List;
import java.util.Locale;

/**
 * Teaches a base in one way after the other, with the same data.
 *
 * @param rate the rate of each way
 * @param line where progress is printed
 */
record Teaching(ComputationGraph base, int rank, int epochs, boolean brief, RateOption rate, UiOption ui, CommandLine line) {

    /**
     * The cost and the result of a training.
     *
     * @param trained parameters
     */
    record Taught(ComputationGraph network, long trained, double seconds, ScoreHistory losses, Measure print,
                  Measure photographs) {
    }

    Taught teach(Way way, Material material, long seed) {
        ComputationGraph network = way.prepare(base, rank, rate.or(way.usualRate), seed);
        rate.find(way.title, network, new ExistingDataSetIterator(material.batches()), brief);
        StepTimer timer = new StepTimer();
        CollectScoresIterationListener losses = new CollectScoresIterationListener();
        network.setListeners(new ProgressLine(line.getOut(), new StatusLine(line.getErr()), way.title, epochs), timer, losses);
        ui.listeners(way.title).forEach(network::addListeners);
        network.fit(new ExistingDataSetIterator(material.batches()), epochs);
        network.setListeners(List.of());
        Measure print = Measure.of(material.print(), picture -> Enlarger.enlarge(network, picture));
        Measure photographs = Measure.of(material.photographs(), picture -> Enlarger.enlarge(network, picture));
        line.getOut().printf(Locale.ROOT, "  %-16s print %.2f dB, photographs %.2f dB%n", way.title, print.psnr(),
                photographs.psnr());
        line.getOut().flush();
        return new Taught(network, LoRA.summary(network).trainableParams(), timer.totalSeconds(), ScoreHistory.of(losses), print,
                photographs);
    }
}
