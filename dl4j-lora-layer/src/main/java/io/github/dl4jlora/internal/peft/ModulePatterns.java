package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.adapter.AdapterFormatException;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * PEFT's {@code rank_pattern} or {@code alpha_pattern}: other values for some modules. Its keys are regular expressions, and
 * the end of a dotted name unless they begin with ^.
 *
 * @param values in PEFT's order, of which the first that matches counts
 */
public record ModulePatterns<T>(Map<String, T> values) {

    private static final int MOST_READS = 1_000_000;

    /** Text that a regular expression may look at only so often: some take exponential time. */
    private record Metered(CharSequence text, int[] readsLeft) implements CharSequence {

        @Override
        public char charAt(int index) {
            if (readsLeft[0]-- == 0) {
                throw new TooCostly();
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int from, int to) {
            return new Metered(text.subSequence(from, to), readsLeft);
        }
    }

    private static final class TooCostly extends RuntimeException {

        private static final long serialVersionUID = 1L;
    }

    /** Patterns for those modules, named in full, whose value is not the usual one. */
    public static <T> ModulePatterns<T> of(Map<String, T> byModule, T usual) {
        Set<String> endsOfOthers = new HashSet<>();
        for (String module : byModule.keySet()) {
            for (int dot = module.indexOf('.'); dot >= 0; dot = module.indexOf('.', dot + 1)) {
                endsOfOthers.add(module.substring(dot + 1));
            }
        }
        Map<String, T> values = new LinkedHashMap<>();
        byModule.forEach((module, value) -> {
            if (!value.equals(usual)) {
                values.put((endsOfOthers.contains(module) ? "^" : "") + quoted(module), value);
            }
        });
        return new ModulePatterns<>(values);
    }

    /** As Python understands it, which has no {@code \Q}. */
    private static String quoted(String module) {
        return module.replaceAll("([\\\\.^$|?*+()\\[\\]{}])", "\\\\$1");
    }

    /**
     * @throws AdapterFormatException for a pattern that is no regular expression, or takes too long
     */
    public T of(String module, T otherwise) throws AdapterFormatException {
        for (Map.Entry<String, T> pattern : values.entrySet()) {
            if (matches(pattern.getKey(), module)) {
                return pattern.getValue();
            }
        }
        return otherwise;
    }

    private static boolean matches(String pattern, String module) throws AdapterFormatException {
        try {
            return Pattern.matches("(.*\\.)?(" + pattern + ")", new Metered(module, new int[] {MOST_READS}));
        } catch (PatternSyntaxException e) {
            throw new AdapterFormatException(PeftFolder.CONFIG + ": \"" + pattern + "\" is no regular expression", e);
        } catch (TooCostly | StackOverflowError e) {
            throw new AdapterFormatException(PeftFolder.CONFIG + ": \"" + pattern + "\" takes too long to match", e);
        }
    }
}
