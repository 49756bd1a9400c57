package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.stock.HiddenState;
import io.github.dl4jlora.internal.stock.OutputDelegate;
import io.github.dl4jlora.internal.stock.RecurrentDelegate;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.api.layers.RecurrentLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.misc.DummyConfig;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.DropoutLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Runs a stock layer as a frozen one that passes gradients through. It shows DL4J no parameters (or, embedded, ones
 * that are never updated), and what DL4J looks for in a running layer: state, labels and scores, arrays that the next layer
 * may overwrite.
 */
public class FrozenRuntime extends LayerAtRest implements Disableable, PassingOutput.Maker {

    private static final StackWalker CALLERS = StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE);

    private final FrozenPart<Layer> part;
    private final boolean showsState;
    private final boolean overwritesInput;
    private boolean inputModificationAllowed;
    private int disabled;
    private PassingOutput place;
    private TrainingConfig config;
    private NeuralNetConfiguration declared;

    private FrozenRuntime(FrozenPart<Layer> part, boolean showsState) {
        super(part.stock());
        this.part = part;
        this.showsState = showsState;
        this.overwritesInput = StockLayers.overwritesInput(part.stock().conf().getLayer());
    }

    /**
     * Makes the runtime of a frozen layer, with arithmetic of ours in the place of the stock layer's where there is any.
     *
     * @param builder    makes the stock layer
     * @param initialize whether values inside the vector get a fresh start
     * @param stops      whether backpropagation ends here, as nothing upstream trains
     * @param showsState whether DL4J sees the state of a recurrent layer inside a wrapper
     * @param declared   the network's configuration of this layer, of which the stock layer's is a part
     */
    public static Layer of(FrozenParameters parameters, FrozenPart.Builder<Layer> builder, boolean initialize, boolean stops,
                           boolean showsState, NeuralNetConfiguration declared) {
        FrozenPart<Layer> part = new FrozenPart<>(parameters, (values, fresh) ->
                FrozenArithmetic.into(HiddenState.asInBase(builder.build(values, fresh), showsState), parameters, builder),
                initialize);
        if (part.stock() instanceof IOutputLayer) {
            // It sets labels and scores in its backward pass, so it is passed through even with nothing upstream.
            return declaredAs(declared, new Output(part));
        }
        FrozenRuntime runtime = declaredAs(declared, part.stock() instanceof RecurrentLayer ? new Recurrent(part)
                : new FrozenRuntime(part, showsState));
        return stops ? StoppedRuntime.of(runtime) : runtime;
    }

    /**
     * Whether arithmetic of ours runs a stock layer, so that its matrices may be kept in fewer bits.
     *
     * @param stock out of DL4J's freezing wrappers
     */
    public static boolean takesQuantized(org.deeplearning4j.nn.conf.layers.Layer stock) {
        Class<?> type = stock.getClass();
        return type == OutputLayer.class || type == RnnOutputLayer.class || FrozenProduct.exists(StockLayers.innermost(stock));
    }

    /**
     * Whether the backward pass of a frozen layer looks at the layer's input.
     *
     * @param stock out of DL4J's freezing wrappers
     */
    public static boolean looksBack(org.deeplearning4j.nn.conf.layers.Layer stock) {
        return FrozenProduct.looksBack(stock);
    }

    @Override
    public void setPassingOutput(PassingOutput output) {
        place = output;
    }

    private static FrozenRuntime declaredAs(NeuralNetConfiguration conf, FrozenRuntime runtime) {
        runtime.declared = conf;
        return runtime;
    }

    /**
     * The stock layer's: DL4J looks there for formats, sizes and losses. TransferLearningHelper alone makes a network of what
     * it finds, in which this layer must stay frozen.
     */
    @Override
    public NeuralNetConfiguration conf() {
        return declared != null && CALLERS.getCallerClass() == TransferLearningHelper.class ? declared : underlying.conf();
    }

    /** TransferLearning hands it the network's configuration of this layer, which is none for the stock layer. */
    @Override
    public void setConf(NeuralNetConfiguration conf) {
        declared = conf;
    }

    /** Replaces the layer that stands on zeros once its weights have been attached. */
    final void bind() {
        underlying = part.bound((standIn, found) -> {
            found.allowInputModification(inputModificationAllowed);
            found.setIndex(standIn.getIndex());
            found.setMaskArray(standIn.getMaskArray());
            setStock(found);
        });
    }

    @Override
    public void disable() {
        disabled++;
        setStock(underlying);
    }

    @Override
    public void enable() {
        disabled--;
        setStock(underlying);
    }

    private void setStock(Layer layer) {
        OwnArithmetic arithmetic = OwnArithmetic.in(layer);
        if (arithmetic != null) {
            arithmetic.setStock(disabled > 0);
        }
    }

    /** What computes the layer in the place of the stock one; null if nothing does. */
    final OwnArithmetic arithmetic() {
        return OwnArithmetic.in(underlying);
    }

    /** What DL4J may use directly: it looks into one wrapper for a recurrent layer. */
    @Override
    public final Layer getUnderlying() {
        return recurrentInside(underlying);
    }

    /**
     * @return the recurrent layer inside the stock layer's one wrapper, on its values; {@code otherwise} if there is none
     */
    final Layer recurrentInside(Layer otherwise) {
        boolean isShown = showsState && underlying instanceof BaseWrapperLayer wrapper
                && wrapper.getUnderlying() instanceof RecurrentLayer;
        if (!isShown) {
            return otherwise;
        }
        bind();
        return ((BaseWrapperLayer) underlying).getUnderlying();
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
            // It applies its mask to the input itself.
            underlying.setInput(workspaces.dup(ArrayType.ACTIVATIONS, underlying.input()), workspaces);
        }
        if (underlying instanceof PassingOutput.Maker maker) {
            maker.setPassingOutput(place);
        }
        INDArray input = underlying.input();
        INDArray output = underlying.activate(training || overwritesInput, workspaces);
        // The next layer may overwrite what it gets. Without its dropout, a layer may hand its own input on.
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
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        bind();
        return passThrough(epsilon, workspaces, e -> underlying.backpropGradient(e, workspaces));
    }

    final Pair<Gradient, INDArray> passThrough(INDArray epsilon, LayerWorkspaceMgr workspaces,
                                               Function<INDArray, Pair<Gradient, INDArray>> backprop) {
        Consumer<INDArray> setGradients =
                arithmetic() == null ? underlying::setBackpropGradientsViewArray : null;
        return new Pair<>(new DefaultGradient(), part.backward(epsilon, workspaces, setGradients, backprop).getSecond());
    }

    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatch) {
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
    public INDArray params() {
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
        if (!part.isEmbedded()) {
            throw new UnsupportedOperationException("Layer \"" + part.name()
                    + "\" is frozen and shared with its base network: its parameters cannot be set");
        }
    }

    @Override
    public void fit() {
        refuseFit();
    }

    @Override
    public void fit(INDArray input, LayerWorkspaceMgr workspaces) {
        refuseFit();
    }

    private void refuseFit() {
        throw new UnsupportedOperationException("Layer \"" + part.name() + "\" is frozen: a layer's own fit would train its "
                + "parameters. Train the network, or name the layer in trainable(...)");
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        throw new UnsupportedOperationException("Layer \"" + part.name()
                + "\" is frozen: its parameter table cannot be replaced");
    }

    @Override
    public TrainingConfig getConfig() {
        if (config == null) {
            config = new DummyConfig(part.name());
        }
        return config;
    }

    /** It still takes labels and computes the score. */
    private static final class Output extends FrozenRuntime implements OutputDelegate {

        Output(FrozenPart<Layer> part) {
            super(part, false);
        }

        @Override
        public IOutputLayer output() {
            bind();
            return (IOutputLayer) underlying;
        }

        @Override
        public boolean needsLabels() {
            return ((IOutputLayer) underlying).needsLabels();
        }

        /** A network's own training step asks an output layer for this alone, not for its activation before. */
        @Override
        public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
            bind();
            super.part.requireUnmoved();
            return super.backpropGradient(epsilon, workspaces);
        }
    }

    private static final class Recurrent extends FrozenRuntime implements RecurrentDelegate {

        Recurrent(FrozenPart<Layer> part) {
            super(part, true);
        }

        @Override
        public RecurrentLayer recurrent() {
            bind();
            return (RecurrentLayer) underlying;
        }

        @Override
        public Pair<Gradient, INDArray> tbpttBackpropGradient(INDArray epsilon, int length, LayerWorkspaceMgr workspaces) {
            return passThrough(epsilon, workspaces, e -> recurrent().tbpttBackpropGradient(e, length, workspaces));
        }
    }
}
