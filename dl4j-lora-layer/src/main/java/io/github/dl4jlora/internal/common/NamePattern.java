package io.github.dl4jlora.internal.common;

import java.util.Collection;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** Regular expressions for names of layers. */
public final class NamePattern {

    private NamePattern() {
    }

    /**
     * Compiles a regular expression.
     *
     * @param setting what it was given to, for messages: {@code targets}
     * @param pattern a regular expression of a whole name
     * @return the compiled expression
     * @throws NullPointerException     for null
     * @throws IllegalArgumentException if it is no regular expression
     */
    public static Pattern of(String setting, String pattern) {
        if (pattern == null) {
            throw new NullPointerException(setting + "(null): give a regular expression that matches names of layers");
        }
        try {
            return Pattern.compile(pattern);
        } catch (PatternSyntaxException e) {
            throw new IllegalArgumentException(setting + "(\"" + pattern + "\") is not a regular expression: "
                    + e.getDescription() + ". To match a name literally, quote it with Pattern.quote", e);
        }
    }

    /** {@return regular expressions that match these names and no others} */
    public static String[] quoted(Collection<String> names) {
        return names.stream().map(Pattern::quote).toArray(String[]::new);
    }
}
