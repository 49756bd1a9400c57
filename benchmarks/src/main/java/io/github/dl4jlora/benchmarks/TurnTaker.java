package io.github.dl4jlora.benchmarks;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Timer;
import java.util.TimerTask;

/** A child process that has warmed up and waits for its turns. */
final class TurnTaker implements AutoCloseable {

    private static final Timer TIMER = new Timer(true);

    private final Process process;
    private final BufferedReader output;
    private final StringBuilder printed = new StringBuilder();

    /** Waits until the process has warmed up. */
    TurnTaker(ProcessBuilder builder) {
        try {
            process = builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        output = process.inputReader();
        try {
            result();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** {@return the figures of a turn} */
    double[] turn() {
        try {
            process.outputWriter().write("turn\n");
            process.outputWriter().flush();
        } catch (IOException e) {
            throw new IllegalStateException("The process ended early:\n" + printed, e);
        }
        return Measurements.numbers(result().strip().split(" "));
    }

    /** {@return what stands behind the next {@link Child#RESULT}} */
    private String result() {
        TimerTask end = new TimerTask() {
            @Override
            public void run() {
                printed.append("Not finished after ").append(Child.MINUTES).append(" minutes\n");
                process.destroyForcibly();
            }
        };
        TIMER.schedule(end, Child.MINUTES * 60_000L);
        try {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                if (line.startsWith(Child.RESULT)) {
                    return line.substring(Child.RESULT.length());
                }
                printed.append(line).append('\n');
            }
        } catch (IOException e) {
            throw new UncheckedIOException(printed.toString(), e);
        } finally {
            end.cancel();
        }
        throw new IllegalStateException("The process ended without a result:\n" + printed);
    }

    @Override
    public void close() {
        process.destroyForcibly();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
