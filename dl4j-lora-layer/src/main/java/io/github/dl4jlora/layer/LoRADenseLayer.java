package io.github.dl4jlora.layer;

import io.github.dl4jlora.internal.run.AdaptedConfiguration;
import io.github.dl4jlora.internal.run.AdaptedParameter;
import io.github.dl4jlora.internal.run.LoRADenseParamInitializer;
import io.github.dl4jlora.internal.run.LoRADenseRuntime;
import io.github.dl4jlora.internal.run.LoRAParams;
import io.github.dl4jlora.internal.run.ScaledLearningRate;
import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.Parameter.Role;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
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

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
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
 * <p>That is {@link PlainLoRA}; a {@link Variant} may compute something else with A and B. With trainBias, b trains too,
 * beside a frozen copy of its first values.
 *
 * <p>A drop-in for {@link DenseLayer} in any configuration, and a subtype of it, so that everything in DL4J that knows
 * dense layers knows this one. Dropout, updater, regularization, constraints, weight noise and gradient normalization
 * concern what trains alone (dropout: the layer's input, as ever).
 */
public class LoRADenseLayer extends DenseLayer implements AdaptedConfiguration {

    private static final long serialVersionUID = 1L;

    private int rank;
    private double alpha = 1;
    private Scaling scaling = Scaling.ALPHA;
    private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;
    private double loraDropout;
    private Variant variant = new PlainLoRA();
    private boolean trainBias;
    private double loraPlusRatio = 1;
    private int pissaIterations;
    private FrozenStorage storage = FrozenStorage.EMBEDDED;
    private Engine engine = Engine.FUSED;
    private FrozenReference frozen;
    private FrozenReference constants;
    private long startSeed;
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
        this.variant = builder.variant;
        this.trainBias = builder.trainBias;
        this.loraPlusRatio = builder.loraPlusRatio;
        this.pissaIterations = builder.pissaIterations;
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
        if (constants != null) {
            constants.takeHold(getLayerName(), constantParams());
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
        LoRAParams.checkStart(getLayerName(), loraInit, rank, nIn, nOut, factor(), pissaIterations);
        LoRAParams.checkRatio(getLayerName(), loraPlusRatio, iUpdater);
        if (trainBias && !hasBias()) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(getLayerName())
                    + ": trainBias has no bias to train. Set hasBias(true) or leave trainBias out.");
        }
        if (getWeightNoise() != null && engine == Engine.SAMEDIFF) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(getLayerName()) + ": weightNoise is not supported by "
                    + "Engine.SAMEDIFF, whose graph reads A and B directly. Use Engine.FUSED or remove weightNoise.");
        }
    }

    public LoRADenseRuntime newRuntime(NeuralNetConfiguration conf, DataType type) {
        return new LoRADenseRuntime(conf, type);
    }

    @Override
    public ParamInitializer initializer() {
        return LoRADenseParamInitializer.INSTANCE;
    }

    /** The updater of B is made anew each time, so that it follows whatever sets the layer's own. */
    @Override
    public IUpdater getUpdaterByParam(String key) {
        return switch (roleOf(key)) {
            case FROZEN -> new NoOp();
            case BIAS -> biasUpdater != null ? biasUpdater : iUpdater;
            case MAGNITUDE -> iUpdater;
            case WEIGHT -> key.equals(Variant.B) && loraPlusRatio != 1
                    ? ScaledLearningRate.of(iUpdater, loraPlusRatio) : iUpdater;
        };
    }

    @Override
    public List<Regularization> getRegularizationByParam(String key) {
        return switch (roleOf(key)) {
            case WEIGHT -> regularization;
            case BIAS -> regularizationBias;
            case MAGNITUDE, FROZEN -> null;
        };
    }

    /** What the layer has beside the parameters of a dense layer, in the order of the vector: what is frozen comes first. */
    public List<Parameter> adapterParameters() {
        List<Parameter> parameters = new ArrayList<>(variant.parameters(nIn, nOut, rank));
        if (loraInit.isTakenFromW()) {
            parameters.add(new Parameter(Variant.START_A, nIn, rank, Role.FROZEN));
            parameters.add(new Parameter(Variant.START_B, rank, nOut, Role.FROZEN));
        }
        if (trainBias) {
            parameters.add(new Parameter(DefaultParamInitializer.BIAS_KEY, 1, nOut, Role.BIAS));
        }
        parameters.sort(Comparator.comparing(Parameter::isTrained));
        return parameters;
    }

    public List<Parameter> adapterParameters(boolean trained) {
        return adapterParameters().stream().filter(parameter -> parameter.isTrained() == trained).toList();
    }

    public Role roleOf(String key) {
        // DL4J asks for every parameter in every step.
        if (DefaultParamInitializer.BIAS_KEY.equals(key)) {
            return trainBias ? Role.BIAS : Role.FROZEN;
        }
        for (Parameter parameter : variant.parameters(nIn, nOut, rank)) {
            if (parameter.key().equals(key)) {
                return parameter.role();
            }
        }
        return Role.FROZEN;
    }

    @Override
    public boolean trains(String key) {
        return roleOf(key) != Role.FROZEN;
    }

    /** Whether the adapter's start depends on the stock layer's own parameters. */
    public boolean startsFromStock() {
        return trainBias || loraInit.isTakenFromW() || !variant.isAdditive();
    }

    private long length(boolean trained) {
        return adapterParameters(trained).stream().mapToLong(Parameter::length).sum();
    }

    public long trainedParams() {
        return length(true);
    }

    @Override
    public long trainedParams(AdaptedParameter parameter) {
        return length(true);
    }

    @Override
    public long constantParams() {
        return length(false);
    }

    @Override
    public Map<String, INDArray> stockTable(Map<String, INDArray> table) {
        Map<String, INDArray> stock = new LinkedHashMap<>();
        for (String key : DefaultParamInitializer.getInstance().paramKeys(this)) {
            stock.put(key, table.get(LoRADenseParamInitializer.frozenKey(this, key)));
        }
        return stock;
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
        long trained = trainedParams();
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

    public Variant getVariant() {
        return variant;
    }

    public void setVariant(Variant variant) {
        this.variant = variant;
    }

    public boolean isTrainBias() {
        return trainBias;
    }

    public void setTrainBias(boolean trainBias) {
        this.trainBias = trainBias;
    }

    public double getLoraPlusRatio() {
        return loraPlusRatio;
    }

    public void setLoraPlusRatio(double ratio) {
        this.loraPlusRatio = ratio;
    }

    public int getPissaIterations() {
        return pissaIterations;
    }

    public void setPissaIterations(int iterations) {
        this.pissaIterations = iterations;
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

    /**
     * What the adapter holds that does not train, outside the vector; null when embedded, or where there is nothing of the
     * kind.
     */
    public FrozenReference getConstants() {
        return constants;
    }

    public void setConstants(FrozenReference constants) {
        this.constants = constants;
    }

    /** What the adapter's start was drawn from, if it has constants that are outside the vector. */
    public long getStartSeed() {
        return startSeed;
    }

    public void setStartSeed(long seed) {
        this.startSeed = seed;
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
                && loraDropout == that.loraDropout && variant.equals(that.variant) && trainBias == that.trainBias
                && loraPlusRatio == that.loraPlusRatio && pissaIterations == that.pissaIterations
                && Objects.equals(constants, that.constants) && startSeed == that.startSeed && storage == that.storage && engine == that.engine
                && Objects.equals(frozen, that.frozen) && Objects.equals(origin, that.origin);
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + Objects.hash(rank, alpha, scaling, loraInit, loraDropout, variant, trainBias,
                loraPlusRatio, pissaIterations, constants, startSeed, storage, engine, frozen, origin);
    }

    @Override
    public String toString() {
        return "LoRADenseLayer(rank=" + rank + ", alpha=" + alpha + ", scaling=" + scaling + ", loraInit=" + loraInit
                + ", loraDropout=" + loraDropout + ", variant=" + variant + ", trainBias=" + trainBias + ", loraPlusRatio="
                + loraPlusRatio + ", pissaIterations=" + pissaIterations + ", constants=" + constants + ", storage=" + storage + ", engine=" + engine + ", frozen=" + frozen
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
        private Variant variant = new PlainLoRA();
        private boolean trainBias;
        private double loraPlusRatio = 1;
        private int pissaIterations;
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

        /** What is computed with A and B; default {@link PlainLoRA}. */
        public Builder variant(Variant variant) {
            this.variant = Objects.requireNonNull(variant, "variant");
            return this;
        }

        /** Whether b trains too; default false. Its first values stay, frozen, beside it. */
        public Builder trainBias(boolean trainBias) {
            this.trainBias = trainBias;
            return this;
        }

        /**
         * The learning rate of B over that of A; default 1. Hayou et al. 2024, "LoRA+: Efficient Low Rank Adaptation of
         * Large Models", arXiv:2402.12354.
         */
        public Builder loraPlusRatio(double ratio) {
            this.loraPlusRatio = ratio;
            return this;
        }

        /**
         * Iterations of {@link LoRAInit#PISSA}'s randomised decomposition, of which 4 to 16 are usual; default 0, an exact
         * one.
         */
        public Builder pissaIterations(int iterations) {
            this.pissaIterations = iterations;
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
         *                                  a start that rank and alpha do not allow, a loraPlusRatio that is not above 0
         *                                  or whose updater has no learning rate, trainBias without a bias, or weight
         *                                  noise together with {@link Engine#SAMEDIFF}
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
