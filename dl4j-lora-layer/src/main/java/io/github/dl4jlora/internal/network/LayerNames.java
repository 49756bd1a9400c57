package io.github.dl4jlora.internal.network;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** The names of layers, and patterns for them, in messages. */
public final class LayerNames {

    private LayerNames() {
    }

    /** {@code [a, b, c]}. */
    public static String of(List<Node> nodes) {
        return nodes.stream().map(Node::name).toList().toString();
    }

    /** Names with a description, once where it is the same: {@code "a", "b" (why), "c" (why)}. */
    public static String described(List<Node> nodes, Function<Node, String> description) {
        Map<String, List<Node>> alike = nodes.stream().collect(Collectors.groupingBy(description, LinkedHashMap::new,
                Collectors.toList()));
        return alike.entrySet().stream().map(group -> group.getValue().stream().map(node -> "\"" + node.name() + "\"")
                .collect(Collectors.joining(", ")) + " (" + group.getKey() + ")").collect(Collectors.joining(", "));
    }

    /** {@return the name that a pattern quotes, if it is one quoted name; else the pattern} */
    public static String of(Pattern pattern) {
        String text = pattern.pattern();
        String inside = text.startsWith("\\Q") && text.endsWith("\\E") ? text.substring(2, text.length() - 2) : text;
        return Pattern.quote(inside).equals(text) ? inside : text;
    }

    /** What to do about a name that, read as a regular expression, does not match itself. */
    public static String literally(Pattern pattern, List<String> names) {
        return names.contains(pattern.pattern()) && !pattern.matcher(pattern.pattern()).matches()
                ? ". As a regular expression \"" + pattern + "\" does not match that name: quote it with Pattern.quote" : "";
    }

    /** What to do about several names in one pattern, such as {@code fc1,fc2}. */
    public static String apart(Pattern pattern, List<String> names) {
        String[] parts = pattern.pattern().split("\\s*,\\s*");
        return parts.length > 1 && names.containsAll(List.of(parts))
                ? ". A comma does not separate patterns: give each of them on its own" : "";
    }
}
