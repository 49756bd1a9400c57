package io.github.dl4jlora;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * The strongly connected components of a graph that have more than one node: whoever is in one depends on all others in it.
 * Tarjan 1972, "Depth-First Search and Linear Graph Algorithms".
 */
final class Knots {

    private final Map<String, ? extends Collection<String>> graph;
    private final Map<String, Integer> index = new HashMap<>();
    private final Map<String, Integer> low = new HashMap<>();
    private final Deque<String> open = new ArrayDeque<>();
    private final Set<Set<String>> found = new HashSet<>();

    private Knots(Map<String, ? extends Collection<String>> graph) {
        this.graph = graph;
    }

    /**
     * {@return the knots, each as a set of its nodes}
     *
     * @param graph by node the nodes that it depends on
     */
    static Set<Set<String>> of(Map<String, ? extends Collection<String>> graph) {
        Knots knots = new Knots(graph);
        graph.keySet().stream().filter(node -> !knots.index.containsKey(node)).forEach(knots::visit);
        return knots.found;
    }

    private void visit(String node) {
        index.put(node, index.size());
        low.put(node, index.get(node));
        open.push(node);
        for (String next : graph.containsKey(node) ? graph.get(node) : List.<String>of()) {
            if (!index.containsKey(next)) {
                visit(next);
                low.merge(node, low.get(next), Math::min);
            } else if (open.contains(next)) {
                low.merge(node, index.get(next), Math::min);
            }
        }
        if (low.get(node).equals(index.get(node))) {
            Set<String> knot = new TreeSet<>();
            Stream.generate(open::pop).takeWhile(member -> knot.add(member) && !member.equals(node)).forEach(knot::add);
            if (knot.size() > 1) {
                found.add(knot);
            }
        }
    }
}
