package io.github.dl4jlora.layer;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRAOptions;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParamInitializer;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.adapted.FrozenState;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.engine.DenseRuntime;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LayerValidation;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A dense layer whose own weights are frozen, with a trained low-rank path beside it.
 *
 * <pre>
 * y = act(x·W + s·x·A·B + b)                 without layer normalisation
 * y = act(LN(x·W + s·x·A·B) · g + b)         with it
 *
 * x  input    [minibatch, nIn]
 * W  weights  [nIn, nOut]     frozen
 * b  bias     [nOut]          frozen; absent with hasBias(false)
 * g  gain     [nOut]          frozen; only with layer normalisation
 * A           [nIn, rank]     trained
 * B           [rank, nOut]    trained, zero at the start
 * s  the factor that {@link Scaling} makes of alpha and rank
 * </pre>
 *
 * Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, equation 3.
 *
 * <p>That is plain LoRA; a {@link io.github.dl4jlora.variant.Variant variant} may compute something else with A and B. With
 * trainBias, b trains too, beside a frozen copy of its first values.
 *
 * <p>A drop-in for {@link DenseLayer} in any configuration, and a subtype of it, so that everything in DL4J that knows
 * dense layers knows this one. Dropout, updater, regularization, constraints, weight noise and gradient normalization concern
 * only the parameters that train (dropout: the layer's input, as always).
 *
 * <pre>{@code
 * MultiLayerConfiguration configuration = new NeuralNetConfiguration.Builder().seed(1)
 *         .updater(new Adam(1e-3)).list()
 *         .layer(new LoRADenseLayer.Builder().nIn(784).nOut(256)
 *                 .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).activation(Activation.RELU).build())
 *         .layer(new OutputLayer.Builder(LossFunction.MCXENT).nOut(10).activation(Activation.SOFTMAX).build())
 *         .build();
 * }</pre>
 */
public class LoRADenseLayer extends DenseLayer implements AdaptedConfiguration {

    private static final long serialVersionUID = 1L;

    private LoRASettings lora = LoRASettings.DEFAULTS;
    private FrozenState state = FrozenState.in(FrozenStorage.EMBEDDED);
    private @Nullable Layer origin;

    private transient @Nullable AdaptedParameter matrix;
    private transient @Nullable AdapterLayout layout;
    private transient @Nullable LoRASettings layoutOf;

    /** For Jackson. */
    public LoRADenseLayer() {
    }

    private LoRADenseLayer(Builder builder) {
        DenseTwin.copy(builder, this);
        setHasBias(builder.hasBias);
        setHasLayerNorm(builder.hasLayerNorm);
        this.lora = builder.lora.build(Named.layer(layerName));
        this.state = FrozenState.in(builder.storage);
        initializeConstraints(builder);
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                       int index, INDArray view, boolean initialize, DataType type) {
        LayerValidation.assertNInNOutSet("LoRADenseLayer", getLayerName(), index, getNIn(), getNOut());
        validate();
        if (declared()) {
            adapted().get(0).warnOfExcessRank(getLayerName());
        }
        takeHold();
        return newRuntime(conf, type).on(listeners, index, view, initialize);
    }

    @Override
    public void validate() {
        DenseSettings.check(this);
    }

    KernelRuntime newRuntime(NeuralNetConfiguration conf, DataType type) {
        return new DenseRuntime(conf, type);
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

    @Override
    public boolean single() {
        return true;
    }

    @Override
    public List<AdaptedParameter> adapted() {
        if (matrix == null || matrix.nIn() != nIn || matrix.nOut() != nOut || matrix.rank() != lora.rank()
                || matrix.alpha() != lora.alpha() || matrix.scaling() != lora.scaling()) {
            matrix = new AdaptedParameter(DefaultParamInitializer.WEIGHT_KEY, nIn, nOut, lora.rank(), lora.alpha(),
                    lora.scaling());
            layout = null;
        }
        return List.of(matrix);
    }

    @Override
    public List<TrainedBias> biases() {
        return lora.trainBias() ? List.of(new TrainedBias(DefaultParamInitializer.BIAS_KEY, nOut)) : List.of();
    }

    /** DL4J asks for it with every parameter in every step. */
    @Override
    @SuppressWarnings("ReferenceEquality")
    public AdapterLayout layout() {
        adapted();
        if (layout == null || layoutOf != lora) {
            layout = AdapterLayout.of(this);
            layoutOf = lora;
        }
        return layout;
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        lora = lora.toBuilder().alpha(alpha).scaling(scaling).build(Named.layer(getLayerName()));
    }

    @Override
    public Layer toStockLayer() {
        return DenseTwin.stockOf(this);
    }

    @Override
    public Layer stockLayer() {
        return origin == null ? this : StockLayers.unwrap(origin);
    }

    @Override
    public StockMatrices matrices() {
        return StockMatrices.DENSE;
    }

    @Override
    public long frozenParams() {
        return DefaultParamInitializer.getInstance().numParams(this);
    }

    @Override
    public Map<String, INDArray> stockTable(INDArray values, boolean initialize) {
        return DefaultParamInitializer.getInstance().init(StockLayers.confOf(this), values, initialize);
    }

    @Override
    public SameDiffLayer lowRankLayer() {
        return new LowRankLayer.Builder().name(getLayerName()).nIn(nIn).nOut(nOut).rank(lora.rank()).alpha(lora.alpha())
                .scaling(lora.scaling()).loraDropout(lora.loraDropout()).build();
    }

    /** {@return the factor s} */
    public double factor() {
        return lora.factor();
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
        InputType outputType = getOutputType(-1, inputType);
        long trained = layout().trainedParams();
        long perExample = outputType.arrayElementsPerExample() + lora.rank() + (getIDropout() == null ? 0 : nIn);
        return new LayerMemoryReport.Builder(layerName, LoRADenseLayer.class, inputType, outputType)
                .standardMemory(initializer().numParams(this), getIUpdater() == null ? 0 : getIUpdater().stateSize(trained))
                .workingMemory(0, 0, 0, perExample)
                .cacheMemory(MemoryReport.CACHE_MODE_ALL_ZEROS, MemoryReport.CACHE_MODE_ALL_ZEROS).build();
    }

    @Override
    public LoRADenseLayer clone() {
        LoRADenseLayer clone = (LoRADenseLayer) super.clone();
        clone.origin = origin == null ? null : StockLayers.copy(origin);
        return StockLayers.withOwnState(clone);
    }

    /** {@return the settings of the low-rank path} */
    @Override
    public LoRASettings getLora() {
        return lora;
    }

    @Override
    public void setLora(LoRASettings settings) {
        lora = Objects.requireNonNull(settings, "lora");
    }

    @Override
    public FrozenState frozenState() {
        return state;
    }

    @Override
    public void keep(FrozenState newState) {
        state = newState;
    }

    /** {@return the base network's own layer that this one was made from; null for a layer that was declared} */
    public @Nullable Layer getOrigin() {
        return origin;
    }

    /**
     * Sets what {@link #getOrigin} returns, for Jackson and {@code LoRA.apply}.
     *
     * @param origin null: declared
     */
    public void setOrigin(@Nullable Layer origin) {
        this.origin = origin;
    }

    @Override
    public void setLayerName(String name) {
        super.setLayerName(name);
        if (origin != null) {
            origin.setLayerName(name);
        }
    }

    @Override
    protected boolean canEqual(Object other) {
        return other instanceof LoRADenseLayer;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return super.equals(other) && other instanceof LoRADenseLayer that && lora.equals(that.lora)
                && state.equals(that.state) && Objects.equals(origin, that.origin);
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + Objects.hash(lora, state, origin);
    }

    @Override
    public String toString() {
        return "LoRADenseLayer(" + lora + ", storage=" + getStorage() + ", frozen=" + getFrozen() + ", " + super.toString()
                + ")";
    }

    /** Everything that {@link DenseLayer.Builder} offers, and what LoRA adds; a rank is required. */
    public static class Builder extends FeedForwardLayer.Builder<Builder> implements LoRAOptions<Builder> {

        private final LoRASettings.Builder lora = LoRASettings.builder();
        private boolean hasBias = true;
        private boolean hasLayerNorm;
        private FrozenStorage storage = FrozenStorage.EMBEDDED;

        /** Starts with the defaults; the rank has none. */
        public Builder() {
        }

        @Override
        public LoRASettings.Builder lora() {
            return lora;
        }

        // Repeated from the interface, so that they are in the method table of this class.

        @Override
        public Builder rank(int rank) {
            return LoRAOptions.super.rank(rank);
        }

        @Override
        public Builder alpha(double alpha) {
            return LoRAOptions.super.alpha(alpha);
        }

        @Override
        public Builder scaling(Scaling scaling) {
            return LoRAOptions.super.scaling(scaling);
        }

        @Override
        public Builder loraInit(LoRAInit init) {
            return LoRAOptions.super.loraInit(init);
        }

        @Override
        public Builder pissaIterations(int iterations) {
            return LoRAOptions.super.pissaIterations(iterations);
        }

        @Override
        public Builder loraDropout(double probability) {
            return LoRAOptions.super.loraDropout(probability);
        }

        @Override
        public Builder variant(Variant variant) {
            return LoRAOptions.super.variant(variant);
        }

        @Override
        public Builder loraPlusRatio(double ratio) {
            return LoRAOptions.super.loraPlusRatio(ratio);
        }

        @Override
        public Builder engine(Engine engine) {
            return LoRAOptions.super.engine(engine);
        }

        /**
         * Whether b trains too; default false. Its first values stay as a frozen copy, b0.
         *
         * @param trainBias whether it does
         * @return this
         */
        public Builder trainBias(boolean trainBias) {
            lora.trainBias(trainBias);
            return this;
        }

        /**
         * Where W and b live; default {@link FrozenStorage#EMBEDDED}. With {@link FrozenStorage#SHARED} they are not in the
         * network's parameters, so they cannot be given other values than their random ones.
         *
         * @param storage where they live
         * @return this
         */
        public Builder storage(FrozenStorage storage) {
            this.storage = Objects.requireNonNull(storage, "storage");
            return this;
        }

        /**
         * As on {@link DenseLayer.Builder}; default true.
         *
         * @param hasBias whether there is a b
         * @return this
         */
        public Builder hasBias(boolean hasBias) {
            this.hasBias = hasBias;
            return this;
        }

        /**
         * As on {@link DenseLayer.Builder}; default false.
         *
         * @param hasLayerNorm whether there is a g
         * @return this
         */
        public Builder hasLayerNorm(boolean hasLayerNorm) {
            this.hasLayerNorm = hasLayerNorm;
            return this;
        }

        /**
         * Makes the layer.
         *
         * @throws IllegalArgumentException without a rank, for a setting out of its range (see {@link LoRASettings}), trainBias
         *                                  without a bias, weight noise with {@link Engine#SAMEDIFF}, or
         *                                  {@link Engine#EFFECTIVE_WEIGHTS}
         */
        @Override
        @SuppressWarnings("unchecked")
        public LoRADenseLayer build() {
            LoRADenseLayer layer = new LoRADenseLayer(this);
            DenseSettings.check(layer);
            return layer;
        }
    }
}
