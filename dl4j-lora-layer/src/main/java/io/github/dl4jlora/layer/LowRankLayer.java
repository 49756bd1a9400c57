package io.github.dl4jlora.layer;

import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.HeldSettings;

import java.util.Random;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.engine.LowRankRuntime;
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
import org.jspecify.annotations.Nullable;
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
 * The reference definition of what {@link LoRADenseLayer} adds to a dense layer; its gradients come from autodiff.
 *
 * <pre>{@code
 * LowRankLayer path = new LowRankLayer.Builder().nIn(784).nOut(256)
 *         .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).build();
 * }</pre>
 */
public class LowRankLayer extends SameDiffLayer implements HeldSettings {

    private static final long serialVersionUID = 1L;

    private long nIn;
    private long nOut;
    private LoRASettings lora = LoRASettings.DEFAULTS;

    /** For Jackson. */
    public LowRankLayer() {
    }

    private LowRankLayer(Builder builder) {
        super(builder);
        this.nIn = builder.nIn;
        this.nOut = builder.nOut;
        this.lora = builder.lora.build(Named.layer(layerName));
        initializeConstraints(builder);
    }

    @Override
    public SDVariable defineLayer(SameDiff graph, SDVariable input, Map<String, SDVariable> parameters,
                                  @Nullable SDVariable mask) {
        // A constant of the input's type: SameDiff's scalar multiplication has a wrong gradient in BFLOAT16.
        SDVariable factor = graph.constant(Nd4j.scalar(input.dataType(), factor()));
        return input.mmul(parameters.get(Variant.A)).mmul(parameters.get(Variant.B)).mul(factor);
    }

    /**
     * Names both parameters even while the size is still to be inferred: DL4J assigns constraints by name when it builds the
     * layer.
     */
    @Override
    public void defineParameters(SDLayerParams parameters) {
        parameters.clear();
        parameters.addWeightParam(Variant.A, nIn, lora.rank());
        parameters.addWeightParam(Variant.B, lora.rank(), nOut);
    }

    @Override
    public void initializeParameters(Map<String, INDArray> parameters) {
        // Seeded from ND4J's generator, which init() has seeded.
        lora.loraInit().fill(Objects.requireNonNull(parameters.get(Variant.A)),
                Objects.requireNonNull(parameters.get(Variant.B)), new Random(Nd4j.getRandom().nextLong()));
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
        new AdaptedParameter("A·B", nIn, nOut, lora.rank(), lora.alpha(), lora.scaling()).warnOfExcessRank(getLayerName());
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
        long parameters = lora.rank() * (nIn + nOut);
        return new LayerMemoryReport.Builder(layerName, LowRankLayer.class, inputType, getOutputType(-1, inputType))
                .standardMemory(parameters, getUpdater() == null ? 0 : getUpdater().stateSize(parameters))
                .workingMemory(0, 0, 0, nOut + 2L * lora.rank())
                .cacheMemory(MemoryReport.CACHE_MODE_ALL_ZEROS, MemoryReport.CACHE_MODE_ALL_ZEROS)
                .build();
    }

    /** {@return the factor s} */
    public double factor() {
        return lora.factor();
    }

    /** {@return the number of inputs} */
    public long getNIn() {
        return nIn;
    }

    /**
     * Sets the number of inputs.
     *
     * @param nIn at least 1
     */
    public void setNIn(long nIn) {
        this.nIn = nIn;
        setLayerParams(null);
    }

    /** {@return the number of outputs} */
    public long getNOut() {
        return nOut;
    }

    /**
     * Sets the number of outputs.
     *
     * @param nOut at least 1
     */
    public void setNOut(long nOut) {
        this.nOut = nOut;
        setLayerParams(null);
    }

    /** {@return the settings of the low-rank path} */
    @Override
    public LoRASettings getLora() {
        return lora;
    }

    @Override
    public void setLora(LoRASettings lora) {
        this.lora = lora;
        setLayerParams(null);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        if (!(other instanceof LowRankLayer that)) {
            return false;
        }
        // DL4J compares the layer parameters, which are made on request.
        getLayerParams();
        that.getLayerParams();
        return super.equals(other) && nIn == that.nIn && nOut == that.nOut && lora.equals(that.lora);
    }

    @Override
    protected boolean canEqual(Object other) {
        return other instanceof LowRankLayer;
    }

    @Override
    public int hashCode() {
        return Objects.hash(getLayerName(), nIn, nOut, lora);
    }

    /** As {@link LoRADenseLayer.Builder}, for the path alone. */
    public static class Builder extends SameDiffLayer.Builder<Builder> {

        private long nIn;
        private long nOut;
        private final LoRASettings.Builder lora = LoRASettings.builder();

        /** Starts with the defaults; the rank and the number of outputs have none. */
        public Builder() {
        }

        /**
         * The number of inputs; inferred from the input type where not set.
         *
         * @param nIn number of inputs
         * @return this
         */
        public Builder nIn(long nIn) {
            this.nIn = nIn;
            return this;
        }

        /**
         * The number of outputs; required.
         *
         * @param nOut number of outputs; required
         * @return this
         */
        public Builder nOut(long nOut) {
            this.nOut = nOut;
            return this;
        }

        /**
         * The rank of A and B, at least 1; required.
         *
         * @param rank at least 1
         * @return this
         */
        public Builder rank(int rank) {
            lora.rank(rank);
            return this;
        }

        /**
         * Scales ΔW, see {@link Scaling}; default 1.
         *
         * @param alpha finite, not 0
         * @return this
         */
        public Builder alpha(double alpha) {
            lora.alpha(alpha);
            return this;
        }

        /**
         * How alpha and rank become the factor s; default {@link Scaling#ALPHA}.
         *
         * @param scaling of alpha by the rank
         * @return this
         */
        public Builder scaling(Scaling scaling) {
            lora.scaling(scaling);
            return this;
        }

        /**
         * How A starts; default {@link LoRAInit#KAIMING_UNIFORM}.
         *
         * @param init of A
         * @return this
         */
        public Builder loraInit(LoRAInit init) {
            lora.loraInit(init);
            return this;
        }

        /**
         * The probability of dropping an input while training; sets the layer's dropout, of which there is only one here.
         *
         * @param probability in [0, 1)
         * @return this
         */
        public Builder loraDropout(double probability) {
            LoRASettings.DEFAULTS.toBuilder().loraDropout(probability).build(Named.layer(getLayerName()));
            return dropOut(probability == 0 ? null : new Dropout(1 - probability));
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
         * Makes the layer.
         *
         * @throws IllegalArgumentException without a rank, for one below 1, an alpha that is not finite, or a start that rank and
         *                                  alpha do not allow
         */
        @Override
        @SuppressWarnings("unchecked")
        public LowRankLayer build() {
            LowRankLayer layer = new LowRankLayer(this);
            LoRAInit init = layer.lora.loraInit();
            if (init.dependsOnW() || init.needsData()) {
                throw new IllegalArgumentException(Named.layer(getLayerName()) + ": LoRAInit." + init
                        + " is taken from W or from data, and a LowRankLayer alone has neither. Use another start or a "
                        + "LoRADenseLayer");
            }
            return layer;
        }
    }
}
