package io.github.dl4jlora.examples;

import picocli.CommandLine;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.PrintWriter;

/** What is said to wrong usage: what is wrong, and where the help is. All of the help would bury the message. Exit code 2. */
public final class UsageMessage implements IParameterExceptionHandler {

    @Override
    public int handleParseException(ParameterException wrong, String[] args) {
        CommandLine command = wrong.getCommandLine();
        PrintWriter err = command.getErr();
        err.println(command.getColorScheme().errorText(UnreadableName.in(wrong).orElse(words(wrong.getMessage()))));
        if (!UnmatchedArgumentException.printSuggestions(wrong, err) && wrong instanceof UnmatchedArgumentException
                && !command.getSubcommands().isEmpty()) {
            err.println("Commands: " + String.join(", ", command.getSubcommands().keySet()));
        }
        err.println("See " + command.getCommandSpec().qualifiedName() + " --help");
        err.flush();
        return CommandLine.ExitCode.USAGE;
    }

    /** Without the names of Java's types, which are picocli's. */
    private static String words(String message) {
        return message.replaceFirst("' is not an? (int|long)$", "' is no whole number").replaceFirst("' is not a (double|float)$",
                "' is no number");
    }
}
