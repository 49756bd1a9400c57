package io.github.dl4jlora.examples.project;

import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.UsageMessage;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.lang.reflect.InvocationTargetException;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/** Runs a program to copy, in the clone. */
@Command(name = "task", description = "Runs a program to copy, which -Dtask names.")
public final class RunTask implements Callable<Integer> {

    @Parameters(paramLabel = "<program>", description = "One of the programs to copy that README.md lists.")
    private String program;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private final Path clone;

    private RunTask(Path clone) {
        this.clone = clone;
    }

    public static void main(String[] args) {
        System.exit(Program.run(commandLine(Path.of("")), args));
    }

    /** @param clone its root */
    static CommandLine commandLine(Path clone) {
        return new CommandLine(new RunTask(clone)).setParameterExceptionHandler(new UsageMessage("-pl examples"));
    }

    @Override
    public Integer call() throws Exception {
        TaskProgram.require(clone, program, spec.commandLine());
        try {
            Class.forName(TaskProgram.className(program)).getMethod("main", String[].class).invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception thrown ? thrown : e;
        }
        return CommandLine.ExitCode.OK;
    }
}
