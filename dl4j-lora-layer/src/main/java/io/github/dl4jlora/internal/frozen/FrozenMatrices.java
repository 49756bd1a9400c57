package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.KernelWeights;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The weights of a stock layer or vertex that this library's arithmetic computes: its own arrays or, if matrices are kept in
 * fewer bits, those.
 */
final class FrozenMatrices implements KernelWeights {

    private final Trainable stock;
    private final StockMatrices forms;
    private final FrozenParameters parameters;
    private final @Nullable FrozenWeights quantized;
    private final Map<String, FrozenMatrix> matrices = new HashMap<>();
    private final Map<String, INDArray> vectors = new HashMap<>();

    /**
     * @param stock hollow if its weights are quantised
     * @param forms of its parameters
     */
    FrozenMatrices(Trainable stock, StockMatrices forms, FrozenParameters parameters) {
        this.stock = stock;
        this.forms = forms;
        this.parameters = parameters;
        this.quantized = parameters.areQuantized() ? parameters.source() : null;
    }

    static FrozenMatrices of(Layer stock, FrozenParameters parameters) {
        return new FrozenMatrices(stock, StockMatrices.of(stock.conf().getLayer()), parameters);
    }

    DataType type() {
        return parameters.type();
    }

    /** Whether the weights are an array that nobody may write to. */
    boolean areKept() {
        return quantized == null && !parameters.isEmbedded();
    }

    FrozenMatrix matrix() {
        return matrix(DefaultParamInitializer.WEIGHT_KEY);
    }

    @Override
    public FrozenMatrix matrix(String key) {
        return matrices.computeIfAbsent(key, this::madeMatrix);
    }

    private FrozenMatrix madeMatrix(String key) {
        INDArray weight = Objects.requireNonNull(stock.paramTable(false).get(key));
        return forms.frozen(key, type(), weight.shape(), parameters.source(), parameters::arePacked, () -> weight);
    }

    /** Null if the layer has none. */
    @Nullable INDArray bias() {
        return vectors.computeIfAbsent(DefaultParamInitializer.BIAS_KEY, this::vector);
    }

    @Override
    public INDArray bias(String key) {
        return Objects.requireNonNull(vectors.computeIfAbsent(key, this::vector));
    }

    private @Nullable INDArray vector(String key) {
        return (quantized == null ? stock.paramTable(false) : Objects.requireNonNull(quantized.rest(type()))).get(key);
    }

    @Override
    public List<Route> paths(String key, long rows) {
        return List.of();
    }

    @Override
    public @Nullable String gradientKey(String key, String part) {
        return null;
    }

    @Override
    public INDArray flat() {
        return Objects.requireNonNull(parameters.values());
    }
}
