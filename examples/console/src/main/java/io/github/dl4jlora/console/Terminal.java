package io.github.dl4jlora.console;

import java.io.Console;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;

/**
 * The terminal, if any, that a standard stream of this program is connected to. Java does not tell: {@code System.console()}
 * covers input and output together up to JDK 21, and always exists from JDK 22 on. So the system is asked: on Linux, what the
 * descriptor links to; and where there is a shell, {@code stty} for the width, since no environment variable follows a resized
 * window.
 */
public enum Terminal {

    /** The standard output stream. */
    OUTPUT(1, "stty size <&1 >&2"),

    /** The standard error stream. */
    ERRORS(2, "stty size <&2 2>/dev/null");

    /** The width if the terminal's is unknown. */
    public static final int USUAL_COLUMNS = 80;

    private static final String NONE = "";
    private static final int PATIENCE_SECONDS = 10;

    private final Path link;
    private final String question;

    Terminal(int descriptor, String question) {
        this.link = Path.of("/proc/self/fd/" + descriptor);
        this.question = question;
    }

    /** Whether the stream is connected to a terminal. */
    public boolean isThere() {
        return ask().isPresent();
    }

    /** How many characters fit into a line now. */
    public int columns() {
        int told = ask().orElse(0);
        return told > 0 ? told : fromEnvironment(System.getenv("COLUMNS"));
    }

    static int fromEnvironment(String columns) {
        return columns != null && columns.matches("[1-9]\\d{0,4}") ? Integer.parseInt(columns) : USUAL_COLUMNS;
    }

    /** Empty if the stream is not a terminal, 0 if the terminal does not know its width. */
    private OptionalInt ask() {
        String file = NONE;
        try {
            file = Files.readSymbolicLink(link).toString();
        } catch (IOException | UnsupportedOperationException e) {
            // Not Linux, or /proc is hidden: the shell is asked.
        }
        if (!file.equals(NONE) && !file.startsWith("/dev/pts/") && !file.startsWith("/dev/tty") && !file.equals("/dev/console")) {
            return OptionalInt.empty();
        }
        try {
            return answer();
        } catch (IOException e) {
            return isConsole() ? OptionalInt.of(0) : OptionalInt.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return OptionalInt.empty();
        }
    }

    private OptionalInt answer() throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder("/bin/sh", "-c", question);
        Process stty = (this == OUTPUT ? builder.redirectOutput(ProcessBuilder.Redirect.INHERIT)
                : builder.redirectError(ProcessBuilder.Redirect.INHERIT)).start();
        try {
            stty.getOutputStream().close();
            if (!stty.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS) || stty.exitValue() != 0) {
                return OptionalInt.empty();
            }
            byte[] said = (this == OUTPUT ? stty.getErrorStream() : stty.getInputStream()).readAllBytes();
            String[] rowsAndColumns = new String(said, StandardCharsets.US_ASCII).strip().split(" ");
            return OptionalInt.of(rowsAndColumns.length == 2 ? Integer.parseInt(rowsAndColumns[1]) : 0);
        } catch (NumberFormatException e) {
            return OptionalInt.of(0);
        } finally {
            stty.destroy();
        }
    }

    /** For systems without a shell; in doubt, the stream counts as no terminal. */
    private static boolean isConsole() {
        Console console = System.console();
        if (console == null) {
            return false;
        }
        try {
            return (boolean) Console.class.getMethod("isTerminal").invoke(console);
        } catch (NoSuchMethodException e) {
            return true;
        } catch (ReflectiveOperationException e) {
            return false;
        }
    }
}
