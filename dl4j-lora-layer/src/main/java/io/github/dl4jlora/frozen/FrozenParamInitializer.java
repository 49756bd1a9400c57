package io.github.dl4jlora.frozen;

import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;

/**
 * Says how much room a frozen layer takes in the network's vector: none, or the layer's own when it is embedded. The
 * tables themselves are made by the wrapped layer.
 */
final class FrozenParamInitializer implements ParamInitializer {

    private final @Nullable Layer embedded;

    /** @param embedded null for a layer whose parameters are outside the vector */
    FrozenParamInitializer(@Nullable Layer embedded) {
        this.embedded = embedded;
    }

    @Override
    public long numParams(NeuralNetConfiguration conf) {
        return numParams();
    }

    private long numParams() {
        return embedded == null ? 0 : StockLayers.numParams(embedded);
    }

    @Override
    public long numParams(Layer layer) {
        return numParams();
    }

    @Override
    public List<String> paramKeys(Layer layer) {
        return List.of();
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return List.of();
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return List.of();
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return false;
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return false;
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray view, boolean initialize) {
        return Map.of();
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray view) {
        return Map.of();
    }
}
