package io.github.dl4jlora.examples;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;

import java.io.PrintWriter;
import java.util.Locale;

/** One line for one training: on a terminal it is rewritten after every epoch, elsewhere printed once, at the end. */
public final class ProgressLine extends BaseTrainingListener {

    private final PrintWriter out;
    private final boolean terminal;
    private final String training;
    private final int epochs;
    private final long start = System.nanoTime();
    private int done;

    public ProgressLine(PrintWriter out, boolean terminal, String training, int epochs) {
        this.out = out;
        this.terminal = terminal;
        this.training = training;
        this.epochs = epochs;
    }

    @Override
    public void onEpochEnd(Model model) {
        done++;
        boolean last = done == epochs;
        if (terminal || last) {
            out.printf(Locale.ROOT, "%s  %-16s epoch %d of %d, loss %.4f, %.1f s%s", terminal ? "\r" : "", training, done, epochs,
                    model.score(), (System.nanoTime() - start) / 1e9, last ? System.lineSeparator() : "");
            out.flush();
        }
    }
}
