package io.github.dl4jlora.examples;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;

import java.io.PrintWriter;
import java.util.Locale;

/** One {@link StatusLine} for one training, renewed after every epoch. */
public final class ProgressLine extends BaseTrainingListener {

    private final StatusLine line;
    private final String training;
    private final int epochs;
    private final long start = System.nanoTime();
    private int done;
    private double losses;
    private int steps;

    public ProgressLine(PrintWriter out, boolean terminal, String training, int epochs) {
        this.line = new StatusLine(out, terminal);
        this.training = training;
        this.epochs = epochs;
    }

    @Override
    public void iterationDone(Model model, int iteration, int epoch) {
        losses += model.score();
        steps++;
    }

    @Override
    public void onEpochEnd(Model model) {
        done++;
        String state = String.format(Locale.ROOT, "  %-16s epoch %d of %d, mean loss %.4f, %.1f s", training, done, epochs,
                losses / steps, (System.nanoTime() - start) / 1e9);
        losses = 0;
        steps = 0;
        if (done == epochs) {
            line.end(state);
        } else {
            line.show(state);
        }
    }
}
