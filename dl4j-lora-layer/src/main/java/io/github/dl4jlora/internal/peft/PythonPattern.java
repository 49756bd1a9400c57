package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;

import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * A regular expression of Python's {@code re} as one of Java's. What both write alike and mean alike is taken over, what they
 * write differently is translated, and everything else is refused: a pattern that meant something else here would give
 * layers other ranks than in Python, without a word.
 *
 * <pre>
 * alike        literals  .  ^  $  |  (…)  (?:…)  (?=…)  (?!…)  (?&lt;=…)  (?&lt;!…)
 *              *  +  ?  {m}  {m,n}  lazy forms  \d \w \s \b …
 * translated   (?P&lt;name&gt;…)  (?P=name)  {,n}  [ and &amp;&amp; inside […]  { that begins no repetition  \Z
 * refused      flags, comments, conditions, possessive and atomic forms, \Q…\E, \p{…}, \G, \z, \R, \X, octal, …
 * </pre>
 */
final class PythonPattern {

    private static final String CLASSES = "dDwWsSbBA";
    private static final String CONTROLS = "nrtfv";
    private static final String LOOKS = ":=!";

    private final String python;
    private final StringBuilder java = new StringBuilder();
    private int at;

    private PythonPattern(String python) {
        this.python = python;
    }

    /**
     * {@return a pattern of a whole name, or of what follows a dot in it}
     *
     * @throws AdapterFormatException for one that is no regular expression, or has something that only one of the languages has
     */
    static Pattern ofEnd(String python) throws AdapterFormatException {
        return compile(python, "(.*\\.)?(", ")");
    }

    /**
     * {@return a pattern of a whole name}
     *
     * @throws AdapterFormatException as for {@link #ofEnd}
     */
    static Pattern ofWhole(String python) throws AdapterFormatException {
        return compile(python, "", "");
    }

    private static Pattern compile(String python, String before, String after) throws AdapterFormatException {
        String translated = new PythonPattern(python).translate();
        try {
            return Pattern.compile(before + translated + after, Pattern.UNICODE_CHARACTER_CLASS | Pattern.UNIX_LINES);
        } catch (PatternSyntaxException | StackOverflowError e) {
            throw new AdapterFormatException(PeftFolder.CONFIG + ": \"" + UntrustedJson.line(python)
                    + "\" is not a regular expression", e);
        }
    }

    private String translate() throws AdapterFormatException {
        while (at < python.length()) {
            char c = python.charAt(at);
            switch (c) {
                case '\\' -> escape(false);
                case '[' -> characterClass();
                case '(' -> group();
                case '*', '+', '?' -> repetition(1);
                case '{' -> braces();
                case '}' -> literal(c);
                default -> {
                    java.append(c);
                    at++;
                }
            }
        }
        return java.toString();
    }

    private void literal(char c) {
        java.append('\\').append(c);
        at++;
    }

    /** A repetition of so many characters, which may be lazy, but not possessive. */
    private void repetition(int length) throws AdapterFormatException {
        java.append(python, at, at + length);
        at += length;
        if (next('?')) {
            java.append('?');
        }
        if (at < python.length() && "+*?".indexOf(python.charAt(at)) >= 0) {
            throw refused("the repetition " + python.substring(at - 1, at + 1));
        }
    }

    private void braces() throws AdapterFormatException {
        int end = python.indexOf('}', at);
        String inside = end < 0 ? "" : python.substring(at + 1, end);
        if (!inside.matches("[0-9]{1,9}(,[0-9]{0,9})?|,[0-9]{1,9}")) {
            literal('{');
            return;
        }
        if (inside.startsWith(",")) {
            java.append("{0").append(inside).append('}');
            at = end + 1;
            repetition(0);
        } else {
            repetition(end + 1 - at);
        }
    }

    private void group() throws AdapterFormatException {
        at++;
        if (!next('?')) {
            java.append('(');
        } else if (next('P')) {
            named();
        } else if (next('<')) {
            look("(?<", "=!");
        } else {
            look("(?", LOOKS);
        }
    }

    private void look(String begin, String kinds) throws AdapterFormatException {
        if (at >= python.length() || kinds.indexOf(python.charAt(at)) < 0) {
            throw refused("a group that begins with " + begin + (at < python.length() ? python.charAt(at) : ""));
        }
        java.append(begin).append(python.charAt(at++));
    }

    private void named() throws AdapterFormatException {
        boolean again = next('=');
        if (!again && !next('<')) {
            throw refused("a group that begins with (?P");
        }
        int end = python.indexOf(again ? ')' : '>', at);
        String name = end < 0 ? "" : python.substring(at, end);
        // Java's names of groups have no underscore.
        if (!name.matches("[a-zA-Z][a-zA-Z0-9]*")) {
            throw refused("the name of a group \"" + name + "\"");
        }
        java.append(again ? "\\k<" : "(?<").append(name).append('>');
        at = end + 1;
    }

    private void characterClass() throws AdapterFormatException {
        java.append('[');
        at++;
        if (next('^')) {
            java.append('^');
        }
        boolean first = true;
        while (at < python.length() && (first || python.charAt(at) != ']')) {
            char c = python.charAt(at);
            if (c == '\\') {
                escape(true);
            } else if ("[]&^".indexOf(c) >= 0) {
                literal(c);
            } else {
                java.append(c);
                at++;
            }
            first = false;
        }
        if (!next(']')) {
            throw refused("a [ that is never closed");
        }
        java.append(']');
    }

    private void escape(boolean inClass) throws AdapterFormatException {
        if (at + 1 >= python.length()) {
            throw refused("a \\ at its end");
        }
        char c = python.charAt(at + 1);
        // Three digits are a character in Python.
        boolean group = c >= '1' && c <= '9' && (at + 2 >= python.length() || !Character.isDigit(python.charAt(at + 2)));
        boolean alike = c < 128 && !Character.isLetterOrDigit(c) || CONTROLS.indexOf(c) >= 0
                || CLASSES.indexOf(c) >= 0 && !(inClass && "bBA".indexOf(c) >= 0) || !inClass && group;
        if (!inClass && c == 'Z') {
            java.append("\\z");
        } else if (c == 'v') {
            // Java's \v is any vertical space.
            java.append("\\x0B");
        } else if (alike) {
            java.append('\\').append(c);
        } else {
            throw refused("\\" + c);
        }
        at += 2;
    }

    private boolean next(char c) {
        boolean found = at < python.length() && python.charAt(at) == c;
        if (found) {
            at++;
        }
        return found;
    }

    private AdapterFormatException refused(String what) {
        return new AdapterFormatException(PeftFolder.CONFIG + ": the pattern \"" + UntrustedJson.line(python) + "\" has "
                + what + ", which is not supported here. Write the module's name, or a plain regular expression");
    }
}
