package io.github.dl4jlora.console;

import java.nio.file.InvalidPathException;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A file name with characters that this JVM's encoding of file names lacks. Java's own message does not say what to do. */
public final class UnreadableName {

    /** The beginning of Java's reason. */
    private static final String UNMAPPABLE = "Malformed input";
    private static final Pattern QUOTED = Pattern.compile("cannot convert '(.*)' to .*\\(java\\.nio\\.file\\."
            + "InvalidPathException: (.*?): ", Pattern.DOTALL);
    private static final char REPLACED = '\ufffd';

    private UnreadableName() {
    }

    /** {@return the message, if such a name caused the failure} */
    public static Optional<String> in(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            if (cause instanceof InvalidPathException path) {
                return Optional.of(words(path));
            }
        }
        // Picocli quotes the exception, but does not always set it as the cause.
        Matcher quoted = QUOTED.matcher(String.valueOf(failure.getMessage()));
        return quoted.find() ? Optional.of(words(new InvalidPathException(quoted.group(1), quoted.group(2)))) : Optional.empty();
    }

    private static String words(InvalidPathException path) {
        String name = "'" + path.getInput().replace(REPLACED, '?').replaceAll("\\p{Cntrl}", "?") + "' is not a file name";
        return !path.getReason().startsWith(UNMAPPABLE) ? name + ": " + path.getReason()
                : name + " here: this Java writes file names in " + System.getProperty("sun.jnu.encoding") + ", which lacks "
                + "some of its characters. Set the environment variable LC_ALL to C.UTF-8, or to another locale with UTF-8";
    }
}
