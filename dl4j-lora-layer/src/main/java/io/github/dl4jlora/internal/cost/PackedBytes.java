package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.onednn.Packing;
import io.github.dl4jlora.internal.onednn.Weights;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.Map;
import java.util.Objects;

/** Memory of the packed copies that training makes, in a network of FLOAT. */
final class PackedBytes {

    private static final String RECURRENT = "RW";

    private PackedBytes() {
    }

    /**
     * Of one layer's matrices.
     *
     * @param stock         the layer in the base, without DL4J's freezing wrappers
     * @param shapes        of its parameters
     * @param lora          null for a frozen layer
     * @param scheme        null for arrays
     * @param inputGradient whether the gradient of its input is needed
     */
    static long of(Layer stock, Map<String, long[]> shapes, @Nullable AdaptedConfiguration lora, @Nullable Quantization scheme,
                   boolean inputGradient) {
        StockMatrices matrices = StockMatrices.of(stock);
        boolean areMultiplied = lora != null ? lora.single() || Kernels.run(lora)
                : FrozenLayers.takesQuantized(stock, DataType.FLOAT) && (scheme != null || !(stock instanceof BaseOutputLayer));
        if (!areMultiplied || matrices.areRowsLookedUp() || matrices.type() == LayerType.CONVOLUTION
                || scheme == Quantization.NF4) {
            return 0;
        }
        Weights.Type type = scheme == null ? Weights.Type.FLOAT : scheme == Quantization.BF16 ? Weights.Type.BF16
                : Weights.Type.INT8;
        return matrices.forms().entrySet().stream().filter(form -> scheme != null || !form.getKey().endsWith(RECURRENT))
                .mapToLong(form -> {
                    long[] sides = form.getValue().sides(Objects.requireNonNull(shapes.get(form.getKey())));
                    boolean backward = inputGradient || form.getKey().endsWith(RECURRENT);
                    return Packing.bytes(type, sides[0], sides[1], false)
                            + (backward ? Packing.bytes(type, sides[1], sides[0], true) : 0);
                }).sum();
    }
}
