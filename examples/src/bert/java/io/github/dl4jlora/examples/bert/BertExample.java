package io.github.dl4jlora.examples.bert;

import io.github.dl4jlora.examples.InputMessage;
import io.github.dl4jlora.examples.Program;
import io.github.dl4jlora.examples.UsageMessage;
import io.github.dl4jlora.machine.Threads;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine;

/** BERT-base from its artifact to what it says. */
@Command(name = "bert", subcommands = {ConvertCommand.class, FillCommand.class, AdaptCommand.class},
        description = "BERT-base, or another masked language model: from its files to what it says.")
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
                .setParameterExceptionHandler(new UsageMessage()).setExecutionExceptionHandler(new InputMessage());
    }
}
