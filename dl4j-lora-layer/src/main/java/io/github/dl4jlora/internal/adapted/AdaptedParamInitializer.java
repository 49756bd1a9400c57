package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.variant.Parameter.Role;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Map;

/**
 * Shows DL4J the {@link AdapterLayout} of an adapted layer. It gives an embedded stock layer its first values; the adapter's
 * start is the running layer's matter ({@code AdapterInitializer}).
 */
public final class AdaptedParamInitializer implements ParamInitializer {

    /** There is nothing to configure. */
    public static final AdaptedParamInitializer INSTANCE = new AdaptedParamInitializer();

    private AdaptedParamInitializer() {
    }

    private static AdaptedConfiguration lora(Layer layer) {
        return (AdaptedConfiguration) layer;
    }

    @Override
    public long numParams(NeuralNetConfiguration conf) {
        return numParams(conf.getLayer());
    }

    @Override
    public long numParams(Layer layer) {
        return lora(layer).layout().length(lora(layer));
    }

    // DL4J derives constraints and regularization from these lists: they name what trains.

    @Override
    public List<String> paramKeys(Layer layer) {
        return lora(layer).layout().trainedKeys();
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return lora(layer).layout().keys(Role.WEIGHT);
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return lora(layer).layout().keys(Role.BIAS);
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return lora(layer).layout().role(key) == Role.WEIGHT;
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return lora(layer).layout().role(key) == Role.BIAS;
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray view, boolean initialize) {
        AdaptedConfiguration lora = lora(conf.getLayer());
        Map<String, INDArray> stock = lora.getStorage() == FrozenStorage.EMBEDDED
                ? lora.stockTable(AdapterLayout.interval(view, 0, lora.frozenParams()), initialize) : Map.of();
        AdapterLayout layout = lora.layout();
        layout.trainedKeys().forEach(conf::addVariable);
        return layout.table(lora, stock, view);
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray view) {
        AdaptedConfiguration lora = lora(conf.getLayer());
        return lora.layout().trainedViews(lora, view);
    }
}
