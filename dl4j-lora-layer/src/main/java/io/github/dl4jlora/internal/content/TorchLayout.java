package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Names and orientations of a fully trained layer's parameters as PyTorch has them: for dense layers {@code weight}
 * {@code [nOut, nIn]} and {@code bias}, for convolutions {@code weight} {@code [out, in, kernel…]} and {@code bias}, for
 * embeddings {@code weight} {@code [nIn, nOut]}, for batch normalisation {@code weight, bias, running_mean, running_var}.
 * Layers that PyTorch does not have keep DL4J's names and shapes.
 */
public final class TorchLayout {

    private static final Map<String, String> DENSE = Map.of("W", "weight", "b", "bias");
    private static final Map<String, String> BATCH_NORM =
            Map.of("gamma", "weight", "beta", "bias", "mean", "running_mean", "var", "running_var",
                    BatchNormalizationParamInitializer.GLOBAL_LOG_STD, "running_var");

    private TorchLayout() {
    }

    /** DL4J's key of each parameter by PyTorch's name. */
    public static Map<String, String> keysByName(@Nullable Layer layer, Collection<String> keys) {
        Map<String, String> names = names(layer);
        Map<String, String> result = new LinkedHashMap<>();
        keys.forEach(key -> result.put(names.getOrDefault(key, key), key));
        return result;
    }

    /**
     * DL4J's key of each parameter by its name in a file. Version 0.1.0 wrote DL4J's keys for all but dense layers and
     * two-dimensional convolutions.
     *
     * @param stored the names in the file
     */
    public static Map<String, String> keysByName(@Nullable Layer layer, Collection<String> keys, Set<String> stored) {
        Map<String, String> own = new LinkedHashMap<>();
        keys.forEach(key -> own.put(key, key));
        return stored.equals(own.keySet()) ? own : keysByName(layer, keys);
    }

    /** Null for a vertex. */
    private static @Nullable Layer stock(@Nullable Layer layer) {
        return layer == null ? null : StockLayers.unwrap(layer);
    }

    /** PyTorch's name of each parameter by DL4J's key; empty if PyTorch has no such layer. */
    private static Map<String, String> names(@Nullable Layer layer) {
        Layer stock = stock(layer);
        if (stock instanceof BatchNormalization) {
            return BATCH_NORM;
        }
        return TensorLayout.of(stock).isInPeft() ? DENSE : Map.of();
    }

    /** Whether PyTorch has a module of that kind. */
    public static boolean isInTorch(@Nullable Layer layer) {
        return !names(layer).isEmpty();
    }

    /** DL4J's batch normalisation keeps log₁₀(σ), and σ² only where it is configured to. */
    private static boolean isLogStd(@Nullable Layer layer, String key) {
        return key.equals(BatchNormalizationParamInitializer.GLOBAL_LOG_STD) && names(layer) == BATCH_NORM;
    }

    /** The array as PyTorch has it; mostly a view. */
    public static INDArray toTorch(@Nullable Layer layer, String key, INDArray value) {
        if (isLogStd(layer, key)) {
            INDArray exponent = value.castTo(DataType.DOUBLE).mul(2);
            return Transforms.pow(Nd4j.valueArrayOf(exponent.shape(), 10.0, DataType.DOUBLE), exponent).castTo(value.dataType())
                    .reshape(value.length());
        }
        Layer stock = stock(layer);
        if (TensorLayout.isDense(stock) && key.equals("W")) {
            return value.transpose();
        }
        if (isSequence(stock) && key.equals("W")) {
            // Whatever its shape says, DL4J lays these weights out as [kernel, nIn, nOut].
            return value.dup('c').reshape('c', new long[] {value.size(2), value.size(1), value.size(0)}).permute(2, 1, 0);
        }
        return names(layer).containsKey(key) && !key.equals("W") ? value.reshape(value.length()) : value;
    }

    /**
     * The array as DL4J shapes it.
     *
     * @param layer null for a vertex
     * @param keys as {@link #keysByName} gives them
     * @param name one of PyTorch's names in them
     * @param like the parameter it is for
     * @throws IllegalArgumentException if the shapes do not go together
     */
    public static INDArray fromTorch(@Nullable Layer layer, Map<String, String> keys, String name, INDArray value,
                                     INDArray like) {
        String key = Objects.requireNonNull(keys.get(name));
        boolean own = key.equals(name);
        long[] expected = own ? like.shape() : toTorch(layer, key, like).shape();
        // DL4J's own vectors are rows before its transfer learning, and of one dimension after it.
        if (own && value.isVector() && like.isVector() && value.length() == like.length()) {
            return value.reshape(like.shape());
        }
        if (!Arrays.equals(expected, value.shape())) {
            throw new IllegalArgumentException("has shape " + Arrays.toString(value.shape())
                    + ", but the network's layer needs " + Arrays.toString(expected));
        }
        if (own) {
            return value;
        }
        if (isLogStd(layer, key)) {
            if (value.minNumber().doubleValue() < 0) {
                throw new IllegalArgumentException("has the variance " + value.minNumber() + ", but a variance is at least 0");
            }
            // PyTorch computes with a variance of 0, of which there is no logarithm.
            INDArray logVariance = Transforms.log(Transforms.max(value.castTo(DataType.DOUBLE), Float.MIN_NORMAL));
            return logVariance.div(2 * Math.log(10)).castTo(value.dataType()).reshape(like.shape());
        }
        Layer stock = stock(layer);
        if (isSequence(stock) && key.equals("W")) {
            return value.permute(2, 1, 0).dup('c').reshape('c', like.shape());
        }
        return TensorLayout.isDense(stock) && key.equals("W") ? value.transpose() : value.reshape(like.shape());
    }

    private static boolean isSequence(@Nullable Layer stock) {
        return TensorLayout.of(stock).kernel().size() == 1;
    }
}
