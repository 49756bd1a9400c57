package io.github.dl4jlora.cli;

import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.machine.Threads;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.IOException;
import java.util.concurrent.Callable;

/** What all commands have in common: help, {@code --json}, a progress bar on the terminal, and a message when memory runs out. */
@Command(sortOptions = false, descriptionHeading = "%n", parameterListHeading = "%nFiles:%n", optionListHeading = "%nOptions:%n",
        footerHeading = "%nExamples:%n", synopsisHeading = "Usage: ")
abstract class Work implements Callable<Integer> {

    @Option(names = "--json", order = 90, description = "Prints the result as one JSON object.")
    private boolean json;

    @Option(names = FailureMessage.STACK_TRACE, order = 91, description = "On failure, also prints the stack trace.")
    private boolean stackTrace;

    @Option(names = {"-h", "--help"}, order = 92, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    /**
     * Does the command's work.
     *
     * @param facts collects the result
     */
    abstract void run(Progress progress, Facts facts) throws IOException;

    /** Whether the command computes, and so needs threads that do not spin against each other. */
    boolean settlesThreads() {
        return true;
    }

    @Override
    public final Integer call() throws IOException {
        if (settlesThreads()) {
            Threads.settle();
        }
        CommandLine line = spec.commandLine();
        Progress progress = new Progress(new StatusLine(line.getErr()));
        Facts facts = new Facts();
        try {
            run(progress, facts);
        } catch (OutOfMemoryError e) {
            throw new IOException("Memory ran out (" + e.getMessage() + "). Give Java more: java -Xmx4g "
                    + "-Dorg.bytedeco.javacpp.maxbytes=16g -jar dl4j-lora.jar ...", e);
        } finally {
            progress.clear();
        }
        line.getOut().println(json ? facts.json() : facts.text(Program.columns(line)));
        line.getOut().flush();
        return CommandLine.ExitCode.OK;
    }

    final CommandSpec spec() {
        return spec;
    }

    /** @throws ParameterException with that message if the condition does not hold: wrong usage */
    final void require(boolean condition, String otherwise) {
        if (!condition) {
            throw new ParameterException(spec.commandLine(), otherwise);
        }
    }
}
