package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.LoRAWrapperLayer;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Lays out a {@link LoRAWrapperLayer}'s part of the vector: the stock layer's parameters in its own order (embedded
 * only), then A and B of each adapted parameter, then trained biases. The frozen bias of an embedded layer that trains another
 * one is called {@code b0}.
 */
public final class LoRAWrapperParamInitializer implements ParamInitializer {

    public static final LoRAWrapperParamInitializer INSTANCE = new LoRAWrapperParamInitializer();

    private LoRAWrapperParamInitializer() {
    }

    /** How many values of the vector the stock layer takes. */
    static long embedded(LoRAWrapperLayer layer) {
        return layer.getStorage() == FrozenStorage.EMBEDDED ? StockLayers.numParams(layer.stockLayer()) : 0;
    }

    @Override
    public long numParams(NeuralNetConfiguration conf) {
        return numParams(conf.getLayer());
    }

    @Override
    public long numParams(Layer layer) {
        LoRAWrapperLayer lora = (LoRAWrapperLayer) layer;
        return embedded(lora) + LowRankTable.length(lora);
    }

    // DL4J makes constraints and regularization of these lists: they name what trains.

    @Override
    public List<String> paramKeys(Layer layer) {
        return LowRankTable.keys((LoRAWrapperLayer) layer);
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return LowRankTable.lowRankKeys((LoRAWrapperLayer) layer);
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return LowRankTable.biasKeys((LoRAWrapperLayer) layer);
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return weightKeys(layer).contains(key);
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return biasKeys(layer).contains(key);
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray view, boolean initialize) {
        LoRAWrapperLayer lora = (LoRAWrapperLayer) conf.getLayer();
        long embedded = embedded(lora);
        Map<String, INDArray> table = new LinkedHashMap<>();
        if (embedded > 0) {
            stockTable(lora, LowRankTable.interval(view, 0, embedded), initialize).forEach((key, value) -> table.put(lora.biases().stream()
                    .filter(bias -> bias.key().equals(key)).map(TrainedBias::frozenKey).findFirst().orElse(key), value));
        }
        Map<String, INDArray> trained = LowRankTable.of(lora, LowRankTable.interval(view, embedded, view.length()));
        table.putAll(trained);
        trained.keySet().forEach(conf::addVariable);
        if (initialize) {
            LowRankTable.initialize(lora, trained, lora.getLoraInit());
            initializeBiases(lora, view, trained);
        }
        return table;
    }

    /** Biases start as the base's. */
    private static void initializeBiases(LoRAWrapperLayer lora, INDArray view, Map<String, INDArray> trained) {
        if (!lora.biases().isEmpty()) {
            Map<String, INDArray> stock = stockTable(lora, lora.frozenValues(view), false);
            lora.biases().forEach(bias -> trained.get(bias.key()).assign(stock.get(bias.key()).reshape('c', 1, bias.length())));
        }
    }

    /** The stock layer's own parameters as views of flat values. */
    static Map<String, INDArray> stockTable(LoRAWrapperLayer lora, INDArray values, boolean initialize) {
        NeuralNetConfiguration stock = new NeuralNetConfiguration();
        stock.setLayer(lora.stockLayer());
        return lora.stockLayer().initializer().init(stock, values, initialize);
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray view) {
        LoRAWrapperLayer lora = (LoRAWrapperLayer) conf.getLayer();
        return LowRankTable.of(lora, LowRankTable.interval(view, embedded(lora), view.length()));
    }
}
