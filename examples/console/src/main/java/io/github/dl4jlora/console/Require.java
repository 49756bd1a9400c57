package io.github.dl4jlora.console;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What programs ask of the values of their options. A value that does not do is answered as wrong usage is. A value of null,
 * that of an option that is not given, always does.
 */
public final class Require {

    private Require() {
    }

    /** @throws ParameterException if the value is below 1 */
    public static void atLeastOne(CommandSpec command, String option, Integer value) {
        if (value != null && value < 1) {
            throw wrong(command, option + " is " + value + ", but must be at least 1");
        }
    }

    /** @throws ParameterException if the value is no finite number above 0, as a learning rate is */
    public static void aboveZero(CommandSpec command, String option, Double value) {
        if (value != null && (!(value > 0) || !Double.isFinite(value))) {
            throw wrong(command, option + " is " + value + ", but must be a finite number above 0");
        }
    }

    /** @throws ParameterException if there is a file in place of the folder; that there is nothing yet will do */
    public static void folder(CommandSpec command, String option, Path value) {
        if (value != null && Files.exists(value) && !Files.isDirectory(value)) {
            throw wrong(command, option + " " + value + " exists, but is not a folder");
        }
    }

    private static ParameterException wrong(CommandSpec command, String message) {
        return new ParameterException(command.commandLine(), message);
    }
}
