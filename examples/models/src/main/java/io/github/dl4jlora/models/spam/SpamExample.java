package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.console.InputMessage;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.machine.Threads;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine;

/** Fine-tunes all-MiniLM-L6-v2, or an encoder of the user's, to tell spam, on real e-mails, with LoRA and without. */
@Command(name = "spam", subcommands = {TrainCommand.class, ClassifyCommand.class},
        description = "Fine-tunes the sentence encoder all-MiniLM-L6-v2, or a BERT of yours, to tell spam from other e-mail.")
public final class SpamExample {

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
                .setParameterExceptionHandler(new UsageMessage("-Pminilm -pl examples/models"))
                .setExecutionExceptionHandler(new InputMessage());
    }
}
