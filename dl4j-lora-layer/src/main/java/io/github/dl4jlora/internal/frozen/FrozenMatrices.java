package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The weights of a stock layer that this library's arithmetic computes: the layer's own arrays or, if matrices are kept in fewer
 * bits, those.
 */
final class FrozenMatrices {

    private static final String WEIGHT = DefaultParamInitializer.WEIGHT_KEY;
    private static final String BIAS = DefaultParamInitializer.BIAS_KEY;

    private final Layer stock;
    private final FrozenParameters parameters;
    private final FrozenPart.Builder<Layer> builder;
    private final @Nullable FrozenWeights quantized;
    private final Map<String, FrozenMatrix> matrices = new HashMap<>();
    private @Nullable INDArray bias;

    /**
     * @param stock   with its bias in b; hollow if its weights are quantised
     * @param builder of the whole frozen layer, in which the stock one may be wrapped
     */
    FrozenMatrices(Layer stock, FrozenParameters parameters, FrozenPart.Builder<Layer> builder) {
        this.stock = stock;
        this.parameters = parameters;
        this.builder = builder;
        this.quantized = parameters.areQuantized() ? parameters.source() : null;
    }

    DataType type() {
        return parameters.type();
    }

    /** Whether the weights are an array that nobody may write to. */
    boolean areKept() {
        return quantized == null && !parameters.isEmbedded();
    }

    FrozenMatrix matrix() {
        return matrix(WEIGHT);
    }

    FrozenMatrix matrix(String key) {
        return matrices.computeIfAbsent(key, this::madeMatrix);
    }

    private FrozenMatrix madeMatrix(String key) {
        INDArray weight = stock.getParam(key);
        return StockMatrices.of(stock.conf().getLayer()).frozen(key, type(), weight.shape(), parameters.source(),
                parameters::arePacked, () -> weight);
    }

    /** Null if the layer has none. */
    @Nullable INDArray bias() {
        if (bias == null) {
            bias = quantized == null ? stock.paramTable(false).get(BIAS)
                    : Objects.requireNonNull(quantized.rest(type())).get(BIAS);
        }
        return bias;
    }

    /** The stock layer, ready to compute. If weights are quantised, it is a layer on a copy of them, for this pass. */
    Layer asStock() {
        if (quantized == null) {
            return stock;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Layer whole = innermost(builder.build(parameters.values(), false));
            whole.setIndex(stock.getIndex());
            whole.setMaskArray(stock.getMaskArray());
            return whole;
        }
    }

    private static Layer innermost(Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper ? innermost(wrapper.getUnderlying()) : layer;
    }
}
