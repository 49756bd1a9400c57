package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.frozen.FrozenWeightsMissingException;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the configurations of all adapted layers and vertices have in common.
 */
public interface AdaptedConfiguration {

    String getLayerName();

    /** The frozen weights outside the vector; null when embedded. */
    FrozenReference getFrozen();

    FrozenStorage getStorage();

    /** In the order in which their A and B lie in the vector; none where only biases train. */
    List<AdaptedParameter> adapted();

    /** The biases of a layer that is not dense, which train beside A and B and follow them in the vector. */
    default List<TrainedBias> biases() {
        return List.of();
    }

    /** The key under which the parameter table has A ({@link Variant#A}) or B of an adapted parameter. */
    default String key(AdaptedParameter parameter, String part) {
        return parameter.key() + "." + part;
    }

    /** The probability of dropping an input of the low-rank path. */
    double getLoraDropout();

    /** The stock layer, without DL4J's freezing wrappers; null for a vertex. */
    Layer stockLayer();

    /** The stock vertex; null for a layer. */
    GraphVertex stockVertex();

    /** How the adapted parameters are matrices. */
    default StockMatrices matrices() {
        return stockLayer() != null ? StockMatrices.of(stockLayer()) : StockMatrices.of(stockVertex());
    }

    /** Number of the stock layer's own values. */
    long frozenParams();

    /**
     * The stock layer's own values, flat, where they are outside the vector.
     *
     * @throws FrozenWeightsMissingException if they cannot be found
     */
    default INDArray sharedValues(DataType type) {
        if (getFrozen() == null) {
            throw new FrozenWeightsMissingException(getLayerName(), "(none recorded)");
        }
        return getFrozen().values(getLayerName(), type, frozenParams());
    }

    /**
     * The stock layer's own values, flat, wherever they are.
     *
     * @param view the adapted layer's part of the network's vector
     */
    default INDArray frozenValues(INDArray view) {
        return getStorage() == FrozenStorage.EMBEDDED ? LowRankTable.interval(view, 0, frozenParams()) : sharedValues(view.dataType());
    }

    /** Whether a key of the parameter table names something that trains. */
    default boolean trains(String key) {
        return adapted().stream().anyMatch(parameter -> key.equals(parameter.keyOfA()) || key.equals(parameter.keyOfB()))
                || biases().stream().anyMatch(bias -> key.equals(bias.key()));
    }

    /** Number of values that train for the sake of an adapted parameter. */
    default long trainedParams(AdaptedParameter parameter) {
        return parameter.length();
    }

    /** Number of values that the adapter has and that do not train. */
    default long constantParams() {
        return 0;
    }

    /**
     * The stock layer's own parameters, as it calls them, of an embedded layer.
     *
     * @param table the adapted layer's parameter table
     */
    default Map<String, INDArray> stockTable(Map<String, INDArray> table) {
        Map<String, String> frozenBiases = new HashMap<>();
        biases().forEach(bias -> frozenBiases.put(bias.frozenKey(), bias.key()));
        List<String> trained = LowRankTable.keys(this);
        Map<String, INDArray> stock = new LinkedHashMap<>();
        table.forEach((key, value) -> {
            if (!trained.contains(key)) {
                stock.put(frozenBiases.getOrDefault(key, key), value);
            }
        });
        return stock;
    }
}
