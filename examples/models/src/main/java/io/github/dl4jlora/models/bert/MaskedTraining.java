package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.console.StatusLine;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.MultiDataSet;
import picocli.CommandLine;

import java.util.List;
import java.util.Locale;
import java.util.function.IntFunction;

/** Trains with other masks in each epoch, and shows its progress: without a terminal by a line for each tenth of an epoch. */
final class MaskedTraining {

    private static final int LINES_OF_EPOCH = 10;

    private final ComputationGraph network;
    private final CommandLine line;
    private final StatusLine status;
    private final long start = System.nanoTime();
    private volatile String state = "  step 1";

    MaskedTraining(ComputationGraph network, CommandLine line) {
        this.network = network;
        this.line = line;
        this.status = new StatusLine(line.getErr());
    }

    /** @return seconds it took */
    double run(IntFunction<List<MultiDataSet>> batches, int epochs) {
        status.show(() -> String.format(Locale.ROOT, "%s, %.1f s", state, seconds()));
        for (int epoch = 0; epoch < epochs; epoch++) {
            List<MultiDataSet> all = batches.apply(epoch);
            double losses = 0;
            for (int step = 0; step < all.size(); step++) {
                network.fit(all.get(step));
                losses += network.score();
                state = String.format(Locale.ROOT, "  epoch %d of %d, step %d of %d, mean loss %.3f", epoch + 1, epochs, step + 1,
                        all.size(), losses / (step + 1));
                if (!status.isShown() && isTenth(step, all.size())) {
                    print();
                }
            }
            status.clear();
            print();
        }
        return seconds();
    }

    /** The last step of an epoch has a line on a terminal, too. */
    private static boolean isTenth(int step, int steps) {
        return step + 1 < steps && (step + 1) * LINES_OF_EPOCH / steps > step * LINES_OF_EPOCH / steps;
    }

    private void print() {
        line.getOut().printf(Locale.ROOT, "%s, %.1f s%n", state, seconds());
        line.getOut().flush();
    }

    private double seconds() {
        return (System.nanoTime() - start) / 1e9;
    }
}
