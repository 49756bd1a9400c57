package io.github.dl4jlora.layer;

import io.github.dl4jlora.internal.run.LoRAParams;
import io.github.dl4jlora.internal.run.LowRankRuntime;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LayerValidation;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The low-rank path alone, as a SameDiff layer that can stand in any network:
 *
 * <pre>
 * y = s·x·A·B
 *
 * x  input   [minibatch, nIn]
 * A          [nIn, rank]
 * B          [rank, nOut]     zero at the start
 * </pre>
 *
 * The definition of record of what {@link LoRADenseLayer} adds to a dense layer; its gradients come from autodiff.
 */
public class LowRankLayer extends SameDiffLayer {

    private static final long serialVersionUID = 1L;

    private long nIn;
    private long nOut;
    private int rank;
    private double alpha = 1;
    private Scaling scaling = Scaling.ALPHA;
    private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;

    /** For Jackson. */
    public LowRankLayer() {
    }

    private LowRankLayer(Builder builder) {
        super(builder);
        this.nIn = builder.nIn;
        this.nOut = builder.nOut;
        this.rank = builder.rank;
        this.alpha = builder.alpha;
        this.scaling = builder.scaling;
        this.loraInit = builder.loraInit;
        initializeConstraints(builder);
    }

    @Override
    public SDVariable defineLayer(SameDiff graph, SDVariable input, Map<String, SDVariable> parameters, SDVariable mask) {
        // A constant of the input's type: SameDiff's scalar multiplication has a wrong gradient in BFLOAT16.
        SDVariable factor = graph.constant(Nd4j.scalar(input.dataType(), factor()));
        return input.mmul(parameters.get(Variant.A)).mmul(parameters.get(Variant.B)).mul(factor);
    }

    /** Names both even while the size is still to be inferred: DL4J hands constraints out by name when it builds the layer. */
    @Override
    public void defineParameters(SDLayerParams parameters) {
        parameters.clear();
        parameters.addWeightParam(Variant.A, nIn, rank);
        parameters.addWeightParam(Variant.B, rank, nOut);
    }

    @Override
    public void initializeParameters(Map<String, INDArray> parameters) {
        LoRAParams.initialize(parameters.get(Variant.A), parameters.get(Variant.B), loraInit);
    }

    /** 'f', as DenseLayer stores its weights. */
    @Override
    public char paramReshapeOrder(String parameter) {
        return 'f';
    }

    @Override
    public org.deeplearning4j.nn.api.Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners,
                                                       int index, INDArray view, boolean initialize, DataType type) {
        LayerValidation.assertNInNOutSet("LowRankLayer", getLayerName(), index, nIn, nOut);
        LoRAParams.check(getLayerName(), rank, alpha);
        LoRAParams.warnOfExcessRank(getLayerName(), rank, nIn, nOut);
        LowRankRuntime runtime = new LowRankRuntime(conf, type);
        runtime.setListeners(listeners);
        runtime.setIndex(index);
        runtime.setParamsViewArray(view);
        runtime.setParamTable(initializer().init(conf, view, initialize));
        return runtime;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return asDense().getOutputType(layerIndex, inputType);
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        if (nIn <= 0 || override) {
            DenseLayer dense = asDense();
            dense.setNIn(inputType, true);
            setNIn(dense.getNIn());
        }
    }

    @Override
    public InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return asDense().getPreProcessorForInputType(inputType);
    }

    /** A dense layer of the same size: it knows about input types. */
    private DenseLayer asDense() {
        return new DenseLayer.Builder().name(getLayerName()).nIn(nIn).nOut(nOut).build();
    }

    @Override
    public List<Regularization> getRegularizationByParam(String key) {
        return regularization;
    }

    @Override
    public LayerMemoryReport getMemoryReport(InputType inputType) {
        long parameters = rank * (nIn + nOut);
        return new LayerMemoryReport.Builder(layerName, LowRankLayer.class, inputType, getOutputType(-1, inputType))
                .standardMemory(parameters, getUpdater() == null ? 0 : getUpdater().stateSize(parameters))
                .workingMemory(0, 0, 0, nOut + 2L * rank)
                .cacheMemory(MemoryReport.CACHE_MODE_ALL_ZEROS, MemoryReport.CACHE_MODE_ALL_ZEROS)
                .build();
    }

    /** The factor s. */
    public double factor() {
        return scaling.factor(alpha, rank);
    }

    public long getNIn() {
        return nIn;
    }

    public void setNIn(long nIn) {
        this.nIn = nIn;
        setLayerParams(null);
    }

    public long getNOut() {
        return nOut;
    }

    public void setNOut(long nOut) {
        this.nOut = nOut;
        setLayerParams(null);
    }

    public int getRank() {
        return rank;
    }

    public void setRank(int rank) {
        this.rank = rank;
        setLayerParams(null);
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
    public boolean equals(Object other) {
        return this == other || other instanceof LowRankLayer that && super.equals(other) && nIn == that.nIn && nOut == that.nOut
                && rank == that.rank && alpha == that.alpha && scaling == that.scaling && loraInit == that.loraInit;
    }

    @Override
    public int hashCode() {
        return Objects.hash(getLayerName(), nIn, nOut, rank, alpha, scaling, loraInit);
    }

    /** As {@link LoRADenseLayer.Builder}, for the path alone. */
    public static class Builder extends SameDiffLayer.Builder<Builder> {

        private long nIn;
        private long nOut;
        private int rank;
        private double alpha = 1;
        private Scaling scaling = Scaling.ALPHA;
        private LoRAInit loraInit = LoRAInit.KAIMING_UNIFORM;

        /** Inferred from the input type where not set. */
        public Builder nIn(long nIn) {
            this.nIn = nIn;
            return this;
        }

        public Builder nOut(long nOut) {
            this.nOut = nOut;
            return this;
        }

        /** At least 1; required. */
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

        /** The probability of dropping an input while training; sets the layer's dropout, of which there is only one here. */
        public Builder loraDropout(double probability) {
            LoRAParams.checkDropout(getLayerName(), probability);
            return probability == 0 ? this : dropOut(new Dropout(1 - probability));
        }

        // These return a raw type in DL4J, which would end the chain.

        @Override
        public Builder weightDecay(double coefficient) {
            return weightDecay(coefficient, true);
        }

        @Override
        public Builder weightDecay(double coefficient, boolean applyLearningRate) {
            super.weightDecay(coefficient, applyLearningRate);
            return this;
        }

        @Override
        public Builder regularization(List<Regularization> regularization) {
            super.regularization(regularization);
            return this;
        }

        /**
         * @throws IllegalArgumentException for a rank below 1, an alpha that is not finite, or a start that rank and alpha
         *                                  do not allow
         */
        @Override
        @SuppressWarnings("unchecked")
        public LowRankLayer build() {
            LoRAParams.check(getLayerName(), rank, alpha);
            LoRAParams.checkStart(getLayerName(), loraInit, rank, nIn, nOut, scaling.factor(alpha, rank), 0);
            if (loraInit.isTakenFromW()) {
                throw new IllegalArgumentException("Layer " + LoRAParams.quoted(getLayerName()) + ": LoRAInit." + loraInit
                        + " is taken from W, which a lone low-rank path has not. Use another start or a LoRADenseLayer.");
            }
            return new LowRankLayer(this);
        }
    }
}
