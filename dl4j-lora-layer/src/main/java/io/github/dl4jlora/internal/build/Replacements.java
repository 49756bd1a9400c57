package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.frozen.TrainedSameDiffVertex;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.plan.Plan;
import io.github.dl4jlora.internal.plan.Role;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;

/** The configurations that take the place of a network's own, as a plan says. */
final class Replacements {

    private final Network<?> from;
    private final List<Node> nodes;
    private final LoRAConfig config;
    private final Plan plan;
    private final BaseStorage storing;
    private final boolean onlyPlans;
    private final Map<String, Layer> layers = new HashMap<>();
    private final Map<String, GraphVertex> vertices = new HashMap<>();
    private @Nullable Map<String, FrozenReference> toRecord;

    /** @param onlyPlans whether nothing is to be made, so that weights are described where they would be hashed or copied */
    Replacements(Network<?> from, List<Node> nodes, LoRAConfig config, Plan plan, BaseStorage storing, boolean onlyPlans) {
        this.from = from;
        this.nodes = nodes;
        this.config = config;
        this.plan = plan;
        this.storing = storing;
        this.onlyPlans = onlyPlans;
        toRecord = config.storage() == FrozenStorage.SHARED ? trainedInFull() : null;
        nodes.forEach(this::replace);
    }

    /** Of layers, by the node's name. */
    Map<String, Layer> layers() {
        return layers;
    }

    /** Of vertices, likewise. */
    Map<String, GraphVertex> vertices() {
        return vertices;
    }

    /** What is adapted, by the name of the layer or vertex. */
    void forEachAdapted(BiConsumer<String, AdaptedParameter> look) {
        for (Node node : nodes) {
            Object made = layers.containsKey(node.name()) ? layers.get(node.name()) : vertices.get(node.name());
            if (made instanceof AdaptedConfiguration lora) {
                lora.adapted().forEach(parameter -> look.accept(node.name(), parameter));
            }
        }
    }

    /** What the base holds for the layers that train in full, for unload to give it back. */
    private Map<String, FrozenReference> trainedInFull() {
        Map<String, FrozenReference> trained = new LinkedHashMap<>();
        for (Node node : nodes) {
            if (plan.decision(node).role() == Role.TRAIN) {
                trained.put(node.name(), referenceTo(node));
            }
        }
        return trained;
    }

    private void replace(Node node) {
        Plan.Decision decision = plan.decision(node);
        switch (decision.role()) {
            case ADAPT, TRAIN_BIAS -> adapt(node, decision);
            case TRAIN -> train(node);
            case FREEZE_PASS, FREEZE_STOP -> freeze(node, decision.role() == Role.FREEZE_STOP);
            case KEEP -> {
                // Computes as it did; so do clones of the network if this library makes them.
                if (node.layer() == null && StockLayers.forgetsWhenCloned(Objects.requireNonNull(node.vertex()))) {
                    freeze(node, false);
                }
            }
        }
    }

    private void adapt(Node node, Plan.Decision decision) {
        FrozenReference frozen = reference(node);
        Map<String, long[]> shapes = from.shapes(node);
        if (node.layer() != null) {
            layers.put(node.name(), AdaptedLayers.adapt(node, decision.keys(), shapes, config, frozen));
        } else {
            vertices.put(node.name(), AdaptedLayers.adaptVertex(node, decision.keys(), shapes, config, frozen, nodes));
        }
    }

    private void train(Node node) {
        if (node.layer() != null) {
            layers.put(node.name(), AdaptedLayers.trained(node.layer(), config.updater()));
        } else if (node.unwrappedVertex() instanceof SameDiffVertex) {
            SameDiffVertex vertex = (SameDiffVertex) StockLayers.copy(node.unwrappedVertex());
            if (config.updater() != null) {
                vertex.setUpdater(config.updater());
                vertex.setBiasUpdater(null);
            }
            vertices.put(node.name(), new TrainedSameDiffVertex(vertex));
        }
    }

    private void freeze(Node node, boolean stops) {
        FrozenReference frozen = reference(node);
        if (node.layer() != null) {
            layers.put(node.name(), new FrozenBaseLayer(StockLayers.copy(node.layer()), stops, frozen));
        } else {
            vertices.put(node.name(), new FrozenBaseVertex(StockLayers.copy(Objects.requireNonNull(node.vertex())), stops,
                    frozen));
        }
    }

    /** The node's frozen weights outside the vector; the first of the network records those that train in full. */
    private @Nullable FrozenReference reference(Node node) {
        FrozenReference reference = config.storage() == FrozenStorage.SHARED ? referenceTo(node) : null;
        if (reference != null && (config.pack() || from.isPacked(node))) {
            reference.pack();
        }
        if (reference == null || toRecord == null) {
            return reference;
        }
        FrozenReference recording = reference.recording(toRecord);
        toRecord = null;
        return recording;
    }

    /** Null for a node without parameters. */
    private @Nullable FrozenReference referenceTo(Node node) {
        Plan.Decision decision = plan.decision(node);
        if (onlyPlans) {
            FrozenReference described = from.described(node);
            return described == null ? null : storing.planned(node, decision, described);
        }
        FrozenWeights weights = from.weights(node);
        return weights == null ? null
                : FrozenReference.to(storing.stored(node, decision, weights), config.baseLocation());
    }
}
