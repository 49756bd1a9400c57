package io.github.dl4jlora.internal.undo;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.build.FirstSteps;
import io.github.dl4jlora.internal.build.NetworkBuilder;
import io.github.dl4jlora.internal.build.Recomputation;
import io.github.dl4jlora.internal.build.Wiring;
import io.github.dl4jlora.internal.inspect.Scales;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Makes an adapted network of an adapted one: some of its layers merged and frozen, the others adapted as they are. Its
 * base is another one from then on: where frozen weights are outside the vector, the merged ones are arrays of their own.
 *
 * @param <M> the network type
 */
final class PartialMerge<M extends Model> {

    private final Network<M> adapted;
    private final Map<String, INDArray> merged = new HashMap<>();
    private final Map<String, Layer> layers = new HashMap<>();
    private final Map<String, GraphVertex> vertices = new HashMap<>();

    private PartialMerge(Network<M> adapted) {
        this.adapted = adapted;
    }

    /**
     * @param chosen the nodes to merge, not all that are adapted
     * @param weight of ΔW
     * @throws IllegalStateException if a merged weight would be NaN or infinite, or a layer that stays adapted is scaled
     */
    static <M extends Model> M of(Network<M> adapted, List<Node> chosen, double weight) {
        PartialMerge<M> merge = new PartialMerge<>(adapted);
        for (Node node : chosen) {
            merge.merged.put(node.name(), MergedLayer.of(adapted, node).merged(weight));
        }
        merge.requireOthersUnscaled();
        return merge.run();
    }

    private void requireOthersUnscaled() {
        List<String> scaled = Scales.scaled(adapted, node -> !merged.containsKey(node.name()));
        if (!scaled.isEmpty()) {
            throw new IllegalStateException("LoRA.merging was called while LoRA.setScale or LoRA.rescaled scales " + scaled
                    + ", which are not merged and would lose their factors. Close the scope, or call setScale(…, 1), first, and "
                    + "set weight(…) for what is merged");
        }
    }

    private M run() {
        Set<String> reached = new HashSet<>();
        for (Node node : adapted.nodes()) {
            boolean trainsUpstream = node.inputs().stream().anyMatch(reached::contains);
            if (merged.containsKey(node.name())) {
                freeze(node, node.isFrozenByDl4j() || !trainsUpstream);
            }
            if (trainsUpstream || !merged.containsKey(node.name()) && node.numParams() > 0 && !node.isFrozen()) {
                reached.add(node.name());
            }
        }
        Network<M> result = adapted.rebuild(layers, vertices);
        // The counts go with the updater's state, which is zero.
        result.resetCounts();
        adapted.nodes().forEach(node -> fill(node, result));
        Wiring.connect(result);
        Recomputation.copy(adapted, result);
        FirstSteps.resume(result);
        NetworkBuilder.refuseUntrainable(result);
        return result.model();
    }

    private void freeze(Node node, boolean stops) {
        FrozenReference frozen = reference(node);
        if (node.layer() != null) {
            layers.put(node.name(), new FrozenBaseLayer(node.replacedLayer(), stops, frozen));
        } else {
            vertices.put(node.name(), new FrozenBaseVertex(node.replacedVertex(), stops, frozen));
        }
    }

    /** The merged weights outside the vector, with what the base's record; null where they are inside. */
    private @Nullable FrozenReference reference(Node node) {
        AdaptedConfiguration lora = Objects.requireNonNull(node.adapted());
        if (lora.getStorage() == FrozenStorage.EMBEDDED) {
            return null;
        }
        INDArray values = Objects.requireNonNull(merged.get(node.name()));
        FrozenReference reference = FrozenReference.to(FrozenWeights.of(values, lora.stockTable(values, false)), null);
        FrozenReference before = Objects.requireNonNull(lora.getFrozen());
        if (before.isPacked()) {
            reference.pack();
        }
        Map<String, FrozenReference> trained = before.getTrainedInFull();
        return trained == null ? reference : reference.recording(trained);
    }

    private void fill(Node node, Network<M> result) {
        INDArray values = result.runtime(node.name()).params();
        if (values != null && values.length() > 0) {
            INDArray ofMerge = merged.get(node.name());
            INDArray from = ofMerge != null ? ofMerge : adapted.runtime(node.name()).params();
            values.assign(from.reshape(values.shape()));
        }
    }
}
