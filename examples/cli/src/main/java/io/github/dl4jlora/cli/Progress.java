package io.github.dl4jlora.cli;

import io.github.dl4jlora.console.StatusLine;

import java.util.Locale;

/** A progress bar with the current step and a clock. */
final class Progress {

    private static final int WIDTH = 20;

    private final StatusLine line;
    private final long start = System.nanoTime();
    private int steps;
    private int begun;

    Progress(StatusLine line) {
        this.line = line;
    }

    /** Adds to the number of expected steps. */
    Progress expect(int more) {
        steps += more;
        return this;
    }

    /** The next step begins. */
    void step(String what) {
        int all = steps;
        int done = Math.min(begun++, all);
        int filled = all == 0 ? 0 : WIDTH * done / all;
        line.show(() -> String.format(Locale.ROOT, "[%s%s] %d of %d, %.1f s: %s", "#".repeat(filled), ".".repeat(WIDTH - filled),
                done, all, (System.nanoTime() - start) / 1e9, what));
    }

    void clear() {
        line.clear();
    }
}
