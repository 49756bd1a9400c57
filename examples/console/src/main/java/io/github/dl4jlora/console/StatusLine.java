package io.github.dl4jlora.console;

import java.io.PrintWriter;
import java.util.function.IntSupplier;
import java.util.function.Supplier;

/**
 * A line that shows progress, on a terminal only. It is rewritten in place several times a second, so that a clock in it moves
 * during a long step; it is cut to the terminal's width, and removed when the work ends or the program is terminated.
 */
public final class StatusLine {

    private static final long MILLIS_BETWEEN = 200;
    private static final int DRAWINGS_BETWEEN_QUESTIONS = 5;
    private static final String CUT = "...";
    private static final int END = 16;

    /** The line that was shown last, for others that print to the same stream. */
    private static volatile StatusLine current;

    private final PrintWriter errors;
    private final boolean terminal;
    private final IntSupplier columns;
    private Supplier<String> state;
    private Thread clock;
    private Thread hook;
    private int drawings;
    private int width;
    private int shown;

    /** A line on the standard error stream. */
    public StatusLine(PrintWriter errors) {
        this(errors, Terminal.ERRORS.isThere(), Terminal.ERRORS::columns);
    }

    /**
     * @param terminal whether to show anything
     * @param columns  supplies the terminal's width, which may change
     */
    StatusLine(PrintWriter errors, boolean terminal, IntSupplier columns) {
        this.errors = errors;
        this.terminal = terminal;
        this.columns = columns;
    }

    /** {@return whether there is a terminal to show it on} Where there is none, a long task prints lines instead. */
    public boolean isShown() {
        return terminal;
    }

    /** Shows a state until the next call; {@code text} is asked again whenever the line is drawn. */
    public synchronized void show(Supplier<String> text) {
        if (!terminal) {
            return;
        }
        state = text;
        current = this;
        if (clock == null) {
            hook = new Thread(this::clear, "status line");
            try {
                Runtime.getRuntime().addShutdownHook(hook);
            } catch (IllegalStateException ending) {
                return;
            }
            clock = new Thread(this::tick, "status line's clock");
            clock.setDaemon(true);
            clock.start();
        }
        draw();
    }

    private synchronized void tick() {
        try {
            while (Thread.currentThread() == clock) {
                draw();
                wait(MILLIS_BETWEEN);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void draw() {
        if (drawings++ % DRAWINGS_BETWEEN_QUESTIONS == 0) {
            width = columns.getAsInt();
        }
        // A character in the last column would make some terminals begin another line.
        String text = fitting(state.get(), width - 1);
        errors.print("\r" + text + " ".repeat(Math.max(0, Math.min(shown, width - 1) - text.length())));
        errors.flush();
        shown = text.length();
    }

    /** Cuts out a part before the end, since a file's name is often at the end. */
    private static String fitting(String text, int most) {
        if (text.length() <= most) {
            return text;
        }
        int end = Math.max(0, Math.min(END, most / 3));
        return most <= CUT.length() ? text.substring(0, Math.max(0, most))
                : text.substring(0, most - CUT.length() - end) + CUT + text.substring(text.length() - end);
    }

    private String blank() {
        return shown == 0 ? "" : "\r" + " ".repeat(Math.min(shown, Math.max(0, width - 1))) + "\r";
    }

    /** What any other line on the error stream must begin with, so that it does not continue the status line. */
    static String makeRoom() {
        StatusLine line = current;
        return line == null ? "" : line.leave();
    }

    private synchronized String leave() {
        String blank = blank();
        shown = 0;
        return blank;
    }

    /** Removes the line. */
    public synchronized void clear() {
        if (clock != null) {
            clock = null;
            notifyAll();
            errors.print(blank());
            errors.flush();
            shown = 0;
            try {
                Runtime.getRuntime().removeShutdownHook(hook);
            } catch (IllegalStateException e) {
                // The program is being terminated, and the hook made this call.
            }
        }
    }
}
