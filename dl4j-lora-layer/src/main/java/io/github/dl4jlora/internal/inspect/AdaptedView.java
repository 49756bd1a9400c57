package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.TorchTable;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;

/**
 * The trained parts of an adapted network, live: writing to these arrays writes to the network.
 */
public final class AdaptedView {

    /**
     * An adapted parameter of a layer.
     *
     * @param layer     the layer's or vertex's name
     * @param parameter what is adapted
     * @param conf      the layer's configuration
     * @param parts     A {@code [nIn, rank]}, B {@code [rank, nOut]} and whatever else the adapter consists of: a trained b
     *                  {@code [1, nOut]}, where the layer has one matrix and one bias
     * @param runtime   the running layer; null for a vertex that DL4J froze, which hides it
     */
    public record AdaptedMatrix(String layer, AdaptedParameter parameter, AdaptedConfiguration conf, Map<String, INDArray> parts,
                                @Nullable AdaptedRuntime runtime) {

        /** A {@code [nIn, rank]}. */
        public INDArray a() {
            return Objects.requireNonNull(parts.get(Variant.A));
        }

        /** Alpha as it is now. */
        public double alpha() {
            return parameter.alpha();
        }

        /** Scaling as it is now. */
        public Scaling scaling() {
            return parameter.scaling();
        }

        /** Variant, start and whatever else makes the adapter. */
        public LoRASettings settings() {
            return conf.settings(parameter);
        }

        /** The stock layer; null for a vertex. */
        public @Nullable Layer stock() {
            return conf.stockLayer();
        }

        /** Changes the factor of ΔW. */
        public void rescale(double newAlpha, Scaling newScaling) {
            if (newAlpha != alpha() || newScaling != scaling()) {
                running().rescale(parameter.key(), newAlpha, newScaling);
            }
        }

        /**
         * @throws IllegalStateException if its parts cannot be overwritten
         */
        public void requireReplaceable() {
            running();
        }

        /** Overwrites parts, by key. */
        public void replace(Map<String, INDArray> values) {
            running().replace(parameter.key(), values);
        }

        private Adapter running() {
            if (runtime == null) {
                throw new IllegalStateException("Vertex \"" + layer
                        + "\" was frozen after it was adapted, and DL4J's FrozenVertex hides it: its adapter cannot be "
                        + "replaced. Apply the adapter to the base again with LoRA.apply");
            }
            return runtime.adapter();
        }

        /** See {@link AdaptedRuntime#tellsExamplesApart}. */
        public boolean tellsExamplesApart() {
            return Objects.requireNonNull(runtime).tellsExamplesApart();
        }

        /** See {@link AdaptedRuntime#outputScale}; here the parts may be of another data type, such as a file's. */
        public @Nullable INDArray outputScale(Variant variant, Map<String, INDArray> otherParts, double factor) {
            Map<String, INDArray> cast = new LinkedHashMap<>(otherParts);
            cast.replaceAll((key, value) -> value.castTo(a().dataType()));
            return Objects.requireNonNull(runtime).outputScale(variant, cast, factor);
        }

        /** See {@link AdaptedRuntime#route}. */
        public void route(long examples, BooleanSupplier inOrder, @Nullable List<Route> routes) {
            Objects.requireNonNull(runtime).route(parameter.key(), examples, inOrder, routes);
        }
    }

    /**
     * The frozen weights of an adapted layer.
     *
     * @param id       content id of the original values; null if nobody knows them
     * @param storedAs how they are kept: the scheme, or the data type; null likewise
     */
    public record Base(@Nullable String id, @Nullable String storedAs) {

        /** Of a layer whose frozen weights nobody knows. */
        public static final Base UNKNOWN = new Base(null, null);

        /** Of frozen weights, as their ids say. */
        public static Base of(FrozenWeights weights) {
            return new Base(weights.baseId(), weights.storedAs());
        }
    }

    /** A layer that is trained in full; {@code conf} is null for a vertex that is no layer. */
    public record TrainedLayer(@Nullable Layer conf, Map<String, INDArray> table) {
    }

    private final Network<?> network;
    private final TorchTable torch;
    private final Map<String, AdaptedMatrix> adapted = new LinkedHashMap<>();
    private final Map<String, TrainedLayer> trained = new LinkedHashMap<>();
    private final Map<String, INDArray> biases = new LinkedHashMap<>();
    private final Map<String, Layer> biased = new LinkedHashMap<>();
    private boolean trainsBiasesAlone;
    private double dropout;

    private AdaptedView(Network<?> network) {
        this.network = network;
        this.torch = TorchTable.of(network.nodes());
        for (Node node : network.nodes()) {
            Trainable running = network.runtime(node.name());
            Map<String, INDArray> table = running.paramTable(false);
            AdaptedConfiguration lora = node.adapted();
            if (lora != null) {
                addAdapted(node, lora, running, table);
            } else if (network.trainsInFull(node) && table != null && !table.isEmpty()) {
                trained.put(node.name(), new TrainedLayer(node.layer(), DisabledScopes.own(network.model(), node.name(), table)));
            }
        }
    }

    private void addAdapted(Node node, AdaptedConfiguration lora, Trainable running, Map<String, INDArray> table) {
        AdaptedRuntime runtime = AdaptedRuntime.of(running);
        for (AdaptedParameter parameter : lora.adapted()) {
            adapted.put(lora.matrices().module(node.name(), parameter.key()),
                    new AdaptedMatrix(node.name(), parameter, lora, parts(running, lora, parameter), runtime));
        }
        if (!lora.hasBiasAsPart()) {
            lora.biases().forEach(bias -> {
                // Vertices that are no layers have none.
                Layer stock = Objects.requireNonNull(lora.stockLayer());
                String name = StockBiases.module(stock, node.name(), bias.key());
                biases.put(name, table.get(bias.key()));
                biased.put(name, stock);
            });
        }
        trainsBiasesAlone |= lora.adapted().isEmpty();
        dropout = Math.max(dropout, lora.getLoraDropout());
    }

    /** What the adapter of one parameter consists of, by part: of a vertex that DL4J froze, what its table shows. */
    public static Map<String, INDArray> parts(Trainable running, AdaptedConfiguration lora, AdaptedParameter parameter) {
        AdaptedRuntime runtime = AdaptedRuntime.of(running);
        if (runtime != null) {
            return runtime.adapter().parts(parameter.key());
        }
        Map<String, INDArray> parts = new LinkedHashMap<>();
        lora.layout().of(parameter).forEach(slot -> parts.put(slot.parameter().key(), running.paramTable(false).get(slot.key())));
        return parts;
    }

    /** The trained parts of an adapted network. */
    public static AdaptedView of(Model model) {
        return new AdaptedView(Networks.of(model));
    }

    /**
     * In topological order, by the name they have in adapter files: the layer's, or {@code layer.key} where a layer has
     * several matrices.
     */
    public Map<String, AdaptedMatrix> adaptedMatrices() {
        return adapted;
    }

    /**
     * Trained biases that are no part of an adapted matrix, {@code [1, length]}, by the name they have in adapter files
     * before {@code .bias}: the layer's, or {@code layer.key} where a layer has several.
     */
    public Map<String, INDArray> biases() {
        return biases;
    }

    /** The layer that one of {@link #biases} is of. */
    public Layer biased(String name) {
        return Objects.requireNonNull(biased.get(name));
    }

    /** Which biases train: all of them where those of otherwise frozen layers do. */
    public BiasTraining biasTraining() {
        return biases.isEmpty() && adapted.values().stream()
                .noneMatch(matrix -> matrix.parts().containsKey(DefaultParamInitializer.BIAS_KEY))
                ? BiasTraining.NONE : trainsBiasesAlone ? BiasTraining.ALL : BiasTraining.LORA_ONLY;
    }

    /** By name, in topological order. */
    public Map<String, TrainedLayer> trainedLayers() {
        return trained;
    }

    /** The probability with which the low-rank paths drop their inputs. */
    public double dropout() {
        return dropout;
    }

    /**
     * What each adapted layer stands on; adapters are made for its original, whichever way a network keeps it.
     *
     * @throws IllegalStateException if frozen weights are missing, or have changed since the network was adapted
     */
    public Map<String, Base> verifiedBases() {
        Map<String, Base> bases = new LinkedHashMap<>();
        BaseValues.verified(network).forEach((name, weights) -> bases.put(name, Base.of(weights)));
        for (Node node : network.nodes()) {
            AdaptedConfiguration lora = node.adapted();
            if (lora != null && lora.getStorage() == FrozenStorage.EMBEDDED) {
                bases.put(node.name(), Base.of(embedded(lora, network.runtime(node.name()))));
            }
        }
        return bases;
    }

    /**
     * What the base holds for an adapted layer, by DL4J's key; views.
     *
     * @throws IllegalStateException if it is missing
     */
    public Map<String, INDArray> baseTable(String layer) {
        Node node = network.node(layer);
        return Objects.requireNonNull(node.adapted()).stockTable(BaseValues.of(network, node), false);
    }

    /** The seed that the network was initialised with. */
    public long seed() {
        return network.seed();
    }

    /** What PyTorch calls the network's parameters, where the network itself says so. */
    public TorchTable torch() {
        return torch;
    }

    /** Whether the layer of such a parameter has an adapter, or a trained bias, beside its frozen weights. */
    public boolean isAdapted(String layer) {
        return network.node(layer).adapted() != null;
    }

    /**
     * What the base holds for a layer, by DL4J's key. Views, or copies.
     *
     * @return null for a layer that trains in full of which the base's values were not recorded, or are not here
     * @throws IllegalStateException if frozen weights are missing
     */
    public @Nullable Map<String, INDArray> stockTable(String layer) {
        Node node = network.node(layer);
        if (node.adapted() != null) {
            return baseTable(layer);
        }
        FrozenReference reference = node.isOurs() ? node.frozenReference() : BaseValues.ofTrainedInFull(network).get(layer);
        if (reference == null) {
            return network.trainsInFull(node) ? null : network.runtime(layer).paramTable(false);
        }
        if (!node.isOurs() && !reference.isHere()) {
            return null;
        }
        return BaseValues.table(node, BaseValues.flat(network, node, reference));
    }

    private static FrozenWeights embedded(AdaptedConfiguration lora, Trainable runtime) {
        Map<String, INDArray> frozen = lora.embeddedTable(runtime.paramTable(false));
        return FrozenWeights.unregistered(Network.head(runtime.params(), lora.frozenParams()), frozen);
    }
}
