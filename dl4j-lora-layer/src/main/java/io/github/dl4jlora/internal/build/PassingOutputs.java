package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Finds the outputs of a graph that no backward pass looks at, as all that read them are sums and frozen dense layers, and
 * gives them places: one place to several, none of which is read after the next is written.
 */
final class PassingOutputs {

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

    private final Network<?> network;
    private final Map<String, Integer> lastReader = new HashMap<>();
    private final List<PassingOutput> places = new ArrayList<>();
    /** When each place is free again: after the node of this number. */
    private final List<Integer> busyUntil = new ArrayList<>();

    private PassingOutputs(Network<?> network) {
        this.network = network;
    }

    /** Tells layers and vertices of a graph where to put outputs. DL4J runs them in the order of the nodes. */
    static void assign(Network<?> network) {
        if (network.model() instanceof ComputationGraph graph && network.trainsInWorkspaces()) {
            new PassingOutputs(network).assign(graph);
        }
    }

    private void assign(ComputationGraph graph) {
        List<Node> nodes = network.nodes();
        Set<String> outputs = Set.copyOf(graph.getConfiguration().getNetworkOutputs());
        Map<String, Boolean> passing = new HashMap<>();
        for (int i = 0; i < nodes.size(); i++) {
            for (String input : nodes.get(i).inputs()) {
                lastReader.put(input, i);
                passing.merge(input, !looksBack(nodes.get(i)), Boolean::logicalAnd);
            }
        }
        for (int i = 0; i < nodes.size(); i++) {
            String name = nodes.get(i).name();
            if (network.runtime(name) instanceof PassingOutput.Maker maker) {
                Integer last = lastReader.get(name);
                maker.setPassingOutput(last != null && passing.getOrDefault(name, false) && !outputs.contains(name)
                        ? place(i, last, graph) : null);
            }
        }
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

    private PassingOutput place(int from, int to, ComputationGraph graph) {
        for (int i = 0; i < places.size(); i++) {
            if (busyUntil.get(i) < from) {
                busyUntil.set(i, to);
                return places.get(i);
            }
        }
        PassingOutput added = new PassingOutput(() -> isWatched(graph));
        places.add(added);
        busyUntil.add(to);
        return added;
    }
}
