package io.github.dl4jlora.internal.plan;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Which parameters of which nodes a configuration adapts.
 */
public final class Targets {

    private static final Logger LOG = LoggerFactory.getLogger(Targets.class);

    private final List<Node> nodes;
    private final LoRAConfig config;
    private final List<Node> candidates;
    private final Map<String, Set<String>> keys = new LinkedHashMap<>();

    private Targets(List<Node> nodes, LoRAConfig config, Set<String> trained) {
        this.nodes = nodes;
        this.config = config;
        this.candidates = nodes.stream()
                .filter(node -> config.exclude().stream().noneMatch(node::isCalled) && !trained.contains(node.name())).toList();
    }

    /**
     * @param trained names of the nodes that train in full, which wins
     * @return keys of the adapted parameters by node
     * @throws IllegalArgumentException if a target matches nothing, or something that cannot be adapted; the message says
     *                                  why, and lists the names there are
     */
    static Map<String, Set<String>> of(List<Node> nodes, LoRAConfig config, Set<String> trained) {
        return of(nodes, config, trained, config.targetsAll());
    }

    /**
     * As {@link #of(List, LoRAConfig, Set)}.
     *
     * @param all whether every layer that can be adapted is a target, but output layers
     */
    static Map<String, Set<String>> of(List<Node> nodes, LoRAConfig config, Set<String> trained, boolean all) {
        Targets targets = new Targets(nodes, config, trained);
        if (all) {
            targets.addEverythingBelowTheOutput();
        } else if (config.targets().isEmpty() && config.targetTypes().isEmpty()) {
            targets.addEveryDenseLayer();
        }
        config.targets().forEach(targets::add);
        config.targetTypes().forEach(targets::add);
        targets.exclude();
        if (targets.keys.isEmpty()) {
            throw new IllegalArgumentException("exclude and trainable leave no target to adapt; the network has "
                    + LayerNames.of(nodes));
        }
        targets.checkOverrides();
        targets.requireDistinctModules();
        return targets.keys;
    }

    private void addEverythingBelowTheOutput() {
        addAll(candidates.stream().filter(node -> node.isAdaptable() && node.matrices().type() != LayerType.OUTPUT).toList(),
                "layer below the output layers");
    }

    private void addEveryDenseLayer() {
        addAll(candidates.stream().filter(node -> node.unwrappedType() == DenseLayer.class).toList(), "DenseLayer");
    }

    private void addAll(List<Node> found, String what) {
        if (found.isEmpty()) {
            throw new IllegalArgumentException("There is no " + what + " to adapt"
                    + (config.exclude().isEmpty() ? "" : " that is not excluded")
                    + "; name the layers with targets(...), or take all with allTargets(). These layers of the network can be "
                    + "adapted: " + adaptable());
        }
        found.forEach(this::addWhole);
    }

    private void addWhole(Node node) {
        keysOf(node).addAll(node.matrices().forms().keySet());
    }

    private Set<String> keysOf(Node node) {
        return keys.computeIfAbsent(node.name(), name -> new LinkedHashSet<>());
    }

    private void add(Pattern pattern) {
        List<Node> named = nodes.stream().filter(node -> node.isCalled(pattern)).toList();
        List<Node> others = nodes.stream().filter(node -> !named.contains(node)).toList();
        requireOneMeaning(pattern, named, others);
        addNamed(named.stream().filter(candidates::contains).toList(), pattern);
        addSingle(others, pattern, !named.isEmpty());
    }

    /** A layer may be called "lstm/RW", as is the parameter RW of a layer "lstm". */
    private static void requireOneMeaning(Pattern pattern, List<Node> named, List<Node> others) {
        if (named.stream().anyMatch(node -> node.name().equals(pattern.pattern()))) {
            others.stream().flatMap(node -> node.parameterKeys().stream().map(key -> MatrixName.of(node, key)))
                    .filter(name -> name.toString().equals(pattern.pattern())).findFirst().ifPresent(name -> {
                        throw new IllegalArgumentException(target(pattern) + " is both the name of a layer and that of the "
                                + "parameter "
                                + name.key() + " of layer \"" + name.layer() + "\". Rename one of the layers, or choose by kind "
                                + "with targets(LayerType...)");
                    });
        }
    }

    /** Layers whose whole name the pattern matches. */
    private void addNamed(List<Node> whole, Pattern pattern) {
        List<Node> impossible = whole.stream().filter(node -> node.numParams() > 0 && !node.isAdaptable()).toList();
        if (!impossible.isEmpty() || !whole.isEmpty() && whole.stream().noneMatch(Node::isAdaptable)) {
            List<Node> refused = impossible.isEmpty() ? whole : impossible;
            throw new IllegalArgumentException(target(pattern) + " matches "
                    + LayerNames.described(refused, node -> node.type() + ": " + node.matrices().refusal())
                    + ", which cannot be adapted; of this network, " + adaptable() + " can. Narrow the pattern, use "
                    + "exclude(...), or take all that can be adapted with allTargets()");
        }
        whole.stream().filter(Node::isAdaptable).forEach(this::addWhole);
    }

    /**
     * Parameters that the pattern names, one by one.
     *
     * @param found whether the pattern matches something else
     */
    private void addSingle(List<Node> others, Pattern pattern, boolean found) {
        List<String> noMatrices = new ArrayList<>();
        boolean foundMatrix = found;
        for (Node node : others) {
            for (String key : node.parameterKeys()) {
                MatrixName name = MatrixName.of(node, key);
                if (!name.isNamedBy(pattern)) {
                    continue;
                }
                if (!node.matrices().forms().containsKey(key)) {
                    noMatrices.add(name + " (" + node.type() + ": " + (node.isAdaptable() ? "only its parameters "
                            + node.matrices().forms().keySet() + " can be adapted" : node.matrices().refusal()) + ")");
                    continue;
                }
                foundMatrix = true;
                if (candidates.contains(node)) {
                    keysOf(node).add(key);
                }
            }
        }
        if (!foundMatrix && noMatrices.isEmpty()) {
            List<String> names = nodes.stream().map(Node::name).toList();
            throw new IllegalArgumentException(target(pattern) + " matches no layer: patterns must match a whole name, or "
                    + "name/parameter. The network has " + LayerNames.of(nodes) + LayerNames.literally(pattern, names)
                    + LayerNames.apart(pattern, names));
        }
        if (!foundMatrix) {
            throw new IllegalArgumentException(target(pattern) + " matches " + noMatrices + ", which cannot be adapted; of this "
                    + "network, " + adaptable() + " can");
        }
    }

    private static String target(Pattern pattern) {
        return "targets(\"" + LayerNames.of(pattern) + "\")";
    }

    private void add(LayerType type) {
        if (nodes.stream().noneMatch(node -> node.matrices().type() == type)) {
            throw new IllegalArgumentException("targets(LayerType." + type + ") matches no layer; the network has "
                    + nodes.stream().filter(node -> node.numParams() > 0)
                    .map(node -> node.name() + " (" + (node.isAdaptable() ? node.matrices().type() : node.type()) + ")")
                    .toList());
        }
        candidates.stream().filter(node -> node.matrices().type() == type).forEach(this::addWhole);
    }

    private void exclude() {
        for (Pattern pattern : config.exclude()) {
            boolean used = nodes.stream().anyMatch(node -> node.isCalled(pattern));
            for (Node node : nodes) {
                Set<String> chosen = keys.getOrDefault(node.name(), Set.of());
                used |= !chosen.isEmpty() && chosen.removeIf(key -> MatrixName.of(node, key).isNamedBy(pattern));
            }
            if (!used) {
                LOG.warn("exclude(\"{}\") matches no layer; the network has {}", pattern, LayerNames.of(nodes));
            }
        }
        keys.values().removeIf(Set::isEmpty);
    }

    private void checkOverrides() {
        for (Pattern pattern : config.overrides().keySet()) {
            if (chosen().stream().noneMatch(name -> name.isMatchedBy(pattern))) {
                throw new IllegalArgumentException("override(\"" + pattern + "\", …) matches none of the adapted layers, which "
                        + "are " + nodes.stream().map(Node::name).filter(keys::containsKey).toList()
                        + ". A pattern must match a whole name"
                        + LayerNames.literally(pattern, nodes.stream().map(Node::name).toList()));
            }
        }
    }

    private List<MatrixName> chosen() {
        return nodes.stream().flatMap(node -> keys.getOrDefault(node.name(), Set.of()).stream()
                .map(key -> MatrixName.of(node, key))).toList();
    }

    /** A layer "lstm.RW" beside the parameter RW of a layer "lstm" would have the same name in an adapter file. */
    private void requireDistinctModules() {
        for (MatrixName name : chosen()) {
            for (Node other : nodes) {
                if (!other.name().equals(name.layer()) && (other.name().equals(name.module())
                        || other.matrices().forms().keySet().stream()
                        .anyMatch(key -> MatrixName.of(other, key).module().equals(name.module())))) {
                    throw new IllegalArgumentException("The parameter " + name + " would be called \"" + name.module()
                            + "\" in an adapter file, as would layer \"" + other.name() + "\" or a parameter of it. Rename "
                            + "one of the layers, or exclude(\"" + name + "\")");
                }
            }
        }
    }

    private String adaptable() {
        return LayerNames.of(nodes.stream().filter(Node::isAdaptable).toList());
    }
}
