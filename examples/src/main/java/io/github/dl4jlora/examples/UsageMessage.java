package io.github.dl4jlora.examples;

import picocli.CommandLine;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.PrintWriter;

/** The answer to wrong usage: what is wrong, and how to get help. The whole help text would bury the message. Exit code 2. */
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

    /** Replaces the names of Java types in picocli's messages. */
    private static String words(String message) {
        return message.replaceFirst("' is not an? (int|long)$", "' is not a whole number")
                .replaceFirst("' is not a (double|float)$", "' is not a number");
    }
}
