package io.github.dl4jlora.internal.undo;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.build.Accumulation;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.inspect.DisabledScopes;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.ThawedNetwork;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.layer.DenseTwin;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.report.LoRAMergeReport;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;

/**
 * Makes a stock network of an adapted one, with what the adapters learned or without: at iteration 0 and epoch 0, without updater
 * state.
 *
 * @param <M> the network type
 */
public final class Unadaptation<M extends Model> {

    private final Network<M> adapted;
    private final boolean merge;
    private final double weight;

    private Unadaptation(Network<M> adapted, boolean merge, double weight) {
        this.adapted = adapted;
        this.merge = merge;
        this.weight = weight;
    }

    /**
     * The stock network that computes the same: ΔW added to W.
     *
     * @throws IllegalStateException if the base has changed, a merged weight would be NaN or infinite, or the adapters are
     *                               disabled
     */
    public static <M extends Model> M merge(M model) {
        DisabledScopes.requireNone(model, "LoRA.merge");
        return Networks.outside(() -> new Unadaptation<>(Networks.of(model), true, 1).run());
    }

    /**
     * As {@link #merge(Model)}, of the layers that patterns match, all of them without any; where others are left, an adapted
     * network.
     *
     * @param weight of ΔW
     * @throws IllegalArgumentException if a pattern matches no adapted layer
     * @throws IllegalStateException    as {@link #merge(Model)}
     */
    public static <M extends Model> M merge(M model, List<Pattern> layers, double weight) {
        DisabledScopes.requireNone(model, "LoRA.merging");
        return Networks.outside(() -> {
            Network<M> adapted = Networks.of(model);
            List<Node> chosen = chosen(adapted, layers);
            BaseValues.verified(adapted);
            return chosen.size() == chosen(adapted, List.of()).size() ? new Unadaptation<>(adapted, true, weight).run()
                    : PartialMerge.of(adapted, chosen, weight);
        });
    }

    /**
     * What {@link #merge(Model, List, double)} would do.
     *
     * @param original the base as it was; null: what the network keeps is not compared with it
     * @throws IllegalArgumentException as there, and if the original is another network than the base
     */
    public static LoRAMergeReport report(Model model, List<Pattern> layers, double weight, @Nullable Model original) {
        DisabledScopes.requireNone(model, "LoRA.merging");
        return Networks.outside(() -> {
            Network<?> adapted = Networks.of(model);
            List<Node> chosen = chosen(adapted, layers);
            Map<String, AdaptedView.Base> bases = AdaptedView.of(model).verifiedBases();
            Network<?> base = original == null ? null : ThawedNetwork.of(Networks.of(original));
            if (base != null) {
                bases.forEach((layer, recorded) -> requireOriginal(base, layer, recorded.id()));
            }
            return new LoRAMergeReport(chosen.stream().flatMap(node -> MergedLayer.of(adapted, node)
                    .report(weight, base == null ? null : base.runtime(node.name()).params()).stream()).toList());
        });
    }

    private static void requireOriginal(Network<?> base, String layer, @Nullable String id) {
        Node node = base.nodes().stream().filter(one -> one.name().equals(layer)).findFirst().orElse(null);
        FrozenWeights weights = node == null ? null : base.unregistered(node);
        if (weights == null || !weights.id().equals(id)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": against(...) compares with the base as it was when it "
                    + "was adapted, content id " + id + ", but the network given "
                    + (node == null ? "has no such layer" : weights == null ? "has no parameters there"
                    : weights.scheme() != null ? "keeps it as " + weights.storedAs() : "has " + weights.id())
                    + ". Give the original base");
        }
    }

    private static List<Node> chosen(Network<?> network, List<Pattern> layers) {
        List<Node> adapted = network.nodes().stream().filter(node -> node.adapted() != null).toList();
        if (adapted.isEmpty()) {
            throw new IllegalArgumentException("The network is not adapted: it has no adapted layer, so there is nothing to "
                    + "merge");
        }
        for (Pattern pattern : layers) {
            if (adapted.stream().noneMatch(node -> node.isCalled(pattern))) {
                throw new IllegalArgumentException("layers(\"" + pattern + "\") matches none of the adapted layers, which are "
                        + LayerNames.of(adapted) + ": patterns must match the whole name of a layer, which is merged with all "
                        + "its matrices" + LayerNames.literally(pattern, adapted.stream().map(Node::name).toList()));
            }
        }
        return layers.isEmpty() ? adapted
                : adapted.stream().filter(node -> layers.stream().anyMatch(node::isCalled)).toList();
    }

    /**
     * The stock network without ΔW, with the base's values for layers that were trained in full.
     *
     * @throws IllegalStateException if the base has changed, or what it held for a layer that was trained in full is gone
     */
    public static <M extends Model> M unload(M model) {
        return Networks.outside(() -> new Unadaptation<>(Networks.of(model), false, 0).run());
    }

    private M run() {
        BaseValues.verified(adapted);
        Map<String, Layer> layers = new HashMap<>();
        Map<String, GraphVertex> vertices = new HashMap<>();
        adapted.nodes().forEach(node -> replace(node, layers, vertices));
        if (layers.isEmpty() && vertices.isEmpty()) {
            throw new IllegalArgumentException("The network is not adapted: it has no adapted layer, so there is nothing to "
                    + (merge ? "merge" : "unload"));
        }
        adapted.nodes().forEach(node -> takeOutAccumulation(node, layers, vertices));
        Map<String, FrozenReference> trainedInFull = merge ? Map.of()
                : BaseValues.ofTrainedInFull(adapted, "unloaded", ", or keep what they learned with LoRA.merge");
        Network<M> stock = adapted.rebuild(layers, vertices);
        if (adapted.nodes().stream().anyMatch(node -> node.adapted() != null)) {
            // The counts are those of adapters, and go with the updater's state, which is zero.
            stock.resetCounts();
        }
        adapted.nodes().forEach(node -> fill(node, stock, trainedInFull.get(node.name())));
        return stock.model();
    }

    private void replace(Node node, Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        LowRankLayer path = MergedValues.lowRank(node);
        if (path != null) {
            refuseUnload(node);
            layers.put(node.name(), node.frozenAlike(DenseTwin.stockOf(path)));
        } else if (node.replacement() != null && node.layer() != null) {
            layers.put(node.name(), node.frozenAlike(node.replacedLayer()));
        } else if (node.replacement() != null) {
            vertices.put(node.name(), node.frozenAlike(node.replacedVertex()));
        } else {
            node.requireFreezable();
        }
    }

    /** A network of DL4J's own classes has DL4J's own updaters. */
    private static void takeOutAccumulation(Node node, Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        if (node.layer() != null) {
            Layer copy = StockLayers.copy(layers.getOrDefault(node.name(), node.layer()));
            if (Accumulation.takeOut(copy)) {
                layers.put(node.name(), copy);
            }
        } else {
            GraphVertex copy = StockLayers.copy(vertices.getOrDefault(node.name(), Objects.requireNonNull(node.vertex())));
            if (Accumulation.takeOut(copy)) {
                vertices.put(node.name(), copy);
            }
        }
    }

    private void refuseUnload(Node node) {
        if (!merge) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" is a LowRankLayer without a base layer: nothing "
                    + "would be left of it without its low-rank path. Use LoRA.merge");
        }
    }

    /** @param before the base's values for a layer that trains in full; null where its own stay */
    private void fill(Node node, Network<M> stock, @Nullable FrozenReference before) {
        Trainable runtime = stock.runtime(node.name());
        INDArray values = runtime.params();
        if (values == null || values.length() == 0) {
            return;
        }
        Map<String, INDArray> merged = runtime.paramTable(false);
        LowRankLayer path = MergedValues.lowRank(node);
        if (path != null) {
            MergedLayer.mergeAlone(path, adapted.runtime(node.name()), merged);
            MergedLayer.requireFinite(node, values);
            return;
        }
        FrozenReference base = node.frozenReference() != null ? node.frozenReference() : before;
        INDArray without = base != null ? base.values(node.name(), adapted.dataType(), values.length())
                : Network.head(adapted.runtime(node.name()).params(), values.length());
        values.assign(without.reshape(values.shape()));
        if (merge && node.adapted() != null) {
            MergedLayer.of(adapted, node).mergeInto(merged, weight);
            MergedLayer.requireFinite(node, values);
        }
    }
}
