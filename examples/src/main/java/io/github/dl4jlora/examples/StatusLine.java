package io.github.dl4jlora.examples;

import java.io.PrintWriter;

/** A line that says how far something is: on a terminal it is rewritten in place, elsewhere only its last state is printed. */
public final class StatusLine {

    private final PrintWriter out;
    private final boolean terminal;
    private int shown;

    public StatusLine(PrintWriter out, boolean terminal) {
        this.out = out;
        this.terminal = terminal;
    }

    public void show(String text) {
        if (terminal) {
            out.print("\r" + text + " ".repeat(Math.max(0, shown - text.length())));
            out.flush();
            shown = text.length();
        }
    }

    /** Shows the last state and ends the line. */
    public void end(String text) {
        show(text);
        out.println(terminal ? "" : text);
        out.flush();
    }

    /** Takes the line away. */
    public void clear() {
        if (terminal && shown > 0) {
            out.print("\r" + " ".repeat(shown) + "\r");
            out.flush();
            shown = 0;
        }
    }
}
