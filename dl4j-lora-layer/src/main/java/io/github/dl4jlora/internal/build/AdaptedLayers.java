package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.frozen.TrainedSameDiffLayer;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.layer.AdaptedOutputLayer;
import io.github.dl4jlora.layer.DenseTwin;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LoRAWrapperLayer;
import io.github.dl4jlora.layer.LoRAWrapperVertex;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.util.ArrayUtil;
import org.nd4j.linalg.learning.config.IUpdater;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Translates layer configurations: stock to adapted, adapted to stock.
 */
public final class AdaptedLayers {

    private static final String DENSE = " is for DenseLayer, OutputLayer, RnnOutputLayer";
    private static final String KERNELS = ", ConvolutionLayer, Convolution2D, Convolution1DLayer, Convolution1D, Convolution3D, "
            + "EmbeddingLayer, EmbeddingSequenceLayer";

    private AdaptedLayers() {
    }

    /**
     * @param keys   of the parameters to adapt; none where only biases train
     * @param shapes of the base layer's parameters, by key
     * @param frozen the layer's weights; null for embedded storage
     */
    static Layer adapt(Node node, Set<String> keys, Map<String, long[]> shapes, LoRAConfig config,
            @Nullable FrozenReference frozen) {
        Class<?> type = node.unwrappedLayer().getClass();
        List<AdaptedParameter> parameters = parameters(node, keys, shapes, config);
        boolean isDense = type == DenseLayer.class || type == OutputLayer.class || type == RnnOutputLayer.class;
        return isDense && !parameters.isEmpty() ? dense(node, parameters.get(0), config, frozen)
                : wrapper(node, parameters, biases(node, shapes, config), config, frozen);
    }

    /**
     * @throws IllegalArgumentException if biases shall train that cannot
     */
    private static List<TrainedBias> biases(Node node, Map<String, long[]> shapes, LoRAConfig config) {
        if (config.bias() == BiasTraining.NONE || node.biasKeys().isEmpty()) {
            return List.of();
        }
        String refusal = node.layer() == null ? "the biases of a vertex cannot be trained beside its frozen weights"
                : StockBiases.refusal(node.unwrappedLayer());
        if (refusal != null) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" (" + node.type() + "): bias(" + config.bias()
                    + ") would train its bias, but " + refusal + ". Train it in full with trainable(\"" + node.name()
                    + "\"), or use bias(LORA_ONLY)");
        }
        return node.biasKeys().stream()
                .map(key -> new TrainedBias(key, ArrayUtil.prodLong(shapes.get(key)))).toList();
    }

    private static List<AdaptedParameter> parameters(Node node, Set<String> keys, Map<String, long[]> shapes,
            LoRAConfig config) {
        List<AdaptedParameter> parameters = new ArrayList<>();
        // In the stock layer's order, not the targets'.
        node.matrices().forms().forEach((key, form) -> {
            if (keys.contains(key)) {
                LoRASettings settings = MatrixName.of(node, key).settings(config);
                long[] sides = form.sides(Objects.requireNonNull(shapes.get(key)));
                requireAllocatable(node, key, settings.rank(), sides);
                parameters.add(new AdaptedParameter(key, sides[0], sides[1], settings.rank(), settings.alpha(),
                        settings.scaling()));
            }
        });
        return parameters;
    }

    private static void requireAllocatable(Node node, String key, int rank, long[] sides) {
        long length = sides[0] + sides[1];
        if (rank > Integer.MAX_VALUE / length) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\": rank " + rank + " would make A and B of " + key
                    + " " + Arrays.toString(sides) + " hold more values than an array can. The rank of such a matrix "
                    + "is at most " + Math.min(sides[0], sides[1]) + ": set a smaller one");
        }
    }

    /**
     * @throws IllegalArgumentException if the configuration asks for what the layer cannot have
     */
    private static void requireVariant(Node node, LoRASettings settings) {
        Variant variant = settings.variant();
        boolean isKernel = node.layer() != null && Kernels.hasPath(node.unwrappedLayer());
        boolean fits = variant.equals(new PlainLoRA()) || isKernel && variant.isForConvolutionsAndEmbeddings();
        if (fits && !settings.loraInit().dependsOnW()) {
            return;
        }
        String more = !fits && variant.isForConvolutionsAndEmbeddings() ? KERNELS : "";
        throw new IllegalArgumentException("Layer \"" + node.name() + "\" (" + node.type() + "): "
                + (fits ? "LoRAInit." + settings.loraInit() : "variant " + variant.name()) + DENSE + more
                + ". Leave this layer out with exclude(\"" + node.name() + "\"), or choose plain LoRA");
    }

    private static LoRAWrapperLayer wrapper(Node node, List<AdaptedParameter> parameters, List<TrainedBias> biases,
            LoRAConfig config,
                                            @Nullable FrozenReference frozen) {
        Layer stock = node.unwrappedLayer();
        LoRASettings settings = parameters.isEmpty() ? config.settings().toBuilder().loraDropout(0).engine(Engine.FUSED).build()
                : common(node, parameters, config);
        LoRAWrapperLayer lora = new LoRAWrapperLayer(originOf(node), parameters, biases, settings, frozen);
        lora.setRegularization(config.regularization());
        Layer sized = StockLayers.innermost(stock);
        lora.setIUpdater(updater(node.name(), config.updater() != null ? config.updater()
                : sized instanceof BaseLayer base ? base.getIUpdater()
                : sized instanceof AbstractSameDiffLayer sameDiff ? sameDiff.getUpdater() : null));
        IUpdater ofBiases = sized instanceof BaseLayer base ? base.getBiasUpdater()
                : sized instanceof AbstractSameDiffLayer sameDiff ? sameDiff.getBiasUpdater() : null;
        lora.setBiasUpdater(config.updater() != null || ofBiases == null ? null : ofBiases.clone());
        lora.setGradientNormalization(sized.getGradientNormalization());
        lora.setGradientNormalizationThreshold(sized.getGradientNormalizationThreshold());
        return lora;
    }

    /**
     * Of a layer with several matrices, each with a rank and an alpha of its own.
     *
     * @throws IllegalArgumentException if the configuration asks for what the layer cannot have
     */
    private static LoRASettings common(Node node, List<AdaptedParameter> parameters, LoRAConfig config) {
        LoRASettings first = MatrixName.of(node, parameters.get(0).key()).settings(config);
        parameters.forEach(parameter -> {
            LoRASettings own = MatrixName.of(node, parameter.key()).settings(config);
            requireVariant(node, own);
            Kind other = Kind.of(own);
            if (!other.equals(Kind.of(first))) {
                throw new IllegalArgumentException("Layer \"" + node.name() + "\": its matrix " + parameter.key()
                        + " starts with " + other.start() + ", but " + parameters.get(0).key() + " with "
                        + Kind.of(first).start() + ". A layer has one variant and one start: override the whole layer, not one "
                        + "of its matrices");
            }
        });
        return first;
    }

    /**
     * As {@link #adapt} for a vertex. {@code AttentionVertex.clone()} drops its updater, so that in a cloned network the
     * layers' stands in for it.
     */
    static LoRAWrapperVertex adaptVertex(Node node, Set<String> keys, Map<String, long[]> shapes, LoRAConfig config,
                                         @Nullable FrozenReference frozen, List<Node> nodes) {
        biases(node, shapes, config);
        List<AdaptedParameter> parameters = parameters(node, keys, shapes, config);
        LoRAWrapperVertex lora = new LoRAWrapperVertex(node.name(), StockLayers.copy(Objects.requireNonNull(node.vertex())),
                parameters, common(node, parameters, config), frozen);
        lora.setRegularization(config.regularization());
        SameDiffVertex stock = (SameDiffVertex) node.unwrappedVertex();
        lora.setUpdater(updater(node.name(), config.updater() != null ? config.updater()
                : stock.getUpdater() != null ? stock.getUpdater() : anyUpdater(nodes)));
        lora.setGradientNormalization(stock.getGradientNormalization());
        lora.setGradientNormalizationThreshold(stock.getGradientNormalizationThreshold());
        return lora;
    }

    private static @Nullable IUpdater anyUpdater(List<Node> nodes) {
        return nodes.stream().map(Node::layer).filter(Objects::nonNull).map(StockLayers::unwrap)
                .filter(BaseLayer.class::isInstance).map(layer -> ((BaseLayer) layer).getIUpdater()).filter(Objects::nonNull)
                .findFirst().orElse(null);
    }

    private static LoRADenseLayer dense(Node node, AdaptedParameter parameter, LoRAConfig config,
            @Nullable FrozenReference frozen) {
        FeedForwardLayer stock = (FeedForwardLayer) node.unwrappedLayer();
        LoRADenseLayer lora = stock instanceof BaseOutputLayer ? new AdaptedOutputLayer() : new LoRADenseLayer();
        lora.setLora(MatrixName.of(node, parameter.key()).settings(config).toBuilder()
                .trainBias(config.bias() != BiasTraining.NONE && hasBias(stock)).build());
        lora.setStorage(frozen == null ? FrozenStorage.EMBEDDED : FrozenStorage.SHARED);
        lora.setFrozen(frozen);
        lora.setOrigin(originOf(node));
        DenseTwin.copy(stock, lora);
        lora.setHasBias(hasBias(stock));
        lora.setHasLayerNorm(stock instanceof DenseLayer dense && dense.hasLayerNorm());
        // The base's l1, l2, weight decay, constraints and weight noise speak of W, which does not move.
        lora.setRegularization(new ArrayList<>(config.regularization()));
        lora.setIUpdater(updater(node.name(), config.updater() != null ? config.updater() : stock.getIUpdater()));
        lora.setBiasUpdater(config.updater() != null || stock.getBiasUpdater() == null ? null : stock.getBiasUpdater().clone());
        return lora;
    }

    private static IUpdater updater(String name, @Nullable IUpdater updater) {
        if (updater == null) {
            throw new IllegalArgumentException("Layer \"" + name + "\" has no updater in the base network; set one with "
                    + "LoRAConfig's updater(new Adam(1e-3)), for example");
        }
        return updater.clone();
    }

    private static Layer originOf(Node node) {
        return StockLayers.copy(Objects.requireNonNull(node.layer()));
    }

    private static boolean hasBias(FeedForwardLayer stock) {
        return stock instanceof BaseOutputLayer output ? output.hasBias() : ((DenseLayer) stock).hasBias();
    }

    /** A layer that trains in full: out of DL4J's freezing wrappers, with the configured updater. */
    public static Layer trained(Layer origin, @Nullable IUpdater updater) {
        Layer layer = StockLayers.unfrozen(origin);
        if (updater != null) {
            StockLayers.forEachInside(layer, inside -> setUpdater(inside, updater));
        }
        Layer inner = StockLayers.innermost(layer);
        if (inner instanceof OCNNOutputLayer oneClass) {
            // It trains on from its own r. In a later epoch of its own than the network's it would not find its window.
            oneClass.setConfigureR(false);
            oneClass.setLastEpochSinceRUpdated(0);
        }
        return inner instanceof SameDiffLayer && !(inner instanceof LowRankLayer) ? new TrainedSameDiffLayer(layer) : layer;
    }

    private static void setUpdater(Layer layer, IUpdater updater) {
        if (layer instanceof BaseLayer base) {
            base.setIUpdater(updater.clone());
            base.setBiasUpdater(null);
        } else if (layer instanceof AbstractSameDiffLayer sameDiff) {
            sameDiff.setUpdater(updater.clone());
            sameDiff.setBiasUpdater(null);
        }
    }
}
