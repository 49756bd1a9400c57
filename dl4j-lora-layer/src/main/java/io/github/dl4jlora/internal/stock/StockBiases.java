package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.deeplearning4j.nn.params.BidirectionalParamInitializer;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.stream.Stream;

/**
 * Which parameters of a stock layer are biases: those that the layer's initializer in DL4J calls biases, and batch
 * normalisation's beta, which is {@code bias} in PyTorch.
 */
public final class StockBiases {

    private StockBiases() {
    }

    /**
     * Keys of the biases that a supervised pass uses: an auto-encoder's decoder has none.
     *
     * @param layer without DL4J's freezing wrappers
     */
    public static List<String> of(Layer layer) {
        if (layer instanceof Bidirectional both) {
            // Its initializer says that its biases are its weights.
            List<String> one = of(both.getFwd());
            return Stream.concat(one.stream().map(key -> BidirectionalParamInitializer.FORWARD_PREFIX + key),
                    one.stream().map(key -> BidirectionalParamInitializer.BACKWARD_PREFIX + key)).toList();
        }
        if (layer instanceof BaseWrapperLayer wrapper) {
            return of(StockLayers.unwrap(wrapper.getUnderlying()));
        }
        if (layer instanceof BatchNormalization norm) {
            return norm.isLockGammaBeta() ? List.of() : List.of(BatchNormalizationParamInitializer.BETA);
        }
        return layer.initializer().biasKeys(layer).stream().filter(key -> !layer.isPretrainParam(key)).toList();
    }

    /** As {@link #of(Layer)}. */
    public static List<String> of(GraphVertex vertex) {
        return vertex instanceof SameDiffVertex sameDiff && sameDiff.numParams(true) > 0
                ? sameDiff.getVertexParams().getBiasParameterKeys() : List.of();
    }

    /** Why the biases of a layer cannot train beside its frozen weights; null if they can. */
    public static @Nullable String refusal(Layer layer) {
        Layer inner = StockLayers.innermost(layer);
        if (inner instanceof BatchNormalization) {
            return "its beta cannot train while it is frozen: DL4J trains batch normalisation on the statistics of each batch, "
                    + "and frozen it uses its running statistics";
        }
        return inner instanceof OCNNOutputLayer ? "it sets its own parameter r while it trains" : null;
    }

    /**
     * What a bias is called in adapter files, followed by {@code .bias}: the layer's name where the layer has only one,
     * else {@code layer.key}.
     */
    public static String module(Layer layer, String name, String key) {
        return of(layer).size() == 1 ? name : name + "." + key;
    }
}
