package io.github.dl4jlora.layer;

import io.github.dl4jlora.internal.run.AdaptedConfiguration;
import io.github.dl4jlora.internal.run.AdaptedParameter;
import io.github.dl4jlora.internal.run.DeltaVertexRuntime;
import io.github.dl4jlora.internal.run.LoRAParams;
import io.github.dl4jlora.internal.run.LowRankTable;
import io.github.dl4jlora.internal.run.Mechanism;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.inputs.InvalidInputTypeException;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.graph.ComputationGraph;
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
public final class LoRAWrapperVertex extends GraphVertex implements AdaptedConfiguration, TrainingConfig {

    private static final long serialVersionUID = 1L;

    private String name;
    private GraphVertex origin;
    private List<AdaptedParameter> parameters = List.of();
    private FrozenReference frozen;
    private FrozenStorage storage = FrozenStorage.SHARED;
    private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;
    private double loraDropout;
    private double loraPlusRatio = 1;
    private IUpdater updater;
    private List<Regularization> regularization = List.of();
    private GradientNormalization gradientNormalization = GradientNormalization.None;
    private double gradientNormalizationThreshold = 1;

    /** For Jackson. */
    public LoRAWrapperVertex() {
    }

    /**
     * @param name       the vertex's
     * @param origin     the vertex as the base configures it, possibly in DL4J's own FrozenVertex
     * @param parameters what is adapted
     * @param frozen     its weights; null for embedded storage
     */
    public LoRAWrapperVertex(String name, GraphVertex origin, List<AdaptedParameter> parameters, FrozenReference frozen) {
        this.name = name;
        this.origin = origin;
        this.parameters = List.copyOf(parameters);
        this.frozen = frozen;
        this.storage = frozen == null ? FrozenStorage.EMBEDDED : FrozenStorage.SHARED;
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String vertexName, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        for (AdaptedParameter parameter : parameters) {
            LoRAParams.check(vertexName, parameter.rank(), parameter.alpha());
        }
        LoRAWrapperLayer.requireNoDropout(vertexName, stockVertex(), Mechanism.DELTA, loraDropout);
        LoRAParams.checkRatio(vertexName, loraPlusRatio, updater);
        if (frozen != null) {
            frozen.takeHold(vertexName, stockVertex().numParams(true));
        }
        return DeltaVertexRuntime.of(this, graph, vertexName, index, view, initialize, type);
    }

    /** How many values of the vector the stock vertex takes. */
    public long embedded() {
        return storage == FrozenStorage.EMBEDDED ? frozenParams() : 0;
    }

    @Override
    public long numParams(boolean backprop) {
        return embedded() + LowRankTable.length(this);
    }

    @Override
    public String getLayerName() {
        return name;
    }

    @Override
    public IUpdater getUpdaterByParam(String key) {
        return LoRAWrapperLayer.updater(parameters, key, updater, loraPlusRatio);
    }

    @Override
    public List<Regularization> getRegularizationByParam(String key) {
        return trains(key) ? regularization : null;
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
    public Layer stockLayer() {
        return null;
    }

    @Override
    public GraphVertex stockVertex() {
        return StockLayers.unwrap(origin);
    }

    @Override
    public long frozenParams() {
        return stockVertex().numParams(true);
    }

    public void rescale(String key, double alpha, Scaling scaling) {
        parameters = AdaptedParameter.rescaled(parameters, key, alpha, scaling);
    }

    public String getName() {
        return name;
    }

    public void setName(String name) {
        this.name = name;
    }

    /** The vertex as the base configures it. */
    public GraphVertex getOrigin() {
        return origin;
    }

    public void setOrigin(GraphVertex origin) {
        this.origin = origin;
    }

    public List<AdaptedParameter> getParameters() {
        return parameters;
    }

    public void setParameters(List<AdaptedParameter> parameters) {
        this.parameters = List.copyOf(parameters);
    }

    @Override
    public FrozenReference getFrozen() {
        return frozen;
    }

    public void setFrozen(FrozenReference frozen) {
        this.frozen = frozen;
    }

    @Override
    public FrozenStorage getStorage() {
        return storage;
    }

    public void setStorage(FrozenStorage storage) {
        this.storage = storage;
    }

    public void setLoraDropout(double loraDropout) {
        this.loraDropout = loraDropout;
    }

    @Override
    public double getLoraDropout() {
        return loraDropout;
    }

    public LoRAInit getLoraInit() {
        return loraInit;
    }

    public void setLoraInit(LoRAInit loraInit) {
        this.loraInit = loraInit;
    }

    public double getLoraPlusRatio() {
        return loraPlusRatio;
    }

    public void setLoraPlusRatio(double ratio) {
        this.loraPlusRatio = ratio;
    }

    public IUpdater getUpdater() {
        return updater;
    }

    public void setUpdater(IUpdater updater) {
        this.updater = updater;
    }

    public List<Regularization> getRegularization() {
        return regularization;
    }

    public void setRegularization(List<Regularization> regularization) {
        this.regularization = regularization;
    }

    @Override
    public GradientNormalization getGradientNormalization() {
        return gradientNormalization;
    }

    public void setGradientNormalization(GradientNormalization gradientNormalization) {
        this.gradientNormalization = gradientNormalization;
    }

    @Override
    public double getGradientNormalizationThreshold() {
        return gradientNormalizationThreshold;
    }

    public void setGradientNormalizationThreshold(double threshold) {
        this.gradientNormalizationThreshold = threshold;
    }

    @Override
    public void setDataType(DataType dataType) {
        stockVertex().setDataType(dataType);
    }

    @Override
    public GraphVertex clone() {
        LoRAWrapperVertex clone = new LoRAWrapperVertex(name, StockLayers.copy(origin), parameters, frozen);
        clone.storage = storage;
        clone.loraInit = loraInit;
        clone.loraDropout = loraDropout;
        clone.loraPlusRatio = loraPlusRatio;
        clone.updater = updater == null ? null : updater.clone();
        clone.regularization = regularization == null ? null : regularization.stream().map(Regularization::clone).toList();
        clone.gradientNormalization = gradientNormalization;
        clone.gradientNormalizationThreshold = gradientNormalizationThreshold;
        return clone;
    }

    @Override
    public int minVertexInputs() {
        return stockVertex().minVertexInputs();
    }

    @Override
    public int maxVertexInputs() {
        return stockVertex().maxVertexInputs();
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... inputs) throws InvalidInputTypeException {
        return stockVertex().getOutputType(layerIndex, inputs);
    }

    @Override
    public MemoryReport getMemoryReport(InputType... inputTypes) {
        return stockVertex().getMemoryReport(inputTypes);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof LoRAWrapperVertex that && Objects.equals(name, that.name) && parameters.equals(that.parameters)
                && Objects.equals(origin, that.origin) && Objects.equals(frozen, that.frozen) && storage == that.storage
                && loraInit == that.loraInit && loraDropout == that.loraDropout && loraPlusRatio == that.loraPlusRatio && Objects.equals(updater, that.updater)
                && Objects.equals(regularization, that.regularization) && gradientNormalization == that.gradientNormalization
                && gradientNormalizationThreshold == that.gradientNormalizationThreshold;
    }

    @Override
    public int hashCode() {
        return Objects.hash(name, origin, parameters, frozen, storage, loraInit);
    }

    @Override
    public String toString() {
        return "LoRAWrapperVertex(parameters=" + parameters + ", storage=" + storage + ", frozen=" + frozen + ", origin=" + origin + ")";
    }
}
