package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.untrusted.Budget;

import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The entries of {@code modules_to_save}, found as PEFT finds them: a module is saved if its name ends with one, wherever in a
 * word that end begins ({@code head} saves {@code subhead} too), and with it all that is inside it. Looked up by hash, not
 * tried one after the other.
 */
final class SavedModules {

    private static final String MODEL = "model.";

    private final Set<String> entries;
    private final int[] lengths;

    SavedModules(Collection<String> entries) {
        this.entries = new HashSet<>(entries);
        this.entries.remove("");
        this.lengths = this.entries.stream().mapToInt(String::length).distinct().toArray();
    }

    /**
     * Entries that save the modules of an adapter. PEFT saves with a module all that is inside it, and would look for an inner
     * one that has an entry of its own inside its copy of the outer one, where no file has it. Heads that it saves for the task
     * are such outer ones.
     */
    static List<String> entries(AdapterContent adapter) {
        NavigableSet<String> layers = new TreeSet<>(adapter.deltas().keySet());
        NavigableSet<String> reversed = new TreeSet<>();
        Stream.of(adapter.modules(), layers, adapter.trained().keySet(), TensorName.MODULES_OF_PEFT).flatMap(Set::stream)
                .flatMap(name -> Stream.concat(Stream.of(name), outer(name))).forEach(name -> reversed.add(reversed(name)));
        Stream<String> heads = adapter.model().heads().stream().filter(head -> adapter.trained().keySet().stream()
                .anyMatch(module -> isInside(module, head)));
        Stream<String> others = adapter.trained().keySet().stream().filter(module -> !isInHead(module, adapter))
                .filter(module -> outer(module).noneMatch(adapter.trained()::containsKey))
                .map(module -> isNamed(module, adapter) && isOnlyEnd(module, reversed) && !hasInside(module, layers)
                        ? module : MODEL + module);
        return Stream.concat(heads, others).toList();
    }

    /** Whether PEFT saves a module for the adapter's task. */
    static boolean isInHead(String module, AdapterContent adapter) {
        return adapter.model().heads().stream().anyMatch(head -> isInside(module, head));
    }

    /** Whether an entry saves a module. */
    private static boolean isInside(String module, String entry) {
        return Stream.concat(outer(module), Stream.of(module)).anyMatch(name -> name.endsWith(entry));
    }

    /**
     * Whether PEFT has this module by this name, and the file has all that is in it. Where not, {@code model.} before the name
     * keeps PEFT from making a copy of the module; so too where the name is the end of another's, as {@code out} is of
     * {@code lora_dropout}. PEFT then reads the values into the base's own module, and so into whatever is tied to that.
     */
    private static boolean isNamed(String module, AdapterContent adapter) {
        return adapter.modules().contains(module) && !adapter.own().contains(module);
    }

    /** Among reversed names, those of one end follow each other. */
    private static boolean isOnlyEnd(String module, NavigableSet<String> reversed) {
        String next = reversed.higher(reversed(module));
        return next == null || !next.startsWith(reversed(module));
    }

    private static boolean hasInside(String module, NavigableSet<String> layers) {
        String next = layers.ceiling(module + ".");
        return next != null && next.startsWith(module + ".");
    }

    private static String reversed(String name) {
        return new StringBuilder(name).reverse().toString();
    }

    private static Stream<String> outer(String module) {
        return IntStream.range(1, module.length()).filter(end -> module.charAt(end) == '.')
                .mapToObj(end -> module.substring(0, end));
    }

    /** The modules that entries which this library wrote name in full, with or without {@code model.} before them. */
    static Set<String> inFull(Collection<String> entries) {
        Set<String> modules = new HashSet<>(entries);
        entries.stream().filter(entry -> entry.startsWith(MODEL)).forEach(entry -> modules.add(entry.substring(MODEL.length())));
        return modules;
    }

    /**
     * Entries that save a module, or an outer one.
     *
     * @param budget of the file
     */
    Set<String> of(String module, Budget budget) throws AdapterFormatException {
        String full = TensorName.PREFIX + module;
        Set<String> found = new HashSet<>();
        int end = TensorName.PREFIX.length() - 1;
        while (end < full.length()) {
            int dot = full.indexOf('.', end + 1);
            end = dot < 0 ? full.length() : dot;
            for (int length : lengths) {
                budget.spend(Math.min(length, end) + 1, "Finding the layers of modules_to_save");
                if (length <= end && entries.contains(full.substring(end - length, end))) {
                    found.add(full.substring(end - length, end));
                }
            }
        }
        return found;
    }
}
