package io.github.dl4jlora.layer;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.frozen.FrozenReference;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the configurations of all adapted layers and vertices have in common.
 */
public interface AdaptedConfiguration {

    /** The frozen weights outside the vector; null when embedded. */
    FrozenReference getFrozen();

    FrozenStorage getStorage();

    /** At least one, in the order in which their A and B lie in the vector. */
    List<AdaptedParameter> adapted();

    /** The key under which the parameter table has A ({@link LoRAParams#A}) or B of an adapted parameter. */
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
        Map<String, INDArray> stock = new LinkedHashMap<>(table);
        for (AdaptedParameter parameter : adapted()) {
            stock.remove(key(parameter, LoRAParams.A));
            stock.remove(key(parameter, LoRAParams.B));
        }
        return stock;
    }
}
