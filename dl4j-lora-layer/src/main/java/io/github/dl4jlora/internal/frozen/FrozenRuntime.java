package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;
import java.util.function.Function;

/**
 * Runs a stock layer as a frozen one that passes gradients through. It shows DL4J no parameters (or, embedded, ones
 * that are never updated) and gives the stock layer a scratch array for the weight gradients nobody reads.
 */
public class FrozenRuntime extends BaseWrapperLayer {

    /** Makes the stock layer on the given parameters. */
    @FunctionalInterface
    public interface Builder {
        Layer build(INDArray values, boolean initialize);
    }

    private static final StackWalker CALLERS = StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE);

    private final FrozenParameters parameters;
    private final Builder builder;
    private boolean bound;
    private boolean inputModificationAllowed;
    private SameDiffBackprop sameDiff = new SameDiffBackprop();
    private TrainingConfig config;
    private NeuralNetConfiguration declared;

    public FrozenRuntime(FrozenParameters parameters, Builder builder, Layer layer) {
        super(layer);
        this.parameters = parameters;
        this.builder = builder;
        this.bound = parameters.hadValues();
    }

    /**
     * @param conf the network's configuration of this layer, of which the stock layer's is a part
     */
    public void setDeclared(NeuralNetConfiguration conf) {
        declared = conf;
    }

    /**
     * The stock layer's: DL4J looks there for formats, sizes and losses. TransferLearningHelper alone makes a network of what
     * it finds, in which this layer must stay frozen.
     */
    @Override
    public NeuralNetConfiguration conf() {
        return declared != null && CALLERS.getCallerClass() == TransferLearningHelper.class ? declared : underlying.conf();
    }

    /** Replaces the layer that stands on zeros once its weights have been attached. */
    final void bind() {
        if (bound) {
            return;
        }
        Layer found;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            found = builder.build(parameters.values(), false);
        }
        found.allowInputModification(inputModificationAllowed);
        found.setIndex(underlying.getIndex());
        found.setMaskArray(underlying.getMaskArray());
        underlying = found;
        bound = true;
        sameDiff = new SameDiffBackprop();
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaces) {
        bind();
        underlying.setInput(input, workspaces);
    }

    @Override
    public void allowInputModification(boolean allow) {
        inputModificationAllowed = allow;
        underlying.allowInputModification(allow);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        bind();
        return underlying.activate(training && !isBatchNorm(), workspaces);
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        setInput(input, workspaces);
        return activate(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        if (isBatchNorm()) {
            return new Pair<>(new DefaultGradient(),
                    FrozenBatchNorm.backprop((BatchNormalization) underlying, epsilon, workspaces));
        }
        return passThrough(epsilon, workspaces, e -> underlying.backpropGradient(e, workspaces));
    }

    final Pair<Gradient, INDArray> passThrough(INDArray epsilon, LayerWorkspaceMgr workspaces,
                                               Function<INDArray, Pair<Gradient, INDArray>> backprop) {
        INDArray scratch = parameters.scratchGradient(workspaces);
        if (scratch != null) {
            underlying.setBackpropGradientsViewArray(scratch);
        }
        INDArray input = SameDiffBackprop.isSameDiff(underlying) ? sameDiff.run(epsilon, backprop).getSecond()
                : backprop.apply(epsilon).getSecond();
        return new Pair<>(new DefaultGradient(), input);
    }

    private boolean isBatchNorm() {
        return underlying instanceof BatchNormalization;
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatch) {
        bind();
        return underlying.feedForwardMaskArray(mask, state, minibatch);
    }

    @Override
    public long numParams() {
        return parameters.isEmbedded() ? underlying.numParams() : 0;
    }

    @Override
    public long numParams(boolean backwards) {
        return numParams();
    }

    @Override
    public INDArray params() {
        return parameters.isEmbedded() ? underlying.params() : null;
    }

    @Override
    public Map<String, INDArray> paramTable() {
        return paramTable(false);
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        Map<String, INDArray> table = parameters.isEmbedded() ? underlying.paramTable(backpropOnly) : null;
        return table == null ? Map.of() : table;
    }

    @Override
    public INDArray getParam(String key) {
        return paramTable().get(key);
    }

    @Override
    public void setParam(String key, INDArray value) {
        refuseWhenShared();
        underlying.setParam(key, value);
    }

    @Override
    public void setParams(INDArray values) {
        if (values != null && values.length() > 0) {
            refuseWhenShared();
            underlying.setParams(values);
        }
    }

    private void refuseWhenShared() {
        if (!parameters.isEmbedded()) {
            throw new UnsupportedOperationException("Layer \"" + underlying.conf().getLayer().getLayerName()
                    + "\" is frozen and shared with its base network: its parameters cannot be set");
        }
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        throw new UnsupportedOperationException("Layer \"" + underlying.conf().getLayer().getLayerName()
                + "\" is frozen: its parameter table cannot be replaced");
    }

    @Override
    public void setParamsViewArray(INDArray view) {
        // The stock layer was built on its values; there is nothing in the vector to point at.
    }

    @Override
    public INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // Embedded parameters keep their slot at zero: the stock layer never gets to write it.
    }

    @Override
    public Gradient gradient() {
        return new DefaultGradient();
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return 0;
    }

    @Override
    public TrainingConfig getConfig() {
        if (config == null) {
            config = new DummyConfig(underlying.conf().getLayer().getLayerName());
        }
        return config;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return false;
    }

    @Override
    public void update(Gradient gradient) {
        // Frozen.
    }

    @Override
    public void update(INDArray gradient, String key) {
        // Frozen.
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        // Frozen.
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }
}
