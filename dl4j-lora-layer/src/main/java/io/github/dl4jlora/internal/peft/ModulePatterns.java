package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.Budget;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * PEFT's {@code rank_pattern} or {@code alpha_pattern}: other values for some modules. Its keys are regular expressions, and
 * the end of a dotted name unless they begin with ^. Most are plain names, which are looked up; the others are tried one after
 * the other.
 *
 * @param <T> of the values
 */
public final class ModulePatterns<T> {

    private static final String NAME = "[\\w-]+(\\\\?\\.[\\w-]+)*";

    private static final int LONGEST_NAME = 500;
    /** Characters of all expressions, of which each counts as some more: compiled they take a hundred times as much. */
    private static final int MOST_EXPRESSIONS = 1_000_000;
    private static final int EACH = 100;

    private final Map<String, T> values;
    private final List<String> patterns;
    private final List<T> inOrder;
    /** Position among all patterns, by a name that may follow others. */
    private final Map<String, Integer> ends = new HashMap<>();
    /** The same by a name in full. */
    private final Map<String, Integer> names = new HashMap<>();
    /** By position. */
    private final Map<Integer, Pattern> expressions = new LinkedHashMap<>();
    private int expressed;

    /**
     * @param values by pattern, in PEFT's order, of which the first that matches counts
     * @throws AdapterFormatException for a pattern that is no regular expression, or one that Java would understand otherwise
     *                                than Python, and for very many
     */
    public ModulePatterns(Map<String, T> values) throws AdapterFormatException {
        this.values = values;
        this.patterns = List.copyOf(values.keySet());
        this.inOrder = List.copyOf(values.values());
        int position = 0;
        for (String pattern : values.keySet()) {
            boolean inFull = pattern.startsWith("^");
            String rest = inFull ? pattern.substring(1) : pattern;
            if (rest.length() <= LONGEST_NAME && rest.matches(NAME)) {
                (inFull ? names : ends).putIfAbsent(rest.replace("\\.", "."), position);
                // An unescaped dot stands for any character.
                if (rest.replace("\\.", "").contains(".")) {
                    compile(pattern, position);
                }
            } else {
                compile(pattern, position);
            }
            position++;
        }
    }

    private void compile(String pattern, int position) throws AdapterFormatException {
        expressed += pattern.length() + EACH;
        if (expressed > MOST_EXPRESSIONS) {
            throw new AdapterFormatException(PeftFolder.CONFIG + ": the regular expressions of rank_pattern or alpha_pattern are "
                    + "too many or too long: the first " + (expressions.size() + 1) + " have " + expressed
                    + " characters, counting " + EACH + " extra for each. Name the modules in full");
        }
        expressions.put(position, PythonPattern.ofEnd(pattern));
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
        try {
            return new ModulePatterns<>(values);
        } catch (AdapterFormatException e) {
            throw new IllegalStateException(e);
        }
    }

    /** As Python understands it, which has no {@code \Q}. */
    private static String quoted(String module) {
        return module.replaceAll("([\\\\.^$|?*+()\\[\\]{}])", "\\\\$1");
    }

    /** By pattern. */
    public Map<String, T> values() {
        return values;
    }

    /**
     * @param budget of the file
     * @throws AdapterFormatException if it takes too long
     */
    public T of(String module, T otherwise, Budget budget) throws AdapterFormatException {
        int first = names.getOrDefault(module, inOrder.size());
        int start = 0;
        do {
            budget.spend(module.length() - start, "Matching the patterns of " + PeftFolder.CONFIG);
            first = Math.min(first, ends.getOrDefault(module.substring(start), inOrder.size()));
            start = module.indexOf('.', start) + 1;
        } while (start > 0);
        for (Map.Entry<Integer, Pattern> expression : expressions.entrySet()) {
            if (expression.getKey() >= first) {
                break;
            }
            if (matches(patterns.get(expression.getKey()), expression.getValue(), module, budget)) {
                return inOrder.get(expression.getKey());
            }
        }
        return first < inOrder.size() ? inOrder.get(first) : otherwise;
    }

    private static boolean matches(String python, Pattern pattern, String module, Budget budget)
            throws AdapterFormatException {
        try {
            return pattern.matcher(budget.metered(module)).matches();
        } catch (Budget.Spent | StackOverflowError e) {
            throw new AdapterFormatException(PeftFolder.CONFIG + ": \"" + UntrustedJson.line(python)
                    + "\" takes too long to match", e);
        }
    }
}
