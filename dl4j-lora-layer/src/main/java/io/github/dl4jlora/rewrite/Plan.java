package io.github.dl4jlora.rewrite;

import io.github.dl4jlora.LoRAConfig;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What will become of every node of a network, decided from its configuration alone before anything is built.
 *
 * @param decisions by node name, in topological order
 */
record Plan(Map<String, Decision> decisions) {

    private static final Logger LOG = LoggerFactory.getLogger(Plan.class);

    private static final String ADAPTABLE = "DenseLayer, OutputLayer, RnnOutputLayer";

    /** A role, and why. */
    record Decision(Role role, String reason) {
    }

    /**
     * @throws IllegalArgumentException if a pattern matches nothing or a layer that cannot be adapted; the message lists
     *                                  the names there are
     */
    static Plan of(List<Node> nodes, LoRAConfig config) {
        Set<String> trained = trained(nodes, config);
        Set<String> targets = targets(nodes, config, trained);
        warnOfUnusedPatterns(nodes, config, targets);
        Map<String, Decision> decisions = new LinkedHashMap<>();
        Set<String> reached = new HashSet<>();
        for (Node node : nodes) {
            boolean trainsUpstream = node.inputs().stream().anyMatch(reached::contains);
            Decision decision = decide(node, targets, trained, trainsUpstream);
            decisions.put(node.name(), decision);
            if (trainsUpstream || decision.role() == Role.ADAPT || decision.role() == Role.TRAIN) {
                reached.add(node.name());
            }
        }
        return new Plan(decisions);
    }

    private static Decision decide(Node node, Set<String> targets, Set<String> trained, boolean trainsUpstream) {
        if (targets.contains(node.name())) {
            return new Decision(Role.ADAPT, "matches a target");
        }
        if (trained.contains(node.name())) {
            return new Decision(Role.TRAIN, "matches trainable");
        }
        if (!trainsUpstream) {
            return new Decision(Role.FREEZE_STOP, "nothing upstream trains");
        }
        return hasParameters(node) ? new Decision(Role.FREEZE_PASS, "a trained layer is upstream")
                : new Decision(Role.KEEP, "has no parameters and a trained layer is upstream");
    }

    private static Set<String> trained(List<Node> nodes, LoRAConfig config) {
        Set<String> trained = new HashSet<>();
        for (Pattern pattern : config.trainable()) {
            List<Node> matched = matching(nodes, pattern);
            if (matched.stream().noneMatch(Plan::hasParameters)) {
                throw new IllegalArgumentException("trainable(\"" + pattern + "\") matches no layer with parameters. "
                        + "The network has " + names(nodes.stream().filter(Plan::hasParameters).toList()));
            }
            matched.stream().filter(Plan::hasParameters).map(Node::name).forEach(trained::add);
        }
        return trained;
    }

    private static Set<String> targets(List<Node> nodes, LoRAConfig config, Set<String> trained) {
        Set<String> targets = new HashSet<>();
        List<Node> candidates = nodes.stream().filter(node -> !matchesAny(config.exclude(), node) && !trained.contains(node.name())).toList();
        if (config.targets().isEmpty()) {
            candidates.stream().filter(Plan::isDense).map(Node::name).forEach(targets::add);
            if (targets.isEmpty()) {
                throw new IllegalArgumentException("There is no DenseLayer to adapt" + (config.exclude().isEmpty() ? "" : " that is not excluded")
                        + "; name the layers with targets(...). Of this network's layers these can be adapted: "
                        + names(nodes.stream().filter(Plan::isAdaptable).toList()));
            }
        }
        for (Pattern pattern : config.targets()) {
            if (matching(nodes, pattern).isEmpty()) {
                throw new IllegalArgumentException("targets(\"" + pattern + "\") matches no layer: patterns must match a whole name. "
                        + "The network has " + names(nodes));
            }
            List<Node> matched = matching(candidates, pattern);
            List<Node> impossible = matched.stream().filter(node -> hasParameters(node) && !isAdaptable(node)).toList();
            if (!impossible.isEmpty() || !matched.isEmpty() && matched.stream().noneMatch(Plan::isAdaptable)) {
                List<Node> named = impossible.isEmpty() ? matched : impossible;
                throw new IllegalArgumentException("targets(\"" + pattern + "\") matches " + describe(named) + ", which cannot be adapted; "
                        + ADAPTABLE + " can: here " + names(nodes.stream().filter(Plan::isAdaptable).toList())
                        + ". Narrow the pattern or use exclude(...)");
            }
            matched.stream().filter(Plan::isAdaptable).map(Node::name).forEach(targets::add);
        }
        if (targets.isEmpty()) {
            throw new IllegalArgumentException("exclude and trainable leave no target to adapt; the network has " + names(nodes));
        }
        return targets;
    }

    private static void warnOfUnusedPatterns(List<Node> nodes, LoRAConfig config, Set<String> targets) {
        for (Pattern pattern : config.exclude()) {
            if (matching(nodes, pattern).isEmpty()) {
                LOG.warn("exclude(\"{}\") matches no layer; the network has {}", pattern, names(nodes));
            }
        }
        for (Pattern pattern : config.overrides().keySet()) {
            if (targets.stream().noneMatch(name -> pattern.matcher(name).matches())) {
                throw new IllegalArgumentException("override(\"" + pattern + "\", …) matches none of the adapted layers, which are "
                        + nodes.stream().map(Node::name).filter(targets::contains).toList());
            }
        }
    }

    private static List<Node> matching(List<Node> nodes, Pattern pattern) {
        return nodes.stream().filter(node -> pattern.matcher(node.name()).matches()).toList();
    }

    private static boolean matchesAny(List<Pattern> patterns, Node node) {
        return patterns.stream().anyMatch(pattern -> pattern.matcher(node.name()).matches());
    }

    private static boolean hasParameters(Node node) {
        return node.numParams() > 0;
    }

    /** Exact types: a user's subclass computes something that we do not know. */
    static boolean isAdaptable(Node node) {
        if (node.layer() == null) {
            return false;
        }
        Class<? extends Layer> type = node.unwrappedLayer().getClass();
        return type == DenseLayer.class || type == OutputLayer.class || type == RnnOutputLayer.class;
    }

    private static boolean isDense(Node node) {
        return node.layer() != null && node.unwrappedLayer().getClass() == DenseLayer.class;
    }

    private static String names(List<Node> nodes) {
        return nodes.stream().map(Node::name).collect(Collectors.joining(", ", "[", "]"));
    }

    private static String describe(List<Node> nodes) {
        return nodes.stream().map(node -> "\"" + node.name() + "\" (" + node.type() + ")").collect(Collectors.joining(", "));
    }
}
