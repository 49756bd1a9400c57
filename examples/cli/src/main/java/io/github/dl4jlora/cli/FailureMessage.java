package io.github.dl4jlora.cli;

import io.github.dl4jlora.console.UnreadableName;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine;

import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;

/** What is printed when a command fails: one message, no stack trace unless asked for, exit code 1. */
final class FailureMessage implements IExecutionExceptionHandler {

    static final String STACK_TRACE = "--stacktrace";

    @Override
    public int handleExecutionException(Exception failure, CommandLine command, ParseResult arguments) {
        String message = message(failure, command.getCommandSpec().findOption("--base") != null);
        command.getErr().println(command.getCommandSpec().qualifiedName() + ": " + Wording.of(message));
        if (command.getParseResult().hasMatchedOption(STACK_TRACE)) {
            failure.printStackTrace(command.getErr());
        }
        command.getErr().flush();
        return CommandLine.ExitCode.SOFTWARE;
    }

    /** @param takesBase whether the command has the option {@code --base} */
    static String message(Throwable failure, boolean takesBase) {
        if (failure instanceof FrozenWeightsMissingException) {
            // The rest of the library's message says what to call in Java.
            return failure.getMessage().replaceFirst("(?s): nothing in this JVM .*", "")
                    + ": this is a checkpoint without its base. " + (takesBase ? "Name the network that it was made from with "
                    + "--base FILE" : "Use a file that LoRA.save wrote, or the network that it was made from");
        }
        if (failure instanceof InvalidPathException) {
            return UnreadableName.in(failure).orElseThrow();
        }
        if (failure instanceof NoSuchFileException file) {
            return file.getFile() + " does not exist. Check the name";
        }
        if (failure instanceof AccessDeniedException file) {
            return file.getFile() + " cannot be read or written: permission denied. Change its permissions, or name another file";
        }
        if (failure instanceof FileSystemException file) {
            return file.getFile() + ": " + (file.getReason() == null ? file.getClass().getSimpleName() : file.getReason());
        }
        return failure.getMessage() == null ? "internal error, " + failure.getClass().getSimpleName()
                + ". Run the command again with " + STACK_TRACE + ", and report the output" : failure.getMessage();
    }
}
