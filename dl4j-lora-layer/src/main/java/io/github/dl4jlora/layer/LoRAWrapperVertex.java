package io.github.dl4jlora.layer;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.FrozenState;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.engine.Kernels;

import java.util.Map;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.WrapperVertex;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.List;
import java.util.Objects;

/**
 * A vertex with parameters (AttentionVertex), its own parameters frozen, with a trained low-rank change to one or several
 * of them: {@link LoRAWrapperLayer} for vertices.
 */
public final class LoRAWrapperVertex extends WrapperVertex implements AdaptedConfiguration, TrainingConfig {

    private static final long serialVersionUID = 1L;

    /** Jackson sets it. */
    @SuppressWarnings("NullAway.Init")
    private String name;
    private List<AdaptedParameter> parameters = List.of();
    private FrozenState state = FrozenState.in(FrozenStorage.SHARED);
    private LoRASettings lora = LoRASettings.DEFAULTS;
    private @Nullable IUpdater updater;
    private @Nullable List<Regularization> regularization = List.of();
    private GradientNormalization gradientNormalization = GradientNormalization.None;
    private double gradientNormalizationThreshold = 1;

    /** For Jackson. */
    public LoRAWrapperVertex() {
    }

    /**
     * Adapts a vertex of a base.
     *
     * @param name       the vertex's
     * @param origin     the vertex as the base configures it, possibly in DL4J's own FrozenVertex
     * @param parameters what is adapted
     * @param lora       what all adapted parameters have in common
     * @param frozen     its weights; null for embedded storage
     */
    public LoRAWrapperVertex(String name, GraphVertex origin, List<AdaptedParameter> parameters, LoRASettings lora,
                             @Nullable FrozenReference frozen) {
        super(origin);
        this.name = name;
        this.parameters = List.copyOf(parameters);
        this.lora = lora;
        this.state = FrozenState.of(frozen);
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String vertexName, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        validate();
        takeHold();
        return Kernels.instantiate(this, graph, vertexName, index, view, initialize, type);
    }

    @Override
    public void validate() {
        if (lora.engine() == Engine.SAMEDIFF) {
            throw new IllegalArgumentException(Named.layer(name) + ": Engine.SAMEDIFF is for dense and output layers, not for a "
                    + stockVertex().getClass().getSimpleName() + ". Use Engine.FUSED");
        }
        LoRAWrapperLayer.requireFit(this, stockVertex(), updater);
    }

    @Override
    public long numParams(boolean backprop) {
        return layout().length(this);
    }

    @Override
    public String getLayerName() {
        return name;
    }

    @Override
    public @Nullable IUpdater getUpdaterByParam(String key) {
        return updaterOf(key, updater, null);
    }

    @Override
    public @Nullable List<Regularization> getRegularizationByParam(String key) {
        return regularizationOf(key, regularization, null);
    }

    @Override
    public boolean isPretrainParam(String key) {
        return false;
    }

    @Override
    public List<AdaptedParameter> adapted() {
        return parameters;
    }

    @Override
    public long frozenParams() {
        return stockVertex().numParams(true);
    }

    @Override
    public Map<String, INDArray> stockTable(INDArray values, boolean initialize) {
        // A vertex makes its table when it is instantiated, and needs no graph for that.
        return stockVertex().instantiate(null, name, 0, values, initialize, values.dataType()).paramTable(false);
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        parameters = AdaptedParameter.rescaled(parameters, key, alpha, scaling);
    }

    /** {@return the name, for Jackson} */
    public String getName() {
        return name;
    }

    /**
     * Sets the name, for Jackson and {@code LoRA.apply}.
     *
     * @param name the vertex's
     */
    public void setName(String name) {
        this.name = name;
    }

    /**
     * Sets the vertex as the base configures it, for Jackson and {@code LoRA.apply}.
     *
     * @param origin possibly in DL4J's own FrozenVertex
     */
    public void setOrigin(GraphVertex origin) {
        this.origin = origin;
    }

    /** {@return what is adapted, for Jackson} */
    public List<AdaptedParameter> getParameters() {
        return parameters;
    }

    /**
     * Sets what is adapted, for Jackson and {@code LoRA.apply}.
     *
     * @param parameters in the order of their parts in the vector
     */
    public void setParameters(List<AdaptedParameter> parameters) {
        this.parameters = List.copyOf(parameters);
    }

    @Override
    public FrozenState frozenState() {
        return state;
    }

    @Override
    public void keep(FrozenState newState) {
        state = newState.requireNoConstants(getLayerName());
    }

    /** {@return the settings of the low-rank path} */
    @Override
    public LoRASettings getLora() {
        return lora;
    }

    @Override
    public void setLora(LoRASettings lora) {
        this.lora = lora;
    }

    /** {@return the updater of what trains, for Jackson; null until it is set} */
    public @Nullable IUpdater getUpdater() {
        return updater;
    }

    /**
     * Sets the updater, for Jackson and {@code LoRA.apply}.
     *
     * @param updater of what trains
     */
    public void setUpdater(@Nullable IUpdater updater) {
        this.updater = updater;
    }

    /** {@return the regularization of what trains, for Jackson; null for none} */
    public @Nullable List<Regularization> getRegularization() {
        return regularization;
    }

    /**
     * Sets the regularization, for Jackson and {@code LoRA.apply}.
     *
     * @param regularization of what trains; null for none
     */
    public void setRegularization(@Nullable List<Regularization> regularization) {
        this.regularization = regularization;
    }

    @Override
    public GradientNormalization getGradientNormalization() {
        return gradientNormalization;
    }

    /**
     * Sets the gradient normalization, for Jackson and {@code LoRA.apply}.
     *
     * @param gradientNormalization of what trains
     */
    public void setGradientNormalization(GradientNormalization gradientNormalization) {
        this.gradientNormalization = gradientNormalization;
    }

    @Override
    public double getGradientNormalizationThreshold() {
        return gradientNormalizationThreshold;
    }

    /**
     * Sets the threshold of the gradient normalization, for Jackson and {@code LoRA.apply}.
     *
     * @param threshold of what trains
     */
    public void setGradientNormalizationThreshold(double threshold) {
        this.gradientNormalizationThreshold = threshold;
    }

    @Override
    public GraphVertex clone() {
        LoRAWrapperVertex clone = new LoRAWrapperVertex(name, StockLayers.copy(origin), parameters, lora, null);
        clone.state = state;
        clone.updater = updater == null ? null : updater.clone();
        clone.regularization = regularization == null ? null : regularization.stream().map(Regularization::clone).toList();
        clone.gradientNormalization = gradientNormalization;
        clone.gradientNormalizationThreshold = gradientNormalizationThreshold;
        return clone;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof LoRAWrapperVertex that && Objects.equals(name, that.name) && parameters.equals(that.parameters)
                && Objects.equals(origin, that.origin) && state.equals(that.state) && lora.equals(that.lora)
                && Objects.equals(updater, that.updater) && Objects.equals(regularization, that.regularization)
                && gradientNormalization == that.gradientNormalization
                && gradientNormalizationThreshold == that.gradientNormalizationThreshold;
    }

    @Override
    public int hashCode() {
        return Objects.hash(name, origin, parameters, state, lora);
    }

    @Override
    public String toString() {
        return "LoRAWrapperVertex(parameters=" + parameters + ", " + lora + ", storage=" + getStorage()
                + ", frozen=" + getFrozen() + ", origin=" + origin + ")";
    }
}
