package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.Budget;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which modules PEFT adapts. What a file has of others, it ignores.
 *
 * @param targets  {@code target_modules}; null for all
 * @param excluded {@code exclude_modules}; null for none
 * @param blocks   {@code layers_to_transform}; empty for all
 * @param lists    {@code layers_pattern}: what the lists of blocks are called, as regular expressions; empty for any name
 */
record TargetModules(@Nullable Names targets, @Nullable Names excluded, Set<Integer> blocks, List<String> lists) {

    static final TargetModules ALL = new TargetModules(null, null, Set.of(), List.of());

    private static final long MOST_STEPS = 5_000_000;
    private static final String ANY_LIST = "[^.]*";

    /**
     * Modules by the ends of their names, or by one regular expression.
     *
     * @param ends       whole names, or what follows a dot in them
     * @param expression of a whole name; null where ends count
     */
    record Names(Set<String> ends, @Nullable String expression) {
    }

    /** {@return those of these modules that PEFT does not adapt} None where that takes too long to find out. */
    List<String> leftOut(Collection<String> modules) {
        Look look = new Look();
        List<String> leftOut = new ArrayList<>();
        try {
            for (String module : modules) {
                if (!isAdapted(module, look)) {
                    leftOut.add(module);
                }
            }
        } catch (AdapterFormatException | Budget.Spent | StackOverflowError e) {
            return List.of();
        }
        return leftOut;
    }

    private boolean isAdapted(String module, Look look) throws AdapterFormatException {
        if (excluded != null && look.has(excluded, module)) {
            return false;
        }
        // PEFT counts blocks only for modules that are named by their ends.
        return targets == null || look.has(targets, module) && (targets.expression() != null || targets.ends().contains(module)
                || blocks.isEmpty() || isInBlock(module, look));
    }

    private boolean isInBlock(String module, Look look) throws AdapterFormatException {
        for (String list : lists.isEmpty() ? List.of(ANY_LIST) : lists) {
            Matcher matcher = look.matcher(".*?\\." + list + "\\.(\\d+)\\.", module);
            if (matcher.lookingAt()) {
                String number = matcher.group(matcher.groupCount());
                return blocks.stream().anyMatch(block -> number.equals(block.toString()));
            }
        }
        return false;
    }

    /** A look at modules of one file, which compiles each expression once. */
    private static final class Look {

        private final Budget budget = new Budget(MOST_STEPS);
        private final Map<String, Pattern> compiled = new HashMap<>();

        Matcher matcher(String expression, String module) throws AdapterFormatException {
            Pattern pattern = compiled.get(expression);
            if (pattern == null) {
                budget.spend(expression.length(), "Reading target_modules");
                pattern = PythonPattern.ofWhole(expression);
                compiled.put(expression, pattern);
            }
            return pattern.matcher(budget.metered(module));
        }

        boolean has(Names names, String module) throws AdapterFormatException {
            if (names.expression() != null) {
                return matcher(names.expression(), module).matches();
            }
            int start = 0;
            do {
                budget.spend(module.length() - start + 1, "Matching target_modules");
                if (names.ends().contains(module.substring(start))) {
                    return true;
                }
                start = module.indexOf('.', start) + 1;
            } while (start > 0);
            return false;
        }
    }
}
