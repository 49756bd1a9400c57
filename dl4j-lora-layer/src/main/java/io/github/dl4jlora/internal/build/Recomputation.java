package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.Cnn3DLossLayer;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.objdetect.Yolo2OutputLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Which outputs of a graph a training step need not keep, since they are computed again in the backward pass: all between two
 * boundaries, whose own outputs are kept.
 */
public final class Recomputation {

    /** Layers that DL4J does not run before it asks them for the loss. */
    private static final List<Class<? extends Layer>> LOSSES = List.of(BaseOutputLayer.class, LossLayer.class,
            RnnLossLayer.class, CnnLossLayer.class, Cnn3DLossLayer.class, Yolo2OutputLayer.class, SameDiffOutputLayer.class);

    private final Network<?> network;
    private final List<Node> nodes;

    private Recomputation(Network<?> network) {
        this.network = network;
        this.nodes = network.nodes();
    }

    /**
     * The stretches between boundaries, each by the positions of its nodes, the upper boundary last. Those in which no backward
     * pass could use what was computed again are left out.
     *
     * @param boundaries match whole names
     * @throws IllegalArgumentException if a pattern matches nothing, there is nothing between boundaries, or what is between
     *                                  them cannot be computed again
     */
    public static List<List<Integer>> stretches(Network<?> network, List<Pattern> boundaries) {
        return new Recomputation(network).find(boundaries);
    }

    /**
     * Has a running graph compute these again; what was set before is forgotten.
     *
     * @param boundaries empty: nothing is computed again
     * @throws IllegalArgumentException as {@link #stretches}
     */
    public static void set(Network<?> network, List<Pattern> boundaries) {
        List<List<Integer>> stretches = boundaries.isEmpty() ? List.of() : stretches(network, boundaries);
        if (!(network.model() instanceof ComputationGraph graph)) {
            return;
        }
        GraphVertex[] vertices = graph.getVertices();
        for (int i = 0; i < vertices.length; i++) {
            vertices[i] = Recomputed.original(vertices[i]);
        }
        Recomputation of = new Recomputation(network);
        stretches.forEach(stretch -> {
            Set<String> inside = new HashSet<>(stretch.stream().map(of::name).toList());
            stretch.forEach(i -> of.nodes.get(i).inputs().stream().filter(input -> !inside.contains(input))
                    .map(graph::getVertex).forEach(vertex -> Recomputed.keep(vertex, vertices)));
            new RecomputedStretch(graph, stretch.stream().map(i -> of.vertex(graph, i)).toList());
        });
    }

    /** Has a running graph compute again what another one of the same names does. */
    public static void copy(Network<?> from, Network<?> to) {
        if (!(from.model() instanceof ComputationGraph original) || !(to.model() instanceof ComputationGraph graph)) {
            return;
        }
        List<Recomputed> recomputed = Stream.of(original.getVertices()).flatMap(Recomputed::all).toList();
        recomputed.stream().filter(vertex -> vertex.stretch() == null).forEach(vertex ->
                Recomputed.keep(graph.getVertex(vertex.original().getVertexName()), graph.getVertices()));
        recomputed.stream().map(Recomputed::stretch).filter(Objects::nonNull).distinct()
                .forEach(stretch -> new RecomputedStretch(graph, stretch.names().stream().map(graph::getVertex).toList()));
    }

    private GraphVertex vertex(ComputationGraph graph, int position) {
        return graph.getVertex(name(position));
    }

    private String name(int position) {
        return nodes.get(position).name();
    }

    private List<List<Integer>> find(List<Pattern> boundaries) {
        if (!network.isGraph()) {
            throw new IllegalArgumentException("recompute(...) is for a ComputationGraph. Turn the base into one with "
                    + "toComputationGraph(), or leave recompute out");
        }
        if (!network.trainsInWorkspaces()) {
            throw new IllegalArgumentException("recompute(...) needs DL4J's workspaces, but the network trains without: set "
                    + "trainingWorkspaceMode(WorkspaceMode.ENABLED) in its configuration, or leave recompute out");
        }
        Set<String> names = new HashSet<>();
        for (Pattern pattern : boundaries) {
            List<String> matching = nodes.stream().filter(node -> node.isCalled(pattern)).map(Node::name).toList();
            if (matching.isEmpty()) {
                throw new IllegalArgumentException("recompute(\"" + pattern + "\") matches no layer or vertex: patterns must "
                        + "match a whole name" + LayerNames.literally(pattern, nodes.stream().map(Node::name).toList()));
            }
            names.addAll(matching);
        }
        List<Integer> found = new ArrayList<>();
        for (int i = 0; i < nodes.size(); i++) {
            if (names.contains(name(i))) {
                found.add(i);
            }
        }
        List<List<Integer>> stretches = new ArrayList<>();
        for (int i = 1; i < found.size(); i++) {
            List<Integer> stretch = below(found.get(i), found.get(i - 1));
            if (stretch.size() > 1) {
                check(stretch);
                stretches.add(stretch);
            }
        }
        if (stretches.isEmpty()) {
            throw new IllegalArgumentException("recompute" + boundaries + " matches " + found.stream().map(this::name).toList()
                    + ", between which there is nothing to compute again. Name the layers or vertices whose outputs are kept, "
                    + "two or more of them, such as the last of each block");
        }
        return stretches.stream().filter(this::hasBackward).toList();
    }

    private boolean hasBackward(List<Integer> stretch) {
        return stretch.stream().map(nodes::get).noneMatch(node -> node.layer() == null && node.stopsGradient())
                && !nodes.get(stretch.get(stretch.size() - 1)).stopsGradient();
    }

    /** What leads to the upper boundary, above the lower one. */
    private List<Integer> below(int upper, int lower) {
        Set<String> needed = new HashSet<>(Set.of(name(upper)));
        List<Integer> stretch = new ArrayList<>();
        for (int i = upper; i > lower; i--) {
            if (needed.contains(name(i))) {
                stretch.add(0, i);
                needed.addAll(nodes.get(i).inputs());
            }
        }
        return stretch;
    }

    private void check(List<Integer> stretch) {
        String last = name(stretch.get(stretch.size() - 1));
        Set<String> inside = new HashSet<>(stretch.stream().map(this::name).toList());
        for (Node node : nodes) {
            for (String input : node.inputs()) {
                if (inside.contains(input) && !input.equals(last) && !inside.contains(node.name())) {
                    throw refusal(input, last, "\"" + node.name() + "\" outside of the block uses it");
                }
            }
        }
        for (int i : stretch) {
            if (isRecurrent(nodes.get(i))) {
                throw refusal(name(i), last, "it keeps states");
            }
            if (isLoss(nodes.get(i))) {
                throw new IllegalArgumentException("recompute(...) would compute the loss of layer \"" + name(i) + "\" again. "
                        + "Let the last boundary be a layer or vertex below it");
            }
            if (network.outputs().contains(name(i)) && !name(i).equals(last)) {
                throw refusal(name(i), last, "it is an output of the network");
            }
        }
    }

    private static boolean isRecurrent(Node node) {
        Layer stock = node.stockLayer();
        return stock != null && StockLayers.contains(stock, BaseRecurrentLayer.class);
    }

    private static boolean isLoss(Node node) {
        return node.layer() != null && LOSSES.stream().anyMatch(type -> type.isInstance(node.stockLayer()));
    }

    private static IllegalArgumentException refusal(String name, String last, String why) {
        return new IllegalArgumentException("recompute(...): \"" + name + "\" is in the block that ends with \"" + last
                + "\" and cannot be computed again, since " + why + ". Name other boundaries, such as this one too");
    }
}
