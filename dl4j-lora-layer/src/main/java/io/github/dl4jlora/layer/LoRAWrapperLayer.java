package io.github.dl4jlora.layer;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParamInitializer;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.adapted.FrozenState;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.IDropout;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Any stock layer, its own parameters frozen, with a trained low-rank change to one or several of them:
 *
 * <pre>
 * y = layer(x; M + s·A·B)
 *
 * M  a parameter of the layer, read as a matrix [nIn, nOut]    frozen
 * A  [nIn, rank]                                               trained
 * B  [rank, nOut]                                              trained, zero at the start
 * </pre>
 *
 * A and B of the parameter {@code RW} are called {@code RW.A} and {@code RW.B}. The {@link Engine} says what computes it.
 * Biases may train alongside them, or alone.
 *
 * <p>Extends {@link FeedForwardLayer}, so that DL4J's learning-rate utilities, regularization, gradient normalization and
 * FineTuneConfiguration work on A and B. Made by {@code LoRA.apply}, from a layer that has its weights.
 */
public final class LoRAWrapperLayer extends FeedForwardLayer implements AdaptedConfiguration {

    private static final long serialVersionUID = 1L;

    private Layer origin;
    private List<AdaptedParameter> parameters = List.of();
    private List<TrainedBias> biases = List.of();
    private FrozenState state = FrozenState.in(FrozenStorage.SHARED);
    private LoRASettings lora = LoRASettings.DEFAULTS;

    private transient @Nullable AdapterLayout layout;

    /** For Jackson, which then sets {@link #setOrigin the origin}; other setters may come before. */
    @SuppressWarnings("NullAway.Init")
    public LoRAWrapperLayer() {
    }

    /**
     * Adapts a layer of a base.
     *
     * @param origin     the layer as the base configures it, possibly in DL4J's own FrozenLayer
     * @param parameters what is adapted
     * @param biases     its biases that train
     * @param lora       what all adapted parameters have in common
     * @param frozen     its weights; null for embedded storage
     */
    public LoRAWrapperLayer(Layer origin, List<AdaptedParameter> parameters, List<TrainedBias> biases, LoRASettings lora,
                            @Nullable FrozenReference frozen) {
        this.origin = origin;
        this.parameters = List.copyOf(parameters);
        this.biases = List.copyOf(biases);
        this.lora = lora;
        this.state = FrozenState.of(frozen);
        this.layerName = origin.getLayerName();
        // DL4J mistakes a configuration that lacks any of these for one in its oldest format.
        this.activationFn = new ActivationIdentity();
        this.weightInitFn = new WeightInitXavier();
        this.regularization = new ArrayList<>();
        if (stockLayer() instanceof BaseLayer base) {
            this.activationFn = base.getActivationFn();
            this.weightInitFn = base.getWeightInitFn();
            this.biasInit = base.getBiasInit();
            this.gainInit = base.getGainInit();
        }
        if (StockLayers.innermost(stockLayer()) instanceof FeedForwardLayer sized) {
            this.nIn = sized.getNIn();
            this.nOut = sized.getNOut();
        }
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                       int index, INDArray view, boolean initialize, DataType type) {
        validate();
        takeHold();
        return Kernels.instantiate(conf, listeners, index, view, initialize, type);
    }

    @Override
    public void validate() {
        String name = Named.layer(getLayerName());
        if (parameters.isEmpty() && biases.isEmpty()) {
            throw new IllegalArgumentException(name + " trains neither a low-rank change nor a bias: make it with LoRA.apply");
        }
        if (getWeightNoise() != null) {
            throw new IllegalArgumentException(name + ": weightNoise is not supported on an adapted "
                    + stockLayer().getClass().getSimpleName() + ". Remove it");
        }
        if (lora.engine() == Engine.SAMEDIFF) {
            throw new IllegalArgumentException(name + ": Engine.SAMEDIFF is for dense and output layers, not for a "
                    + stockLayer().getClass().getSimpleName() + ". Use Engine.FUSED");
        }
        requireFit(this, stockLayer(), iUpdater);
    }

    /**
     * @throws IllegalArgumentException if there is loraDropout but no low-rank path whose input could be dropped, or if the
     *                                  settings do not fit a parameter
     */
    static void requireFit(AdaptedConfiguration conf, Object stock, @Nullable IUpdater updater) {
        String name = Named.layer(conf.getLayerName());
        for (AdaptedParameter parameter : conf.adapted()) {
            conf.settings(parameter).checkFit(name + ", " + parameter.key(), parameter.nIn(), parameter.nOut(), updater);
        }
        Layer layer = conf.stockLayer();
        boolean hasPath = layer != null && Kernels.run(conf) && Kernels.hasPath(layer);
        if (conf.getLoraDropout() > 0 && !conf.adapted().isEmpty() && !hasPath) {
            throw new IllegalArgumentException(name + ": loraDropout is " + conf.getLoraDropout() + ", but an adapted "
                    + stock.getClass().getSimpleName()
                    + " has no separate low-rank path whose input could be dropped: it computes step by step, has "
                    + "several, or runs on W + s·A·B. Set loraDropout(0), or give the layer itself dropout before it is adapted");
        }
    }

    @Override
    public ParamInitializer initializer() {
        return AdaptedParamInitializer.INSTANCE;
    }

    @Override
    public @Nullable IUpdater getUpdaterByParam(String key) {
        return updaterOf(key, iUpdater, biasUpdater);
    }

    @Override
    public @Nullable List<Regularization> getRegularizationByParam(String key) {
        return regularizationOf(key, regularization, regularizationBias);
    }

    /** DL4J asks for it with every parameter in every step. */
    @Override
    public AdapterLayout layout() {
        if (layout == null) {
            layout = AdapterLayout.of(this);
        }
        return layout;
    }

    @Override
    public List<AdaptedParameter> adapted() {
        return parameters;
    }

    @Override
    public List<TrainedBias> biases() {
        return biases;
    }

    @Override
    public Layer toStockLayer() {
        return StockLayers.copy(origin);
    }

    @Override
    public Layer stockLayer() {
        return StockLayers.unwrap(origin);
    }

    @Override
    public boolean showsState() {
        return StockLayers.showsState(origin);
    }

    @Override
    public long frozenParams() {
        return StockLayers.numParams(stockLayer());
    }

    @Override
    public Map<String, INDArray> stockTable(INDArray values, boolean initialize) {
        return stockLayer().initializer().init(StockLayers.confOf(stockLayer()), values, initialize);
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        setParameters(AdaptedParameter.rescaled(parameters, key, alpha, scaling));
    }

    /** {@return the layer as the base configures it} */
    public Layer getOrigin() {
        return origin;
    }

    /**
     * Sets what {@link #getOrigin} returns, for Jackson and {@code LoRA.apply}.
     *
     * @param origin possibly in DL4J's own FrozenLayer
     */
    public void setOrigin(Layer origin) {
        this.origin = origin;
    }

    /** {@return what {@link #adapted} gives, for Jackson} */
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
        this.layout = null;
    }

    /** {@return what {@link #biases} gives, for Jackson} */
    public List<TrainedBias> getBiases() {
        return biases;
    }

    /**
     * Sets which biases train, for Jackson and {@code LoRA.apply}.
     *
     * @param biases of the layer
     */
    public void setBiases(List<TrainedBias> biases) {
        this.biases = List.copyOf(biases);
        this.layout = null;
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
        this.layout = null;
    }

    // Settings that act on the stock layer are passed on to it, whoever changes them.

    @Override
    public void setLayerName(String name) {
        super.setLayerName(name);
        if (origin != null) {
            origin.setLayerName(name);
        }
    }

    @Override
    public void setActivationFn(IActivation activation) {
        super.setActivationFn(activation);
        if (origin != null && stockLayer() instanceof BaseLayer base) {
            base.setActivationFn(activation);
        }
    }

    @Override
    public IDropout getIDropout() {
        return origin == null ? super.getIDropout() : StockLayers.innermost(stockLayer()).getIDropout();
    }

    @Override
    public void setIDropout(IDropout dropout) {
        super.setIDropout(dropout);
        if (origin != null) {
            StockLayers.forEachInside(stockLayer(), inside -> inside.setIDropout(dropout == null ? null : dropout.clone()));
        }
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return stockLayer().getOutputType(layerIndex, inputType);
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        stockLayer().setNIn(inputType, false);
    }

    @Override
    public InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return stockLayer().getPreProcessorForInputType(inputType);
    }

    @Override
    public void setDataType(DataType dataType) {
        stockLayer().setDataType(dataType);
    }

    // The frozen weights of a layer that has its size already cannot be re-created.

    @Override
    public void setNIn(long size) {
        Named.refuseResize(getLayerName(), "nIn", nIn, size);
        super.setNIn(size);
    }

    @Override
    public void setNOut(long size) {
        Named.refuseResize(getLayerName(), "nOut", nOut, size);
        super.setNOut(size);
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        LayerMemoryReport stock = stockLayer().getMemoryReport(inputType);
        long trained = layout().trainedParams();
        // Kept by effective weights: W + s·A·B; made in the backward pass: dW.
        long fixed = Kernels.run(this) ? 0 : frozenParams();
        return new LayerMemoryReport.Builder(layerName, LoRAWrapperLayer.class, inputType, stock.getOutputType())
                .standardMemory(initializer().numParams(this), getIUpdater() == null ? 0 : getIUpdater().stateSize(trained))
                .workingMemory(stock.getWorkingMemoryFixedInference() + fixed, stock.getWorkingMemoryVariableInference(),
                        MemoryReport.cacheModeMapFor(2 * fixed), stock.getWorkingMemoryVariableTrain())
                .cacheMemory(MemoryReport.CACHE_MODE_ALL_ZEROS, MemoryReport.CACHE_MODE_ALL_ZEROS).build();
    }

    @Override
    public LoRAWrapperLayer clone() {
        LoRAWrapperLayer clone = (LoRAWrapperLayer) super.clone();
        clone.origin = StockLayers.copy(origin);
        return StockLayers.withOwnState(clone);
    }

    @Override
    protected boolean canEqual(Object other) {
        return other instanceof LoRAWrapperLayer;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return super.equals(other) && other instanceof LoRAWrapperLayer that && parameters.equals(that.parameters)
                && biases.equals(that.biases) && state.equals(that.state) && lora.equals(that.lora)
                && Objects.equals(origin, that.origin);
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + Objects.hash(parameters, biases, state, lora, origin);
    }

    @Override
    public String toString() {
        return "LoRAWrapperLayer(parameters=" + parameters + ", biases=" + biases + ", " + lora + ", storage=" + getStorage()
                + ", frozen=" + getFrozen() + ", origin=" + origin + ")";
    }
}
