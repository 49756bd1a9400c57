package io.github.dl4jlora.examples;

import picocli.CommandLine;

import java.io.IOException;
import java.util.Optional;

/** A command line as a program: fitted to the terminal, and failed if what it printed got lost. */
public final class Program {

    /** Lines that are longer are hard to read. */
    private static final int WIDEST = 120;
    /** Picocli's least. */
    private static final int NARROWEST = 55;

    private Program() {
    }

    /** The exit code. Help and tables are as wide as the terminal, or 80 columns where there is none. */
    public static int run(CommandLine line, String... arguments) {
        StandardOutput out = new StandardOutput();
        line.setOut(out.writer());
        line.setUsageHelpWidth(Terminal.OUTPUT.isThere() ? Math.max(NARROWEST, Math.min(WIDEST, Terminal.OUTPUT.columns()))
                : Terminal.USUAL_COLUMNS);
        return run(line, out, arguments);
    }

    static int run(CommandLine line, StandardOutput out, String... arguments) {
        int exitCode = line.execute(arguments);
        line.getOut().flush();
        Optional<IOException> failure = out.failure();
        // Who asks for a few lines, as head does, knows that the rest is lost.
        failure.filter(lost -> !"Broken pipe".equals(lost.getMessage())).ifPresent(lost -> {
            line.getErr().println(line.getCommandName() + ": what it prints could not be written: " + lost.getMessage());
            line.getErr().flush();
        });
        return failure.isPresent() && exitCode == CommandLine.ExitCode.OK ? CommandLine.ExitCode.SOFTWARE : exitCode;
    }

    /** How wide a command's tables may be. */
    public static int columns(CommandLine line) {
        return line.getUsageHelpWidth();
    }
}
