package io.github.dl4jlora.console;

import picocli.CommandLine;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.PrintWriter;

/** The answer to wrong usage: what is wrong, and how to get help. The whole help text would bury the message. Exit code 2. */
public final class UsageMessage implements IParameterExceptionHandler {

    private final String maven;

    /** For a program that is run by its name. */
    public UsageMessage() {
        this("");
    }

    /**
     * For a program that Maven runs, by an execution of the program's name.
     *
     * @param maven the options of Maven that choose profile and module, such as {@code -Pspark -pl examples/spark}
     */
    public UsageMessage(String maven) {
        this.maven = maven;
    }

    @Override
    public int handleParseException(ParameterException wrong, String[] args) {
        CommandLine command = wrong.getCommandLine();
        PrintWriter err = command.getErr();
        err.println(command.getColorScheme().errorText(UnreadableName.in(wrong).orElse(words(wrong.getMessage()))));
        if (!UnmatchedArgumentException.printSuggestions(wrong, err) && wrong instanceof UnmatchedArgumentException
                && !command.getSubcommands().isEmpty()) {
            err.println("Commands: " + String.join(", ", command.getSubcommands().keySet()));
        }
        err.println("See " + help(command.getCommandSpec().qualifiedName()));
        err.flush();
        return CommandLine.ExitCode.USAGE;
    }

    /** The command that prints the help, as one types it. */
    private String help(String name) {
        int space = name.indexOf(' ');
        return maven.isEmpty() ? name + " --help"
                : "mvn -q " + maven + " -am compile exec:exec@" + (space < 0 ? name : name.substring(0, space)) + " -Dargs=\""
                + (space < 0 ? "" : name.substring(space + 1) + " ") + "--help\"";
    }

    /** Replaces the names of Java types in picocli's messages. */
    private static String words(String message) {
        return message.replaceFirst("' is not an? (int|long)$", "' is not a whole number")
                .replaceFirst("' is not a (double|float)$", "' is not a number");
    }
}
