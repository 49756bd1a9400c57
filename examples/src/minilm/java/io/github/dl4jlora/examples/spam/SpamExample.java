package io.github.dl4jlora.examples.spam;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Threads;
import io.github.dl4jlora.examples.Program;
import io.github.dl4jlora.examples.UsageMessage;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.io.IOException;

/** Fine-tunes all-MiniLM-L6-v2 to tell spam, on real e-mails, with LoRA and without. */
@Command(name = "spam", subcommands = {TrainCommand.class, ClassifyCommand.class},
        description = "Fine-tunes the sentence encoder all-MiniLM-L6-v2 to tell spam from other e-mail.")
public final class SpamExample {

    static final String OUTPUT = "examples/target/spam";

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    private SpamExample() {
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new SpamExample()).setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(new UsageMessage()).setExecutionExceptionHandler(SpamExample::explain);
    }

    /** What the user can mend takes a message; anything else is a bug and takes its stack trace. */
    private static int explain(Exception e, CommandLine command, CommandLine.ParseResult result) throws Exception {
        if (!(e instanceof IOException)) {
            throw e;
        }
        command.getErr().println(command.getCommandName() + ": " + e.getMessage());
        return CommandLine.ExitCode.SOFTWARE;
    }
}
