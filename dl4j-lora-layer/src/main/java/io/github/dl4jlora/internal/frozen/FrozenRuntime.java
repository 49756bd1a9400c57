package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.DropoutLayer;
import org.deeplearning4j.nn.layers.recurrent.BaseRecurrentLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.function.Function;

/**
 * Runs a stock layer as a frozen one that passes gradients through. It shows DL4J what DL4J looks for in a running layer: state,
 * and arrays that the next layer may overwrite. Nothing trains: DL4J gets no gradient, no score, and no parameters (or, if they
 * are embedded, parameters that are never updated).
 */
class FrozenRuntime extends BaseWrapperLayer implements Disableable, PassingOutput.Maker {

    private final FrozenPart<Layer> part;
    private final boolean showsState;
    private final boolean overwritesInput;
    private boolean inputModificationAllowed;
    private @Nullable PassingOutput place;
    private NeuralNetConfiguration declared;
    private @Nullable TrainingConfig config;

    /**
     * @param showsState whether DL4J sees the state of a recurrent layer inside a wrapper
     * @param declared   the network's configuration of this layer, of which the stock layer's is a part
     */
    FrozenRuntime(FrozenPart<Layer> part, boolean showsState, NeuralNetConfiguration declared) {
        super(part.stock());
        this.part = part;
        this.showsState = showsState;
        this.declared = declared;
        this.overwritesInput = StockLayers.overwritesInput(part.stock().conf().getLayer());
    }

    final FrozenPart<Layer> part() {
        return part;
    }

    @Override
    public void setPassingOutput(@Nullable PassingOutput output) {
        place = output;
    }

    @Override
    public final boolean makesPassingOutput() {
        return underlying instanceof PassingOutput.Maker;
    }

    /** The stock layer's: DL4J looks there for formats, sizes and losses. {@link FeaturizingCaller} is the exception. */
    @Override
    public NeuralNetConfiguration conf() {
        return declared != null && FeaturizingCaller.isAsking() ? declared : underlying.conf();
    }

    /** TransferLearning sets the network's configuration of this layer, which must not reach the stock layer. */
    @Override
    public void setConf(NeuralNetConfiguration conf) {
        declared = conf;
    }

    /** Once weights have been attached, replaces the layer that stands on zeros. */
    final void bind() {
        underlying = part.bound((standIn, found) -> {
            found.allowInputModification(inputModificationAllowed);
            found.setIndex(standIn.getIndex());
            found.setMaskArray(standIn.getMaskArray());
            moveState(standIn, found);
        });
    }

    /** So that a base may be attached in the midst of a sequence. */
    private static void moveState(Layer from, Layer to) {
        if (from instanceof BaseWrapperLayer outer && to instanceof BaseWrapperLayer other) {
            moveState(outer.getUnderlying(), other.getUnderlying());
        } else if (from instanceof BaseRecurrentLayer<?> old && to instanceof BaseRecurrentLayer<?> now) {
            now.rnnSetPreviousState(old.rnnGetPreviousState());
            now.rnnSetTBPTTState(old.rnnGetTBPTTState());
        }
    }

    @Override
    public void disable() {
        part.disable();
    }

    @Override
    public void enable() {
        part.enable();
    }

    /** The layer that DL4J may use directly: DL4J looks into one wrapper for a recurrent layer. */
    @Override
    public final Layer getUnderlying() {
        return recurrentInside(underlying);
    }

    /**
     * @return the recurrent layer inside the stock layer's one wrapper, on its values; {@code otherwise} if there is none
     */
    final Layer recurrentInside(Layer otherwise) {
        if (!showsRecurrentInside()) {
            return otherwise;
        }
        bind();
        return ((BaseWrapperLayer) underlying).getUnderlying();
    }

    /** Whether DL4J finds a recurrent layer inside the stock layer. */
    final boolean showsRecurrentInside() {
        return showsState && underlying instanceof BaseWrapperLayer wrapper
                && wrapper.getUnderlying() instanceof RecurrentLayer;
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
        if (training) {
            part.requireUnmoved();
        }
        if (underlying instanceof DropoutLayer && underlying.getMaskArray() != null) {
            // DL4J's dropout layer applies its mask to the input array itself.
            underlying.setInput(workspaces.dup(ArrayType.ACTIVATIONS, underlying.input()), workspaces);
        }
        if (underlying instanceof PassingOutput.Maker maker) {
            maker.setPassingOutput(place);
        }
        INDArray input = underlying.input();
        INDArray output = underlying.activate(training || overwritesInput, workspaces);
        // The next layer may overwrite what it gets. A layer whose dropout is left out may pass its own input on.
        return isPartOf(output, input) ? workspaces.dup(ArrayType.ACTIVATIONS, output) : output;
    }

    private static boolean isPartOf(INDArray output, INDArray input) {
        return output.data().address() < input.data().address() + input.data().length() * input.data().getElementSize()
                && input.data().address() < output.data().address() + output.data().length() * output.data().getElementSize();
    }

    @Override
    public INDArray activate(INDArray input, boolean training, LayerWorkspaceMgr workspaces) {
        setInput(input, workspaces);
        return activate(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces) {
        bind();
        return passThrough(epsilon, workspaces, e -> underlying.backpropGradient(e, workspaces));
    }

    final Pair<Gradient, INDArray> passThrough(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces,
                                               Function<@Nullable INDArray, Pair<Gradient, INDArray>> backprop) {
        if (showsRecurrentInside()) {
            // DL4J's truncated BPTT gives its segments to the layer inside, past this one.
            part.requireUnmoved();
        }
        return new Pair<>(new DefaultGradient(), part.backward(epsilon, workspaces, underlying::setBackpropGradientsViewArray,
                backprop).getSecond());
    }

    @Override
    public @Nullable Pair<INDArray, MaskState> feedForwardMaskArray(@Nullable INDArray mask, @Nullable MaskState state,
                                                                    int minibatch) {
        bind();
        return underlying.feedForwardMaskArray(mask, state, minibatch);
    }

    @Override
    public long numParams() {
        return part.numParams();
    }

    @Override
    public long numParams(boolean backwards) {
        return numParams();
    }

    @Override
    public @Nullable INDArray params() {
        return part.params();
    }

    @Override
    public Map<String, INDArray> paramTable() {
        return paramTable(false);
    }

    @Override
    public Map<String, INDArray> paramTable(boolean backpropOnly) {
        return part.paramTable(backpropOnly);
    }

    @Override
    public @Nullable INDArray getParam(String key) {
        return paramTable().get(key);
    }

    @Override
    public void setParam(String key, INDArray value) {
        refuseWhenShared();
        underlying.setParam(key, value);
    }

    @Override
    public void setParams(@Nullable INDArray values) {
        if (values != null && values.length() > 0) {
            refuseWhenShared();
            underlying.setParams(values);
        }
    }

    private void refuseWhenShared() {
        if (!part.isEmbedded()) {
            throw refusal(" and shared with its base network: its parameters cannot be set");
        }
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        throw refusal(": its parameter table cannot be replaced");
    }

    @Override
    public void setParamsViewArray(INDArray view) {
        // The stock layer was built on its values; there is nothing in the vector to point at.
    }

    @Override
    public void fit() {
        throw refusal(": a layer's own fit would train its parameters. Train the network, or name the layer in trainable(...)");
    }

    @Override
    public void fit(INDArray input, LayerWorkspaceMgr workspaces) {
        fit();
    }

    private UnsupportedOperationException refusal(String why) {
        return new UnsupportedOperationException("Layer \"" + part.name() + "\" is frozen" + why);
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public @Nullable INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // The slot of embedded parameters stays zero: the stock layer never gets to write it.
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
    public void setEpochCount(int epoch) {
        // The stock layer stays in its first epoch: DL4J's OCNNOutputLayer sets a parameter of its own when one ends.
    }

    @Override
    public TrainingConfig getConfig() {
        if (config == null) {
            config = new DummyConfig(part.name());
        }
        return config;
    }
}
