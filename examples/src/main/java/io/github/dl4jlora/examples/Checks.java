package io.github.dl4jlora.examples;

import org.nd4j.linalg.api.ndarray.INDArray;
import picocli.CommandLine;

import java.util.Arrays;

/** What an example claims of adapters, tried, and told in a line each. */
public final class Checks {

    private final CommandLine line;
    private boolean passed = true;

    /**
     * @param line of the example, where to tell
     */
    public Checks(CommandLine line) {
        this.line = line;
    }

    /** Says whether something holds, and makes {@link #exitCode} tell. */
    public void check(String what, boolean ok) {
        line.getOut().println((ok ? "ok      " : "FAILED  ") + what);
        passed &= ok;
    }

    /** {@return 0 if all held, else 1, with a line on the error stream} */
    public int exitCode() {
        line.getOut().flush();
        if (!passed) {
            line.getErr().println(line.getCommandName() + ": a check failed, see FAILED above");
        }
        return passed ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }

    /** Unlike {@code INDArray.equals}, which tolerates rounding. */
    public static boolean sameBits(INDArray a, INDArray b) {
        return Arrays.equals(a.shape(), b.shape()) && Arrays.equals(a.dup('c').data().asFloat(), b.dup('c').data().asFloat());
    }
}
