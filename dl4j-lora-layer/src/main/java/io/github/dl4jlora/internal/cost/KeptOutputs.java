package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.internal.build.PassingOutputs;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Which outputs of an adapted network are kept to the end of a training step. In a graph some pass from place to place, outside
 * of DL4J's workspaces; and of what is computed again, where it starts from is kept in any case.
 */
final class KeptOutputs {

    private final Map<String, Integer> places;
    /** Kept, even where the output passes. */
    private final Set<String> starts = new HashSet<>();
    private final Map<Integer, Long> sizes = new HashMap<>();

    private KeptOutputs(Map<String, Integer> places) {
        this.places = places;
    }

    /** All are kept: in training that is DL4J's alone. */
    static KeptOutputs all() {
        return new KeptOutputs(Map.of());
    }

    /**
     * @param footprints of all nodes, by name
     * @param again      stretches that are computed again, by the positions of their nodes
     */
    static KeptOutputs of(Network<?> planned, Map<String, Footprint> footprints, List<List<Integer>> again) {
        if (!planned.isGraph() || !planned.trainsInWorkspaces()) {
            return all();
        }
        // What stands for a frozen vertex, or for a layer in which backpropagation ends, passes nothing on to what is inside.
        KeptOutputs outputs = new KeptOutputs(PassingOutputs.places(planned, node -> passing(node.name(), footprints) > 0
                && !node.stopsGradient() && (node.layer() != null || !node.isOurs())));
        outputs.places.forEach((name, place) -> outputs.sizes.merge(place, passing(name, footprints), Math::max));
        List<Node> computed = again.stream().flatMap(List::stream).map(planned.nodes()::get).toList();
        computed.forEach(node -> outputs.starts.addAll(node.inputs()));
        // Of these, Workspaces counts the last of each stretch.
        computed.forEach(node -> outputs.starts.remove(node.name()));
        return outputs;
    }

    private static long passing(String name, Map<String, Footprint> footprints) {
        return Objects.requireNonNull(footprints.get(name)).passing();
    }

    /** The footprint with or without the output among what is kept. */
    Footprint decided(Node node, Footprint footprint) {
        return places.containsKey(node.name()) && !starts.contains(node.name()) ? footprint.passing(0)
                : keepingOutput(footprint);
    }

    /** The footprint with the output among what is kept. */
    static Footprint keepingOutput(Footprint all) {
        return new Footprint(all.kept() + all.passing(), 0, all.forward(), all.backward(), all.passed(), all.loop(),
                all.standing(), all.beside());
    }

    /** Values of all places. */
    long places() {
        return sizes.values().stream().mapToLong(Long::longValue).sum();
    }
}
