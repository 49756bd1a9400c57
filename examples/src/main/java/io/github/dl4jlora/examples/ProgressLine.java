package io.github.dl4jlora.examples;

import io.github.dl4jlora.console.StatusLine;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;

import java.io.PrintWriter;
import java.util.Locale;

/** Shows a training's progress on a {@link StatusLine}, and prints the result to the standard output stream at the end. */
public final class ProgressLine extends BaseTrainingListener {

    private final PrintWriter out;
    private final StatusLine line;
    private final String training;
    private final int epochs;
    private final long start = System.nanoTime();
    private int done;
    private double losses;
    private int steps;
    private double loss = Double.NaN;

    public ProgressLine(PrintWriter out, StatusLine line, String training, int epochs) {
        this.out = out;
        this.line = line;
        this.training = training;
        this.epochs = epochs;
        line.show(this::state);
    }

    private synchronized String state() {
        return String.format(Locale.ROOT, "  %-16s epoch %d of %d, %s%.1f s", training, Math.min(done + 1, epochs), epochs,
                Double.isNaN(loss) ? "" : String.format(Locale.ROOT, "mean loss %.4f, ", loss),
                (System.nanoTime() - start) / 1e9);
    }

    @Override
    public synchronized void iterationDone(Model model, int iteration, int epoch) {
        losses += model.score();
        steps++;
    }

    @Override
    public void onEpochEnd(Model model) {
        synchronized (this) {
            done++;
            loss = losses / steps;
            losses = 0;
            steps = 0;
        }
        if (done == epochs) {
            line.clear();
            out.println(state());
            out.flush();
        }
    }
}
