package io.github.dl4jlora.examples;

import java.nio.file.InvalidPathException;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A name of a file with letters that this JVM's encoding of names lacks: its own message tells nobody what to do. */
public final class UnreadableName {

    /** How Java's reason begins. */
    private static final String UNMAPPABLE = "Malformed input";
    private static final Pattern QUOTED = Pattern.compile("cannot convert '(.*)' to .*\\(java\\.nio\\.file\\."
            + "InvalidPathException: (.*?): ", Pattern.DOTALL);
    private static final char REPLACED = '\ufffd';

    private UnreadableName() {
    }

    /** {@return what is said of it, if a failure comes of such a name} */
    public static Optional<String> in(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            if (cause instanceof InvalidPathException path) {
                return Optional.of(words(path));
            }
        }
        // Picocli quotes it, and does not always name it as the cause.
        Matcher quoted = QUOTED.matcher(String.valueOf(failure.getMessage()));
        return quoted.find() ? Optional.of(words(new InvalidPathException(quoted.group(1), quoted.group(2)))) : Optional.empty();
    }

    private static String words(InvalidPathException path) {
        String name = "'" + path.getInput().replace(REPLACED, '?').replaceAll("\\p{Cntrl}", "?") + "' is no name of a file";
        return !path.getReason().startsWith(UNMAPPABLE) ? name + ": " + path.getReason()
                : name + " here: this Java writes names in " + System.getProperty("sun.jnu.encoding") + ", which lacks some of "
                + "its letters. Set the environment variable LC_ALL to C.UTF-8, or to another locale with UTF-8";
    }
}
