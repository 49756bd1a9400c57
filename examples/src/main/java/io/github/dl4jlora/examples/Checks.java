package io.github.dl4jlora.examples;

import org.nd4j.linalg.api.ndarray.INDArray;
import picocli.CommandLine;

import java.util.Arrays;

/** Checks what an example claims about adapters, and prints one line for each claim. */
public final class Checks {

    private final CommandLine line;
    private boolean passed = true;

    /** @param line the example's command line, whose output gets the results */
    public Checks(CommandLine line) {
        this.line = line;
    }

    /** Prints whether a claim holds; one that does not makes {@link #exitCode} 1. */
    public void check(String what, boolean ok) {
        line.getOut().println((ok ? "ok      " : "FAILED  ") + what);
        passed &= ok;
    }

    /** {@return 0 if all checks passed, else 1, after a line on the error stream} */
    public int exitCode() {
        line.getOut().flush();
        if (!passed) {
            line.getErr().println(line.getCommandName() + ": a check failed, see FAILED above");
        }
        return passed ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }

    /** Compares exactly, unlike {@code INDArray.equals}, which tolerates rounding. */
    public static boolean sameBits(INDArray a, INDArray b) {
        return Arrays.equals(a.shape(), b.shape()) && Arrays.equals(a.dup('c').data().asFloat(), b.dup('c').data().asFloat());
    }
}
