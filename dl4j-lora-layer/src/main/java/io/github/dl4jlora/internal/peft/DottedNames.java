package io.github.dl4jlora.internal.peft;

import java.util.Collection;
import java.util.HashSet;
import java.util.Set;

/**
 * Names to be found in longer dotted names: {@code classifier} in {@code head.classifier.dense}, but not in
 * {@code subclassifier}. Looked up by hash at each word of the longer name, not tried one after the other.
 */
public final class DottedNames {

    private final Set<String> names;
    private final int[] lengths;

    public DottedNames(Collection<String> names) {
        this.names = Set.copyOf(names);
        this.lengths = names.stream().mapToInt(String::length).distinct().toArray();
    }

    /** Those that are the name, or a run of whole words of it. */
    public Set<String> in(String name) {
        String dotted = "." + name + ".";
        Set<String> found = new HashSet<>();
        for (int start = 1; start > 0; start = dotted.indexOf('.', start) + 1) {
            for (int length : lengths) {
                int end = start + length;
                if (end < dotted.length() && dotted.charAt(end) == '.' && names.contains(dotted.substring(start, end))) {
                    found.add(dotted.substring(start, end));
                }
            }
        }
        return found;
    }
}
