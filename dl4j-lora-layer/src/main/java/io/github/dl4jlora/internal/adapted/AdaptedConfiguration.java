package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.Replacement;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What the configurations of all adapted layers and vertices have in common: a stock layer or vertex, the place of its frozen
 * values, and the parts of it that are adapted.
 */
public interface AdaptedConfiguration extends HeldSettings, Replacement {

    /** The settings that all adapted parameters share; rank, alpha and scaling are each parameter's own. */
    default LoRASettings settings() {
        return getLora();
    }

    /** {@return whether only one parameter is adapted, so that its A and B are simply called that in the parameter table} */
    default boolean single() {
        return false;
    }

    /** {@return the place of what does not train; in JSON each component stands by itself, as the getters below return it} */
    FrozenState frozenState();

    /**
     * Replaces what {@link #frozenState} returns.
     *
     * @param state of this layer from now on
     */
    void keep(FrozenState state);

    @Override
    default @Nullable FrozenReference getFrozen() {
        return frozenState().frozen();
    }

    /** See {@link FrozenState#frozen}. */
    default void setFrozen(@Nullable FrozenReference frozen) {
        keep(new FrozenState(getStorage(), frozen, getConstants(), getStartSeed()));
    }

    /** See {@link FrozenState#storage}. */
    default FrozenStorage getStorage() {
        return frozenState().storage();
    }

    /** See {@link FrozenState#storage}. */
    default void setStorage(FrozenStorage storage) {
        keep(new FrozenState(storage, getFrozen(), getConstants(), getStartSeed()));
    }

    /** See {@link FrozenState#constants}. */
    default @Nullable FrozenReference getConstants() {
        return frozenState().constants();
    }

    /** See {@link FrozenState#constants}. */
    default void setConstants(@Nullable FrozenReference constants) {
        keep(new FrozenState(getStorage(), getFrozen(), constants, getStartSeed()));
    }

    /** See {@link FrozenState#startSeed}. */
    default long getStartSeed() {
        return frozenState().startSeed();
    }

    /** See {@link FrozenState#startSeed}. */
    default void setStartSeed(long seed) {
        keep(new FrozenState(getStorage(), getFrozen(), getConstants(), seed));
    }

    /**
     * Checks what can only be checked for a whole layer with its settings: before it runs, or when it is only planned.
     *
     * @throws IllegalArgumentException naming the layer, the setting and what to do
     */
    void validate();

    /**
     * In the order in which their parts lie in the vector; none if only biases train.
     *
     * @return the adapted parameters
     */
    List<AdaptedParameter> adapted();

    /** {@return the biases that train beside A and B and follow them in the vector} */
    default List<TrainedBias> biases() {
        return List.of();
    }

    /**
     * Changes alpha and scaling of an adapted parameter.
     *
     * @param key     of the parameter
     * @param alpha   finite, not 0
     * @param scaling of alpha by the rank
     */
    void rescale(String key, double alpha, Scaling scaling);

    /** {@return how the frozen matrices are kept in fewer bits; null if they are not} */
    default @Nullable Quantization scheme() {
        return getFrozen() == null ? null : getFrozen().scheme();
    }

    /** {@return whether a user declared the layer, in a configuration of their own: no base was adapted} */
    default boolean declared() {
        return stockLayer() == this;
    }

    /** {@return the stock layer, without DL4J's freezing wrappers; null for a vertex} */
    default @Nullable Layer stockLayer() {
        return null;
    }

    /** {@return whether DL4J sees the state of a recurrent layer inside the base's wrappers} */
    default boolean showsState() {
        return true;
    }

    /** {@return the stock vertex; null for a layer} */
    default @Nullable GraphVertex stockVertex() {
        return null;
    }

    /** {@return number of the stock layer's own values} */
    long frozenParams();

    /**
     * The stock layer's own parameters, under its own keys, as views of flat values.
     *
     * @param values     the flat vector
     * @param initialize whether to give them fresh values
     * @return views, by key
     */
    Map<String, INDArray> stockTable(INDArray values, boolean initialize);

    /** {@return the path s·x·A·B of a lone parameter as a SameDiff layer} */
    default SameDiffLayer lowRankLayer() {
        throw new UnsupportedOperationException(Named.layer(getLayerName()) + " has no low-rank path for SameDiff to compute");
    }

    /** {@return where each part of the adapter lies in the layer's part of the vector} */
    default AdapterLayout layout() {
        return AdapterLayout.of(this);
    }

    /** Whether a key of the parameter table names something that trains. */
    default boolean trains(String key) {
        return layout().trains(key);
    }

    /** The settings of one adapted parameter. */
    default LoRASettings settings(AdaptedParameter parameter) {
        return settings().toBuilder().rank(parameter.rank()).alpha(parameter.alpha()).scaling(parameter.scaling()).build();
    }

    /** The key under which the parameter table has a part (A, B, …) of an adapted parameter. */
    default String key(AdaptedParameter parameter, String part) {
        // Not an underscore: DL4J's updater would split the key there.
        return single() ? part : parameter.key() + "." + part;
    }

    /**
     * The updater of a parameter, by its key.
     *
     * @param ofWeights of A, B and what else a variant trains; B's learning rate may be a multiple of its rate. Null as long as
     *                  the layer has none
     * @param ofBiases  null for that of weights
     * @return the updater; null if the layer has none yet
     */
    default @Nullable IUpdater updaterOf(String key, @Nullable IUpdater ofWeights, @Nullable IUpdater ofBiases) {
        return switch (layout().role(key)) {
            case FROZEN -> new NoOp();
            case BIAS -> ofBiases != null ? ofBiases : ofWeights;
            case MAGNITUDE -> ofWeights;
            // Made anew each time, so that it follows changes of the layer's own updater.
            case WEIGHT -> rateRatio(key) != 1
                    ? ScaledLearningRate.of(Objects.requireNonNull(ofWeights), rateRatio(key)) : ofWeights;
        };
    }

    /** The factor of the learning rate of weights for a parameter, by its key: the ratio of LoRA+ for B, else 1. */
    default double rateRatio(String key) {
        return layout().isB(key) ? settings().loraPlusRatio() : 1;
    }

    /** The regularization of a parameter, by its key; null for none. */
    default @Nullable List<Regularization> regularizationOf(String key, @Nullable List<Regularization> ofWeights,
                                                            @Nullable List<Regularization> ofBiases) {
        return switch (layout().role(key)) {
            case WEIGHT -> ofWeights;
            case BIAS -> ofBiases;
            case MAGNITUDE, FROZEN -> null;
        };
    }

    /** {@return how the adapted parameters are read as matrices} */
    default StockMatrices matrices() {
        return stockLayer() != null ? StockMatrices.of(stockLayer()) : StockMatrices.of(Objects.requireNonNull(stockVertex()));
    }

    /** Whether a trained bias belongs to the layer's one matrix, as in PEFT, and not to a layer with several. */
    default boolean hasBiasAsPart() {
        return biases().size() == 1 && adapted().size() == 1 && matrices().forms().size() == 1;
    }

    /**
     * The stock layer's own values, flat, wherever they are.
     *
     * @param view the adapted layer's part of the network's vector
     * @throws FrozenWeightsMissingException if they are outside it and cannot be found
     */
    default INDArray frozenValues(INDArray view, DataType type) {
        if (getStorage() == FrozenStorage.EMBEDDED) {
            return AdapterLayout.interval(view, 0, frozenParams());
        }
        if (getFrozen() == null) {
            throw new FrozenWeightsMissingException(getLayerName(), "(none recorded)");
        }
        return getFrozen().values(getLayerName(), type, frozenParams());
    }

    /** Takes hold of values that are outside the vector and here already, so that they stay, and checks that they fit. */
    default void takeHold() {
        if (getFrozen() != null) {
            getFrozen().takeHold(getLayerName(), frozenParams());
        }
        if (getConstants() != null) {
            getConstants().takeHold(getLayerName(), layout().constantParams());
        }
    }

    /**
     * The stock layer's own parameters, under its own keys, for an embedded layer.
     *
     * @param table the adapted layer's parameter table
     */
    default Map<String, INDArray> embeddedTable(Map<String, INDArray> table) {
        Map<String, INDArray> stock = new LinkedHashMap<>();
        AdapterLayout layout = layout();
        table.forEach((key, value) -> {
            if (!layout.has(key)) {
                stock.put(biases().stream().filter(bias -> bias.frozenKey().equals(key)).map(TrainedBias::key).findFirst()
                        .orElse(key), value);
            }
        });
        return stock;
    }
}
