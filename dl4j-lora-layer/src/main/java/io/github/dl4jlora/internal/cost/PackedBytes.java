package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Packing;
import io.github.dl4jlora.internal.onednn.Weights;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.params.SeparableConvolutionParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.util.ArrayUtil;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.Map;
import java.util.Objects;

/** Memory of the packed copies that training makes, in a network of FLOAT. */
final class PackedBytes {

    private static final String RECURRENT = "RW";

    private PackedBytes() {
    }

    /**
     * Of the matrices of one layer or vertex.
     *
     * @param stock         in the base
     * @param shapes        of its parameters
     * @param passage       of a batch
     * @param lora          null for a frozen one
     * @param scheme        null for arrays
     * @param inputGradient whether the gradient of its input is needed
     * @param stops         whether backpropagation ends there
     */
    static long of(Node stock, Map<String, long[]> shapes, Passage passage, @Nullable AdaptedConfiguration lora,
                   @Nullable Quantization scheme, boolean inputGradient, boolean stops) {
        Layer layer = stock.layer() == null ? null : StockLayers.unfrozen(stock.unwrappedLayer());
        StockMatrices matrices = layer == null ? stock.matrices() : StockMatrices.of(layer);
        boolean areMultiplied = lora != null ? lora.single() || Kernels.run(lora)
                : layer == null ? FrozenLayers.takesQuantized(stock.unwrappedVertex(), DataType.FLOAT)
                : FrozenLayers.takesQuantized(layer, DataType.FLOAT) && (scheme != null || !(layer instanceof BaseOutputLayer));
        if (!areMultiplied || matrices.areRowsLookedUp() || scheme == Quantization.NF4) {
            return 0;
        }
        if (matrices.type() == LayerType.CONVOLUTION) {
            return StockLayers.innermost(Objects.requireNonNull(layer)) instanceof ConvolutionLayer convolution
                    ? convolution(convolution, shapes, passage, lora, scheme, inputGradient) : 0;
        }
        Weights.Type type = scheme == null ? Weights.Type.FLOAT : scheme == Quantization.BF16 ? Weights.Type.BF16
                : Weights.Type.INT8;
        return matrices.forms().entrySet().stream().filter(form -> scheme != null || !isSum(form.getKey(), lora))
                .mapToLong(form -> {
                    long[] sides = form.getValue().sides(Objects.requireNonNull(shapes.get(form.getKey())));
                    boolean backward = inputGradient || form.getKey().endsWith(RECURRENT) && !stops;
                    return Packing.bytes(type, sides[0], sides[1], false)
                            + (backward ? Packing.bytes(type, sides[1], sides[0], true) : 0);
                }).sum();
    }

    /**
     * Without the zeros that some layouts add, so that channels fill whole blocks. The gradient of an adapted layer's input goes
     * through W + s·A·B, except where the path's input is dropped, or W is multiplied in bfloat16.
     */
    private static long convolution(ConvolutionLayer layer, Map<String, long[]> shapes, Passage passage,
                                    @Nullable AdaptedConfiguration lora, @Nullable Quantization scheme, boolean inputGradient) {
        boolean isNarrow = scheme == Quantization.BF16;
        if (scheme != null && !isNarrow || !new ConvolutionLayout(layer).takesCopies()) {
            return 0;
        }
        boolean isSeparable = layer instanceof SeparableConvolution2D;
        long weights = ArrayUtil.prodLong(Objects.requireNonNull(shapes.get(isSeparable
                ? SeparableConvolutionParamInitializer.POINT_WISE_WEIGHT_KEY : DefaultParamInitializer.WEIGHT_KEY)));
        long examples = passage.input().number();
        long positions = StockFootprints.positions(passage, layer.getNOut()) / examples;
        if (!(isNarrow ? Convolutions.takeBf16(positions * weights) : Convolutions.take(examples * positions * weights))) {
            return 0;
        }
        Weights.Type type = isNarrow ? Weights.Type.BF16 : Weights.Type.FLOAT;
        boolean mayBeProduct = !isNarrow && (isSeparable || weights == layer.getNIn() * layer.getNOut());
        boolean forward = Convolutions.usePacked(type, weights, mayBeProduct, examples, positions);
        boolean backward = inputGradient && Convolutions.usePacked(type, weights, false, examples, positions)
                && (lora == null || isNarrow || lora.settings().loraDropout() > 0);
        return ((forward ? 1 : 0) + (backward ? 1 : 0)) * weights * (isNarrow ? Short.BYTES : Float.BYTES);
    }

    /** Whether the recurrent products of an array are those of W + s·A·B, which a pass packs for itself. */
    private static boolean isSum(String key, @Nullable AdaptedConfiguration lora) {
        return lora != null && key.endsWith(RECURRENT)
                && lora.adapted().stream().anyMatch(parameter -> parameter.key().equals(key));
    }
}
