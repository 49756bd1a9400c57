package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.frozen.FrozenBaseVertex;
import io.github.dl4jlora.frozen.TrainedSameDiffVertex;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.FrozenWeightsRegistry;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.run.AdaptedConfiguration;
import io.github.dl4jlora.internal.run.AdaptedParameter;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LoRAWrapperVertex;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.internal.run.TrainedBias;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.BooleanIndexing;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.indexing.conditions.Conditions;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

/**
 * Turns stock networks into adapted ones and back. Both ways it plans first, then builds a new network from the
 * configuration with some layers replaced, then fills in the values.
 */
public final class Rewriter {

    private Rewriter() {
    }

    /**
     * @throws IllegalArgumentException for a network that cannot be adapted as configured
     */
    public static <M extends Model> M apply(M base, LoRAConfig config) {
        Objects.requireNonNull(config, "config");
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Network<M> from = Network.of(base);
            refuseAdapted(from);
            Plan plan = Plan.of(from.nodes(), config);
            Map<String, Layer> layers = new HashMap<>();
            Map<String, GraphVertex> vertices = new HashMap<>();
            for (Node node : from.nodes()) {
                replace(node, plan.decisions().get(node.name()), from, config, layers, vertices);
            }
            Network<M> adapted = from.rebuild(layers, vertices);
            for (Node node : adapted.nodes()) {
                fill(node, from, adapted, config);
            }
            leaveOutInputGradients(adapted);
            refuseUntrainable(adapted);
            return adapted.model();
        }
    }

    /** ComputationGraph counts the parameters of layers alone, and without any its fit does nothing, silently. */
    private static void refuseUntrainable(Network<?> adapted) {
        if (adapted.model().numParams() == 0) {
            throw new IllegalArgumentException("Only vertices would train, "
                    + adapted.nodes().stream().filter(node -> node.adapted() != null).map(Node::name).toList()
                    + ": a ComputationGraph in which no layer has parameters is not trained by DL4J's fit, which overlooks vertices. "
                    + "Adapt a layer too with targets(...), train one in full with trainable(...), or use FrozenStorage.EMBEDDED");
        }
    }

    private static void refuseAdapted(Network<?> network) {
        for (Node node : network.nodes()) {
            if (isOurs(node)) {
                throw new IllegalArgumentException("The network is adapted already: layer \"" + node.name() + "\" is a " + node.type()
                        + ". Call LoRA.merge or LoRA.unload first, or swap adapters with LoRAAdapter.applyTo");
            }
        }
    }

    /** Whether nothing of this node trains, through this library or through DL4J's own wrappers. */
    static boolean isFrozen(Node node) {
        return node.unwrappedLayer() instanceof FrozenBaseLayer || node.unwrappedVertex() instanceof FrozenBaseVertex
                || node.layer() instanceof FrozenLayer || node.layer() instanceof FrozenLayerWithBackprop
                || node.vertex() instanceof FrozenVertex;
    }

    private static boolean isOurs(Node node) {
        return node.adapted() != null || node.unwrappedLayer() instanceof FrozenBaseLayer
                || node.unwrappedVertex() instanceof FrozenBaseVertex;
    }

    private static void replace(Node node, Plan.Decision decision, Network<?> from, LoRAConfig config,
                                Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        boolean stops = decision.role() == Role.FREEZE_STOP;
        switch (decision.role()) {
            case ADAPT, TRAIN_BIAS -> {
                FrozenReference frozen = reference(node, from, config);
                Map<String, INDArray> table = from.runtime(node.name()).paramTable(false);
                if (node.layer() != null) {
                    layers.put(node.name(), AdaptedLayers.adapt(node, decision.keys(), table, config, frozen));
                } else {
                    vertices.put(node.name(),
                            AdaptedLayers.adaptVertex(node, decision.keys(), table, config, frozen, from.nodes()));
                }
            }
            case TRAIN -> {
                if (node.layer() != null) {
                    layers.put(node.name(), AdaptedLayers.trained(node.layer(), config.updater()));
                } else if (node.unwrappedVertex() instanceof SameDiffVertex) {
                    SameDiffVertex vertex = (SameDiffVertex) StockLayers.copy(node.unwrappedVertex());
                    if (config.updater() != null) {
                        vertex.setUpdater(config.updater().clone());
                    }
                    vertices.put(node.name(), new TrainedSameDiffVertex(vertex));
                }
            }
            case FREEZE_PASS, FREEZE_STOP -> {
                FrozenReference frozen = reference(node, from, config);
                if (node.layer() != null) {
                    layers.put(node.name(), new FrozenBaseLayer(node.layer().clone(), stops, frozen));
                } else {
                    vertices.put(node.name(), new FrozenBaseVertex(StockLayers.copy(node.vertex()), stops, frozen));
                }
            }
            case KEEP -> {
                // Computes as it did.
            }
        }
    }

    private static FrozenReference reference(Node node, Network<?> from, LoRAConfig config) {
        Trainable runtime = from.runtime(node.name());
        if (config.storage() == FrozenStorage.EMBEDDED || runtime.params() == null || runtime.params().length() == 0) {
            return null;
        }
        FrozenWeights weights = config.copyBase() ? FrozenWeights.copyOf(runtime.params(), runtime.paramTable(false))
                : FrozenWeights.of(runtime.params(), runtime.paramTable(false));
        return FrozenReference.to(weights, config.baseLocation());
    }

    private static void fill(Node node, Network<?> from, Network<?> adapted, LoRAConfig config) {
        Trainable runtime = adapted.runtime(node.name());
        INDArray values = runtime.params();
        if (values == null || values.length() == 0) {
            return;
        }
        INDArray base = from.runtime(node.name()).params();
        AdaptedConfiguration lora = node.adapted();
        if (lora != null) {
            if (lora.getStorage() == FrozenStorage.EMBEDDED) {
                head(values, base.length()).assign(base.reshape(base.length()));
            }
            long seed = config.seed() == null ? from.seed() : config.seed();
            lora.biases().forEach(bias -> fillBias(runtime.paramTable(false), bias, from.runtime(node.name())));
            for (AdaptedParameter parameter : lora.adapted()) {
                // Java's hash of the name tells matrices of one shape apart.
                long start = seed * 31 + lora.matrices().module(node.name(), parameter.key()).hashCode();
                if (lora instanceof LoRADenseLayer) {
                    ((AdaptedRuntime) runtime).start(start);
                } else {
                    Map<String, INDArray> table = runtime.paramTable(false);
                    lora.matrices().initialize(table.get(lora.key(parameter, Variant.A)),
                            table.get(lora.key(parameter, Variant.B)), config.loraInit(), new Random(start));
                }
            }
        } else {
            values.assign(base.reshape(values.shape()));
        }
    }

    private static void fillBias(Map<String, INDArray> trained, TrainedBias bias, Trainable stock) {
        trained.get(bias.key()).assign(stock.paramTable(false).get(bias.key()).reshape('c', 1, bias.length()));
    }

    static INDArray head(INDArray values, long length) {
        return values.reshape(values.length()).get(NDArrayIndex.interval(0, length));
    }

    /**
     * Lets adapted layers skip the gradient of their input where nobody can miss it: the input is a network input or
     * a stopped layer, this layer is its only consumer, and no preprocessor stands between, which would not take null.
     */
    public static void leaveOutInputGradients(Model model) {
        leaveOutInputGradients(Network.of(model));
    }

    private static void leaveOutInputGradients(Network<?> network) {
        Map<String, Integer> consumers = new HashMap<>();
        Set<String> passing = new HashSet<>();
        Set<String> stopped = new HashSet<>();
        for (Node node : network.nodes()) {
            node.inputs().forEach(input -> consumers.merge(input, 1, Integer::sum));
            (stops(node) ? stopped : passing).add(node.name());
        }
        for (Node node : network.nodes()) {
            if (network.runtime(node.name()) instanceof AdaptedRuntime runtime) {
                String input = node.inputs().get(0);
                boolean missed = node.hasPreprocessor() || passing.contains(input) || consumers.get(input) > 1;
                runtime.setInputGradient(missed ? InputGradient.NEEDED
                        : stopped.contains(input) ? InputGradient.UNNEEDED : InputGradient.FOR_CALLERS);
            }
        }
    }

    private static boolean stops(Node node) {
        return node.layer() instanceof FrozenLayer || node.vertex() instanceof FrozenVertex
                || node.layer() instanceof FrozenBaseLayer layer && layer.isStopsGradient()
                || node.vertex() instanceof FrozenBaseVertex vertex && vertex.isStopsGradient();
    }

    /**
     * The stock network that computes the same: ΔW added to W.
     *
     * @throws IllegalStateException if the base has changed, or a merged weight would be NaN or infinite
     */
    public static <M extends Model> M merge(M model) {
        return toStock(model, true);
    }

    /** The stock network without ΔW. Layers that were trained in full keep what they learned. */
    public static <M extends Model> M unload(M model) {
        return toStock(model, false);
    }

    private static <M extends Model> M toStock(M model, boolean merge) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Network<M> adapted = Network.of(model);
            verifyBase(adapted);
            Map<String, Layer> layers = new HashMap<>();
            Map<String, GraphVertex> vertices = new HashMap<>();
            for (Node node : adapted.nodes()) {
                if (node.adapted() instanceof LoRAWrapperVertex lora) {
                    vertices.put(node.name(), wrappedLike(node, StockLayers.copy(lora.getOrigin())));
                } else if (node.adapted() != null) {
                    layers.put(node.name(), wrappedLike(node, AdaptedLayers.toStock(node.adapted())));
                } else if (node.unwrappedLayer() instanceof FrozenBaseLayer frozen) {
                    layers.put(node.name(), wrappedLike(node, frozen.getOrigin().clone()));
                } else if (node.unwrappedVertex() instanceof FrozenBaseVertex frozen) {
                    vertices.put(node.name(), StockLayers.copy(frozen.getOrigin()));
                } else if (StockLayers.isStandIn(node.layer())) {
                    layers.put(node.name(), wrappedLike(node, node.unwrappedLayer().clone()));
                } else if (StockLayers.isStandIn(node.vertex())) {
                    vertices.put(node.name(), wrappedLike(node, StockLayers.copy(node.unwrappedVertex())));
                } else if (node.unwrappedLayer() instanceof LowRankLayer path) {
                    refuseUnload(node, merge);
                    layers.put(node.name(), wrappedLike(node, AdaptedLayers.toStock(path)));
                }
            }
            if (layers.isEmpty() && vertices.isEmpty()) {
                throw new IllegalArgumentException("The network is not adapted: it has no adapted layer, so there is nothing to "
                        + (merge ? "merge" : "unload"));
            }
            Network<M> stock = adapted.rebuild(layers, vertices);
            for (Node node : adapted.nodes()) {
                fillStock(node, adapted, stock, merge);
            }
            return stock.model();
        }
    }

    /** A layer that TransferLearning froze after it was adapted stays frozen. */
    private static Layer wrappedLike(Node node, Layer stock) {
        if (!(node.layer() instanceof FrozenLayer) || stock instanceof FrozenLayer) {
            return stock;
        }
        FrozenLayer frozen = new FrozenLayer(stock);
        // Its own name, which the constructor does not take from the layer inside.
        frozen.setLayerName(stock.getLayerName());
        return frozen;
    }

    private static GraphVertex wrappedLike(Node node, GraphVertex stock) {
        return node.vertex() instanceof FrozenVertex && !(stock instanceof FrozenVertex) ? new FrozenVertex(stock) : stock;
    }

    private static void refuseUnload(Node node, boolean merge) {
        if (!merge) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" is a lone LowRankLayer: without its path nothing would be "
                    + "left of it. Use LoRA.merge");
        }
    }

    private static void fillStock(Node node, Network<?> adapted, Network<?> stock, boolean merge) {
        Trainable runtime = stock.runtime(node.name());
        INDArray values = runtime.params();
        if (values == null || values.length() == 0) {
            return;
        }
        Map<String, INDArray> trained = adapted.runtime(node.name()).paramTable(false);
        Map<String, INDArray> merged = runtime.paramTable(false);
        if (node.unwrappedLayer() instanceof LowRankLayer path) {
            new PlainLoRA().merge(merged.get(DefaultParamInitializer.WEIGHT_KEY), trained, path.factor());
            requireFinite(node, values);
            return;
        }
        values.assign(frozenOrTrained(node, adapted, values.length()).reshape(values.shape()));
        AdaptedConfiguration lora = node.adapted();
        if (merge && lora instanceof LoRADenseLayer) {
            AdaptedRuntime.of(adapted.runtime(node.name())).mergeInto(merged);
            requireFinite(node, values);
        } else if (merge && lora != null) {
            for (TrainedBias bias : lora.biases()) {
                INDArray stockBias = merged.get(bias.key());
                stockBias.assign(trained.get(bias.key()).reshape('c', stockBias.shape()));
            }
            for (AdaptedParameter parameter : lora.adapted()) {
                lora.matrices().forms().get(parameter.key()).add(trained.get(lora.key(parameter, Variant.A)),
                        trained.get(lora.key(parameter, Variant.B)), parameter.factor(), merged.get(parameter.key()));
            }
            requireFinite(node, values);
        }
    }

    private static void requireFinite(Node node, INDArray merged) {
        if (BooleanIndexing.or(merged, Conditions.notFinite())) {
            throw new IllegalStateException("Layer \"" + node.name() + "\": the merged weights hold NaN or infinity. The adapter has "
                    + "diverged; lower its learning rate or alpha, or go back to an earlier checkpoint. Nothing was merged");
        }
    }

    /** The values of a node's stock layer, without ΔW, whichever way the adapted network holds them. */
    private static INDArray frozenOrTrained(Node node, Network<?> network, long length) {
        FrozenReference frozen = reference(node);
        if (frozen != null) {
            return frozen.values(node.name(), network.dataType(), length);
        }
        return head(network.runtime(node.name()).params(), length);
    }

    /** The frozen weights a node refers to; null for one that has none outside the vector. */
    static FrozenReference reference(Node node) {
        return node.adapted() != null ? node.adapted().getFrozen()
                : node.unwrappedLayer() instanceof FrozenBaseLayer frozen ? frozen.getFrozen()
                : node.unwrappedVertex() instanceof FrozenBaseVertex frozen ? frozen.getFrozen()
                : null;
    }

    /**
     * Every layer's frozen weights by name, in topological order.
     *
     * @throws IllegalStateException if weights are missing, or are not what they were when the network was adapted
     */
    public static Map<String, FrozenWeights> verifiedBase(Model model) {
        return verifyBase(Network.of(model));
    }

    /**
     * The frozen weights of every layer, and what adapters hold that does not train.
     *
     * @throws IllegalStateException if weights are missing, or are not what they were when the network was adapted
     */
    public static List<FrozenWeights> everythingFrozen(Model model) {
        List<FrozenWeights> all = new ArrayList<>(verifiedBase(model).values());
        for (Node node : Network.of(model).nodes()) {
            if (node.adapted() instanceof LoRADenseLayer lora && lora.getConstants() != null) {
                AdaptedRuntime.of(Network.of(model).runtime(node.name())).adapterParameters();
                all.add(lora.getConstants().require(node.name()));
            }
        }
        return all;
    }

    private static Map<String, FrozenWeights> verifyBase(Network<?> network) {
        Map<String, FrozenWeights> verified = new LinkedHashMap<>();
        for (Node node : network.nodes()) {
            FrozenReference reference = reference(node);
            if (reference != null) {
                FrozenWeights weights = reference.require(node.name());
                weights.verify(node.name());
                verified.put(node.name(), weights);
            }
        }
        return verified;
    }

    /**
     * Gives a restored network the base it was adapted from. All layers are compared before the first is bound.
     *
     * @throws IllegalArgumentException if the base lacks a layer or has another in its place
     */
    public static void attach(Model model, Model base) {
        Network<?> network = Network.of(model);
        Network<?> from = Network.of(base);
        List<String> names = from.nodes().stream().map(Node::name).toList();
        Map<FrozenReference, FrozenWeights> found = new IdentityHashMap<>();
        for (Node node : network.nodes()) {
            FrozenReference reference = reference(node);
            if (reference == null) {
                continue;
            }
            if (!names.contains(node.name())) {
                throw new IllegalArgumentException("The base has no layer \"" + node.name() + "\"; it has " + names
                        + ". Attach the network that was adapted");
            }
            found.put(reference, matching(node.name(), reference, from.runtime(node.name())));
        }
        if (found.isEmpty()) {
            throw new IllegalArgumentException("The network refers to no base: it was not made by LoRA.apply with storage SHARED");
        }
        found.forEach(FrozenReference::bind);
        leaveOutInputGradients(network);
    }

    private static FrozenWeights matching(String name, FrozenReference reference, Trainable base) {
        INDArray values = base.params();
        if (values == null || values.length() == 0) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has no parameters, but the network expects "
                    + reference.getSignature());
        }
        if (values.wasClosed()) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base was closed");
        }
        String signature = FrozenWeights.signature(values.dataType(), base.paramTable(false));
        if (!signature.equals(reference.getSignature())) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has " + signature + ", but the network was "
                    + "adapted from one with " + reference.getSignature() + ". Attach the network that was adapted");
        }
        FrozenWeights weights = FrozenWeights.unregistered(values, base.paramTable(false));
        if (!weights.id().equals(reference.getId())) {
            throw new IllegalArgumentException("Layer \"" + name + "\" of the base has other weights than the network was adapted from: "
                    + "content id " + weights.id() + ", expected " + reference.getId() + ". Attach the network that was adapted, "
                    + "as it was then: a base must not be trained afterwards");
        }
        return FrozenWeightsRegistry.register(weights);
    }
}
