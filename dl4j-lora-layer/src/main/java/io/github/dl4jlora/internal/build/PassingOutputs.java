package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Finds the outputs of a graph that no backward pass looks at, as all that read them are sums and frozen dense layers, and
 * gives them places: one place to several, none of which is read after the next is written.
 */
public final class PassingOutputs {

    private static final Set<Class<?>> SILENT = Set.of(TrainingListener.class, BaseTrainingListener.class);

    /** Whether listeners of a class look at outputs; remembered, since each layer asks in each pass. */
    private static final ClassValue<Boolean> WATCHES = new ClassValue<>() {
        @Override
        protected Boolean computeValue(Class<?> listener) {
            try {
                return !SILENT.contains(listener.getMethod("onForwardPass", Model.class, Map.class).getDeclaringClass());
            } catch (NoSuchMethodException e) {
                throw new IllegalStateException(e);
            }
        }
    };

    private final Map<String, Integer> lastReader = new HashMap<>();
    /** When each place is free again: after the node of this number. */
    private final List<Integer> busyUntil = new ArrayList<>();

    private PassingOutputs() {
    }

    /** Tells layers and vertices of a graph where to put outputs. */
    static void assign(Network<?> network) {
        if (network.model() instanceof ComputationGraph graph && network.trainsInWorkspaces()) {
            Map<String, Integer> places = places(network, node -> makes(network.runtime(node.name())));
            Map<Integer, PassingOutput> memory = new HashMap<>();
            for (Node node : network.nodes()) {
                if (network.runtime(node.name()) instanceof PassingOutput.Maker maker) {
                    Integer place = places.get(node.name());
                    maker.setPassingOutput(place == null ? null
                            : memory.computeIfAbsent(place, key -> new PassingOutput(() -> isWatched(graph))));
                }
            }
        }
    }

    /** Whether what runs as a layer or vertex can put its output into a place. */
    public static boolean makes(Trainable runtime) {
        return runtime instanceof PassingOutput.Maker maker && maker.makesPassingOutput();
    }

    /**
     * The places of outputs that need not be kept, by the names of the nodes that make them.
     *
     * @param network a graph, running or planned; DL4J runs its nodes in their order
     * @param makers  which nodes can put their output into a place
     */
    public static Map<String, Integer> places(Network<?> network, Predicate<Node> makers) {
        return new PassingOutputs().find(network.nodes(), Set.copyOf(network.outputs()), makers);
    }

    private Map<String, Integer> find(List<Node> nodes, Set<String> outputs, Predicate<Node> makers) {
        Map<String, Boolean> passing = new HashMap<>();
        for (int i = 0; i < nodes.size(); i++) {
            for (String input : nodes.get(i).inputs()) {
                lastReader.put(input, i);
                passing.merge(input, !looksBack(nodes.get(i)), Boolean::logicalAnd);
            }
        }
        Map<String, Integer> places = new HashMap<>();
        for (int i = 0; i < nodes.size(); i++) {
            String name = nodes.get(i).name();
            if (passing.getOrDefault(name, false) && !outputs.contains(name) && makers.test(nodes.get(i))) {
                places.put(name, place(i, Objects.requireNonNull(lastReader.get(name))));
            }
        }
        return places;
    }

    /** Whether a listener looks at the outputs of a training step. */
    static boolean isWatched(ComputationGraph graph) {
        return graph.getListeners().stream().anyMatch(listener -> WATCHES.get(listener.getClass()));
    }

    private static boolean looksBack(Node node) {
        if (node.hasPreprocessor()) {
            return true;
        }
        if (node.layer() != null) {
            return node.adapted() != null || !node.isOurs() || FrozenLayers.looksBack(node.replacedLayer());
        }
        return !(node.vertex() instanceof ElementWiseVertex sum && sum.getOp() == ElementWiseVertex.Op.Add);
    }

    private int place(int from, int to) {
        for (int i = 0; i < busyUntil.size(); i++) {
            if (busyUntil.get(i) < from) {
                busyUntil.set(i, to);
                return i;
            }
        }
        busyUntil.add(to);
        return busyUntil.size() - 1;
    }
}
