package io.github.dl4jlora.internal.plan;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.TorchTable;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * What will become of every node of a network, decided from its configuration alone before anything is built.
 *
 * @param decisions by node name, in topological order
 */
public record Plan(Map<String, Decision> decisions) {

    /** Layers that an {@link Engine} calls dense. */
    public static final Set<Class<?>> DENSE = Set.of(DenseLayer.class, OutputLayer.class, RnnOutputLayer.class);

    /**
     * A role, and why.
     *
     * @param keys of the parameters that are adapted
     */
    public record Decision(Role role, String reason, Set<String> keys) {

        Decision(Role role, String reason) {
            this(role, reason, Set.of());
        }
    }

    /**
     * @throws IllegalArgumentException if a pattern matches nothing or a layer that cannot be adapted; the message lists
     *                                  the names there are
     */
    public static Plan of(List<Node> nodes, LoRAConfig config) {
        Set<String> trained = trained(nodes, config);
        Map<String, Set<String>> targets = Targets.of(nodes, config, trained);
        refuseOtherEngine(nodes, config, targets);
        Map<String, Decision> decisions = new LinkedHashMap<>();
        Set<String> reached = new HashSet<>();
        for (Node node : nodes) {
            boolean trainsUpstream = node.inputs().stream().anyMatch(reached::contains);
            Decision decision = decide(node, targets, trained, config.bias(), trainsUpstream);
            decisions.put(node.name(), decision);
            if (trainsUpstream || decision.role().trains()) {
                reached.add(node.name());
            }
        }
        return new Plan(decisions);
    }

    /** Nothing trains. Gradients go through every node all the same, so that callers can ask for that of the input. */
    public static Plan ofFrozen(List<Node> nodes) {
        Map<String, Decision> decisions = new LinkedHashMap<>();
        nodes.forEach(node ->
                decisions.put(node.name(), decide(node, Map.of(), Set.of(), BiasTraining.NONE, true)));
        return new Plan(decisions);
    }

    /** The same, but layers that would stay as they are become frozen, so that nothing in them is random. */
    public Plan withoutRandomness(List<Node> nodes) {
        Map<String, Decision> frozen = new LinkedHashMap<>(decisions);
        nodes.stream().filter(node -> node.layer() != null).forEach(node -> frozen.computeIfPresent(node.name(),
                (name, kept) -> kept.role() == Role.KEEP ? new Decision(Role.FREEZE_PASS, "must not be random") : kept));
        return new Plan(frozen);
    }

    /** What will become of one of the nodes. */
    public Decision decision(Node node) {
        return Objects.requireNonNull(decisions.get(node.name()));
    }

    private static Decision decide(Node node, Map<String, Set<String>> targets, Set<String> trained, BiasTraining bias,
                                   boolean trainsUpstream) {
        if (targets.containsKey(node.name())) {
            return new Decision(Role.ADAPT, "matches a target", targets.get(node.name()));
        }
        if (trained.contains(node.name())) {
            return new Decision(Role.TRAIN, "matches trainable");
        }
        if (bias == BiasTraining.ALL && hasParameters(node) && node.biasKeys().containsAll(node.parameterKeys())) {
            return new Decision(Role.TRAIN, "has only biases, and all biases train");
        }
        if (bias == BiasTraining.ALL && !node.biasKeys().isEmpty()) {
            return new Decision(Role.TRAIN_BIAS, "has biases, and all biases train");
        }
        if (!trainsUpstream) {
            return new Decision(Role.FREEZE_STOP, "nothing upstream trains");
        }
        if (hasParameters(node)) {
            return new Decision(Role.FREEZE_PASS, "a trained layer is upstream");
        }
        if (node.isFrozen()) {
            return new Decision(Role.FREEZE_PASS,
                    "a trained layer is upstream, and DL4J's freezing would cut it off, or fail at dropout");
        }
        if (node.isSameDiff()) {
            return new Decision(Role.FREEZE_PASS,
                    "a trained layer is upstream, and DL4J doubles the gradients of SameDiff layers");
        }
        return new Decision(Role.KEEP, "has no parameters and a trained layer is upstream");
    }

    /** Only dense layers have a path that SameDiff can compute, and only they never run on effective weights. */
    private static void refuseOtherEngine(List<Node> nodes, LoRAConfig config, Map<String, Set<String>> targets) {
        boolean forDense = config.engine() == Engine.SAMEDIFF;
        List<Node> others = nodes.stream()
                .filter(node -> targets.containsKey(node.name()) && DENSE.contains(node.unwrappedType()) != forDense).toList();
        if (config.engine() != Engine.FUSED && !others.isEmpty()) {
            throw new IllegalArgumentException("engine(" + config.engine() + ") is for " + (forDense ? "" : "layers other than ")
                    + "DenseLayer, OutputLayer and RnnOutputLayer; " + LayerNames.described(others, Node::type)
                    + " cannot use it. Leave them out with exclude(...), or use engine(FUSED)");
        }
    }

    static Set<String> trained(List<Node> nodes, LoRAConfig config) {
        Set<String> trained = new HashSet<>();
        if (config.trainable().isEmpty()) {
            return trained;
        }
        TorchTable torch = TorchTable.of(nodes);
        for (Pattern pattern : config.trainable()) {
            // An adapter's file names PyTorch's modules, of which a layer may hold several, and several layers one.
            Set<String> ofModules = torch.layersOf(pattern);
            List<String> matched = nodes.stream().filter(node -> hasParameters(node)
                    && (node.isCalled(pattern) || ofModules.contains(node.name()))).map(Node::name).toList();
            if (matched.isEmpty() && !torch.isOtherName(pattern)) {
                throw new IllegalArgumentException("trainable(\"" + LayerNames.of(pattern)
                        + "\") matches no layer with parameters. "
                        + "The network has " + LayerNames.of(nodes.stream().filter(Plan::hasParameters).toList())
                        + LayerNames.literally(pattern, nodes.stream().map(Node::name).toList()));
            }
            trained.addAll(matched);
        }
        return trained;
    }

    private static boolean hasParameters(Node node) {
        return node.numParams() > 0;
    }
}
