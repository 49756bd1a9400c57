package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.console.InputMessage;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.machine.Threads;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine;

/** Converts BERT-base, adapts it, and has it fill in masked words. */
@Command(name = "bert", subcommands = {ConvertCommand.class, FillCommand.class, AdaptCommand.class},
        description = "BERT-base, or another masked language model: converts it, adapts it, fills in masked words.")
public final class BertExample {

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    private BertExample() {
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new BertExample()).setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(new UsageMessage("-Pbert -pl examples/models"))
                .setExecutionExceptionHandler(new InputMessage());
    }
}
