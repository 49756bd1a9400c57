package io.github.dl4jlora.layer;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.frozen.FrozenReference;
import io.github.dl4jlora.frozen.StockLayers;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LayerValidation;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.Collection;
import java.util.List;
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
 * <p>A drop-in for {@link DenseLayer} in any configuration, and a subtype of it, so that everything in DL4J that knows
 * dense layers knows this one. Dropout, updater, regularization, constraints, weight noise and gradient normalization
 * concern A and B alone (dropout: the layer's input, as ever).
 */
public class LoRADenseLayer extends DenseLayer implements AdaptedConfiguration {

    private static final long serialVersionUID = 1L;

    private int rank;
    private double alpha = 1;
    private Scaling scaling = Scaling.ALPHA;
    private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;
    private double loraDropout;
    private FrozenStorage storage = FrozenStorage.EMBEDDED;
    private Engine engine = Engine.FUSED;
    private FrozenReference frozen;
    private Layer origin;

    /** For Jackson and for {@link Builder}. */
    public LoRADenseLayer() {
    }

    private LoRADenseLayer(Builder builder) {
        copyFrom(builder);
        setHasBias(builder.hasBias);
        setHasLayerNorm(builder.hasLayerNorm);
        this.rank = builder.rank;
        this.alpha = builder.alpha;
        this.scaling = builder.scaling;
        this.loraInit = builder.loraInit;
        this.loraDropout = builder.loraDropout;
        this.storage = builder.storage;
        this.engine = builder.engine;
        initializeConstraints(builder);
    }

    /** What the builder constructors of DL4J's layer classes do; DenseLayer's own is private. */
    private void copyFrom(Builder builder) {
        this.layerName = builder.getLayerName();
        this.iDropout = builder.getIDropout();
        this.activationFn = builder.getActivationFn();
        this.weightInitFn = builder.getWeightInitFn();
        this.biasInit = builder.getBiasInit();
        this.gainInit = builder.getGainInit();
        this.regularization = builder.getRegularization();
        this.regularizationBias = builder.getRegularizationBias();
        this.iUpdater = builder.getIupdater();
        this.biasUpdater = builder.getBiasUpdater();
        this.gradientNormalization = builder.getGradientNormalization();
        this.gradientNormalizationThreshold = builder.getGradientNormalizationThreshold();
        this.weightNoise = builder.getWeightNoise();
        this.nIn = builder.getNIn();
        this.nOut = builder.getNOut();
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                       int index, INDArray view, boolean initialize, DataType type) {
        LayerValidation.assertNInNOutSet("LoRADenseLayer", getLayerName(), index, getNIn(), getNOut());
        validate();
        LoRAParams.warnOfExcessRank(getLayerName(), rank, nIn, nOut);
        if (frozen != null) {
            frozen.takeHold(getLayerName(), DefaultParamInitializer.getInstance().numParams(this));
        }
        LoRADenseRuntime runtime = newRuntime(conf, type);
        runtime.setListeners(listeners);
        runtime.setIndex(index);
        runtime.setParamsViewArray(view);
        runtime.setParamTable(initializer().init(conf, view, initialize));
        runtime.setConf(conf);
        return runtime;
    }

    /** When built, and again when instantiated: setters and the network's global settings come in between. */
    private void validate() {
        LoRAParams.check(getLayerName(), rank, alpha);
        LoRAParams.checkDropout(getLayerName(), loraDropout);
        if (getWeightNoise() != null && engine == Engine.SAMEDIFF) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(getLayerName()) + ": weightNoise is not supported by "
                    + "Engine.SAMEDIFF, whose graph reads A and B directly. Use Engine.FUSED or remove weightNoise.");
        }
    }

    LoRADenseRuntime newRuntime(NeuralNetConfiguration conf, DataType type) {
        return new LoRADenseRuntime(conf, type);
    }

    @Override
    public ParamInitializer initializer() {
        return LoRADenseParamInitializer.INSTANCE;
    }

    @Override
    public IUpdater getUpdaterByParam(String key) {
        return isTrained(key) ? iUpdater : new NoOp();
    }

    @Override
    public List<Regularization> getRegularizationByParam(String key) {
        return isTrained(key) ? regularization : null;
    }

    static boolean isTrained(String key) {
        return LoRAParams.A.equals(key) || LoRAParams.B.equals(key);
    }

    /**
     * @throws IllegalStateException for a layer that has its size already: its frozen weights cannot be re-created
     */
    @Override
    public void setNIn(long size) {
        LoRAParams.refuseResize(getLayerName(), "nIn", nIn, size);
        super.setNIn(size);
    }

    /**
     * @throws IllegalStateException for a layer that has its size already: its frozen weights cannot be re-created
     */
    @Override
    public void setNOut(long size) {
        LoRAParams.refuseResize(getLayerName(), "nOut", nOut, size);
        super.setNOut(size);
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        InputType outputType = getOutputType(-1, inputType);
        long parameters = initializer().numParams(this);
        long trained = rank * (nIn + nOut);
        // Kept for backward: the pre-activation and x·A; made there: epsilon.
        long perExample = outputType.arrayElementsPerExample() + rank + (getIDropout() == null ? 0 : nIn);
        return new LayerMemoryReport.Builder(layerName, LoRADenseLayer.class, inputType, outputType)
                .standardMemory(parameters, getIUpdater() == null ? 0 : getIUpdater().stateSize(trained))
                .workingMemory(0, 0, 0, perExample)
                .cacheMemory(MemoryReport.CACHE_MODE_ALL_ZEROS, MemoryReport.CACHE_MODE_ALL_ZEROS)
                .build();
    }

    @Override
    public LoRADenseLayer clone() {
        LoRADenseLayer clone = (LoRADenseLayer) super.clone();
        clone.origin = origin == null ? null : origin.clone();
        return clone;
    }

    public int getRank() {
        return rank;
    }

    public void setRank(int rank) {
        this.rank = rank;
    }

    public double getAlpha() {
        return alpha;
    }

    public void setAlpha(double alpha) {
        this.alpha = alpha;
    }

    public Scaling getScaling() {
        return scaling;
    }

    public void setScaling(Scaling scaling) {
        this.scaling = scaling;
    }

    public LoRAInit getLoraInit() {
        return loraInit;
    }

    public void setLoraInit(LoRAInit loraInit) {
        this.loraInit = loraInit;
    }

    @Override
    public double getLoraDropout() {
        return loraDropout;
    }

    public void setLoraDropout(double loraDropout) {
        this.loraDropout = loraDropout;
    }

    @Override
    public FrozenStorage getStorage() {
        return storage;
    }

    public void setStorage(FrozenStorage storage) {
        this.storage = storage;
    }

    public Engine getEngine() {
        return engine;
    }

    public void setEngine(Engine engine) {
        this.engine = engine;
    }

    /** The frozen weights outside the vector; null when embedded, or before a SHARED layer is first initialised. */
    @Override
    public FrozenReference getFrozen() {
        return frozen;
    }

    public void setFrozen(FrozenReference frozen) {
        this.frozen = frozen;
    }

    /** The base network's own layer that this one was made from; null for a layer that was declared. */
    public Layer getOrigin() {
        return origin;
    }

    public void setOrigin(Layer origin) {
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
    public List<AdaptedParameter> adapted() {
        return List.of(new AdaptedParameter(DefaultParamInitializer.WEIGHT_KEY, nIn, nOut, rank, alpha, scaling));
    }

    /** A and B: there is one adapted parameter only. */
    @Override
    public String key(AdaptedParameter parameter, String part) {
        return part;
    }

    @Override
    public Layer stockLayer() {
        return origin == null ? this : StockLayers.unwrap(origin);
    }

    @Override
    public GraphVertex stockVertex() {
        return null;
    }

    @Override
    public StockMatrices matrices() {
        return StockMatrices.DENSE;
    }

    @Override
    public long frozenParams() {
        return DefaultParamInitializer.getInstance().numParams(this);
    }

    /** The factor s of ΔW = s·A·B. */
    public double factor() {
        return scaling.factor(alpha, rank);
    }

    @Override
    protected boolean canEqual(Object other) {
        return other instanceof LoRADenseLayer;
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof LoRADenseLayer that
                && rank == that.rank && alpha == that.alpha && scaling == that.scaling && loraInit == that.loraInit
                && loraDropout == that.loraDropout && storage == that.storage && engine == that.engine
                && Objects.equals(frozen, that.frozen) && Objects.equals(origin, that.origin);
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + Objects.hash(rank, alpha, scaling, loraInit, loraDropout, storage, engine, frozen, origin);
    }

    @Override
    public String toString() {
        return "LoRADenseLayer(rank=" + rank + ", alpha=" + alpha + ", scaling=" + scaling + ", loraInit=" + loraInit
                + ", loraDropout=" + loraDropout + ", storage=" + storage + ", engine=" + engine + ", frozen=" + frozen
                + ", " + super.toString() + ")";
    }

    /** Everything that {@link DenseLayer.Builder} offers, and what LoRA adds. */
    public static class Builder extends FeedForwardLayer.Builder<Builder> {

        private boolean hasBias = true;
        private boolean hasLayerNorm;
        private int rank;
        private double alpha = 1;
        private Scaling scaling = Scaling.ALPHA;
        private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;
        private double loraDropout;
        private FrozenStorage storage = FrozenStorage.EMBEDDED;
        private Engine engine = Engine.FUSED;

        /** The rank of A and B, at least 1; required. */
        public Builder rank(int rank) {
            this.rank = rank;
            return this;
        }

        /** Default 1. */
        public Builder alpha(double alpha) {
            this.alpha = alpha;
            return this;
        }

        /** Default {@link Scaling#ALPHA}. */
        public Builder scaling(Scaling scaling) {
            this.scaling = Objects.requireNonNull(scaling, "scaling");
            return this;
        }

        /** How A starts; default {@link LoRAInit#KAIMING_UNIFORM}. */
        public Builder loraInit(LoRAInit init) {
            this.loraInit = Objects.requireNonNull(init, "loraInit");
            return this;
        }

        /** The probability of <em>dropping</em> an input of the low-rank path while training, in [0, 1); default 0. */
        public Builder loraDropout(double probability) {
            this.loraDropout = probability;
            return this;
        }

        /** Where W and b live; default {@link FrozenStorage#EMBEDDED}. */
        public Builder storage(FrozenStorage storage) {
            this.storage = Objects.requireNonNull(storage, "storage");
            return this;
        }

        /** Default {@link Engine#FUSED}. */
        public Builder engine(Engine engine) {
            this.engine = Objects.requireNonNull(engine, "engine");
            return this;
        }

        /** As on {@link DenseLayer.Builder}; default true. */
        public Builder hasBias(boolean hasBias) {
            this.hasBias = hasBias;
            return this;
        }

        /** As on {@link DenseLayer.Builder}; default false. */
        public Builder hasLayerNorm(boolean hasLayerNorm) {
            this.hasLayerNorm = hasLayerNorm;
            return this;
        }

        /**
         * @throws IllegalArgumentException for a rank below 1, an alpha that is not finite, a loraDropout outside [0, 1),
         *                                  or weight noise together with {@link Engine#SAMEDIFF}
         */
        @Override
        @SuppressWarnings("unchecked")
        public LoRADenseLayer build() {
            LoRADenseLayer layer = new LoRADenseLayer(this);
            layer.validate();
            return layer;
        }
    }
}
