package io.github.dl4jlora.console;

import picocli.CommandLine;

import java.io.IOException;
import java.util.Optional;
import java.util.Set;

/** Runs a command line as a program: its output fits the terminal, and the program fails if output is lost. */
public final class Program {

    /** Longer lines are hard to read. */
    private static final int WIDEST = 120;
    /** Picocli's minimum. */
    private static final int NARROWEST = 55;

    /** What Linux and macOS say of a pipe that its reader has closed, and what Windows says. */
    private static final Set<String> CLOSED = Set.of("Broken pipe", "The pipe is being closed", "The pipe has been ended");

    private Program() {
    }

    /**
     * Runs a command line and returns the exit code. Help and tables are as wide as the terminal; without one they have as many
     * columns as the environment's COLUMNS says, or 80.
     */
    public static int run(CommandLine line, String... arguments) {
        StandardOutput out = new StandardOutput();
        line.setOut(out.writer());
        line.setUsageHelpWidth(Terminal.OUTPUT.isThere() ? Math.max(NARROWEST, Math.min(WIDEST, Terminal.OUTPUT.columns()))
                : Math.max(NARROWEST, Terminal.fromEnvironment(System.getenv("COLUMNS"))));
        return run(line, out, arguments);
    }

    static int run(CommandLine line, StandardOutput out, String... arguments) {
        int exitCode = line.execute(arguments);
        line.getOut().flush();
        Optional<IOException> failure = out.failure();
        // A reader such as head closes the pipe on purpose.
        failure.filter(lost -> !CLOSED.contains(String.valueOf(lost.getMessage()))).ifPresent(lost -> {
            line.getErr().println(line.getCommandName() + ": the output could not be written: " + lost.getMessage());
            line.getErr().flush();
        });
        return failure.isPresent() && exitCode == CommandLine.ExitCode.OK ? CommandLine.ExitCode.SOFTWARE : exitCode;
    }

    /** How wide a command's tables may be. */
    public static int columns(CommandLine line) {
        return line.getUsageHelpWidth();
    }
}
