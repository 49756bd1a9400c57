package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.engine.KeptPass.Kept;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.LentInputs;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.run.AdapterInitializer;
import io.github.dl4jlora.internal.run.Routing;
import io.github.dl4jlora.internal.run.Snapshot;
import io.github.dl4jlora.variant.LayerWeights;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The life of an adapted layer that this library's kernels compute: a frozen part and a low-rank path side by side. Subclasses
 * supply the products, forward and backward. This class decides when what was kept between the passes is dropped. It also handles
 * masks, dropout, what a disabled or routed layer does, and what DL4J may set and read.
 *
 * <p>Compared with DL4J's own layers, a step saves two of four products with W: the pre-activation is kept from the forward pass
 * instead of being computed again, and dL/dW is never formed.
 */
public abstract class KernelRuntime extends BaseLayer<FeedForwardLayer> implements AdaptedRuntime, LayerWeights {

    /** Made with the parameter table, see {@link #setParamTable}. */
    @SuppressWarnings("NullAway.Init")
    private Adapter adapter;
    private @Nullable Layer stock;
    private final LayerOutputs outputs = new LayerOutputs(this);
    private final KeptPass kept = new KeptPass();
    private final Snapshot snapshot = new Snapshot();
    private InputGradient inputGradient = InputGradient.NEEDED;

    KernelRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    /**
     * Makes the runtime a running layer on its part of the vector.
     *
     * @param initialize whether to give the adapter a fresh start
     */
    public final KernelRuntime on(Collection<TrainingListener> listeners, int layerIndex, INDArray view, boolean initialize) {
        setListeners(listeners);
        setIndex(layerIndex);
        setParamsViewArray(view);
        setParamTable(layerConf().initializer().init(conf, view, initialize));
        if (initialize) {
            new AdapterInitializer(adapter).initialize();
        }
        return this;
    }

    @Override
    public final void setConf(NeuralNetConfiguration conf) {
        super.setConf(AdaptedRuntime.onOneLayer(conf, this.conf));
    }

    /** Another runtime of this kind, not on any vector yet. */
    abstract KernelRuntime copy(NeuralNetConfiguration copiedConf);

    /**
     * The pre-activation, in the shape of the layer's output; dropout of the layer's input has been applied.
     *
     * @param training whether to apply the path's dropout
     * @param keep     whether to keep what {@link #backward} needs
     */
    abstract INDArray forward(boolean training, boolean keep, LayerWorkspaceMgr workspaces);

    /**
     * Writes the gradients of the adapter, biases included.
     *
     * @param delta          dL/d(pre-activation); may be overwritten
     * @param inputGradients whether anybody needs dL/d(input)
     * @return dL/d(input); null if nobody needs it
     */
    abstract @Nullable INDArray backward(INDArray delta, boolean inputGradients, LayerWorkspaceMgr workspaces);

    /** Whether what {@link #forward} kept outside {@link #kept} is still there. */
    boolean isReady() {
        return true;
    }

    /** Drops what {@link #forward} kept outside {@link #kept}. */
    void forget() {
        // Most kernels keep nothing there.
    }

    /** Multiplies activations, or their gradient, by the mask; in place. */
    abstract void mask(INDArray output);

    /** Called when what was derived from the frozen values, or from the configuration, is no longer valid. */
    void rebuild() {
        // Most kernels derive nothing.
    }

    /** The adapted matrix, however it is stored. */
    final FrozenMatrix matrix() {
        return adapter.stock().matrix(adapted().key());
    }

    @Override
    public final Adapter adapter() {
        return adapter;
    }

    final AdaptedConfiguration lora() {
        return (AdaptedConfiguration) layerConf();
    }

    final AdaptedParameter adapted() {
        return lora().adapted().get(0);
    }

    /** A frozen parameter by DL4J's key; null if the layer has none, or has it in fewer bits. */
    final @Nullable INDArray frozen(String key) {
        return adapter.stock().arrays().get(key);
    }

    /** A part of the adapter: {@code A}, for example. */
    final INDArray part(String part) {
        return Objects.requireNonNull(adapter.value(lora().key(adapted(), part)));
    }

    /** Where the gradient of a part of the adapter goes to; null for one that does not train. */
    final @Nullable INDArray gradientOf(String part) {
        return gradientViews.get(lora().key(adapted(), part));
    }

    @Override
    public final INDArray weights() {
        return matrix().lent();
    }

    @Override
    public final boolean hasFixedWeights() {
        return lora().getStorage() == FrozenStorage.SHARED;
    }

    @Override
    public final double factor() {
        return adapter.factor(adapted());
    }

    @Override
    public final @Nullable INDArray parameter(String part, boolean training, LayerWorkspaceMgr workspaces) {
        String key = lora().key(adapted(), part);
        return trains(key) ? getParamWithNoise(key, training, workspaces) : adapter.value(key);
    }

    /** Null for a layer whose W is in the vector: to look for changes there would take a copy of W. */
    @Override
    public final @Nullable Object state() {
        return hasFixedWeights() ? snapshot.state(paramsFlattened) : null;
    }

    /** What happens to outputs besides adding products. */
    final LayerOutputs outputs() {
        return outputs;
    }

    /** What the last pass in training kept. */
    final KeptPass kept() {
        return kept;
    }

    @Override
    public final @Nullable INDArray outputScale(Variant variant, Map<String, INDArray> parts, double s) {
        return LayerOutputs.scaleOf(this, variant, parts, s, dataType, matrix().columns());
    }

    /** Whether the layer's bias trains. */
    final boolean trainsBias() {
        return !lora().biases().isEmpty();
    }

    /** The bias, trained or frozen, with weight noise while training if the layer has any; null if the layer has none. */
    final @Nullable INDArray bias(boolean training, LayerWorkspaceMgr workspaces) {
        String key = DefaultParamInitializer.BIAS_KEY;
        return trainsBias() ? getParamWithNoise(key, training, workspaces) : frozen(key);
    }

    /**
     * If the bias trains, writes its gradient: the sum of dL/d(pre-activation) for each output.
     *
     * @param delta dL/d(pre-activation), one dimension of which is the outputs'
     * @param sums  its other dimensions
     */
    final void sumBiasGradient(INDArray delta, int... sums) {
        if (trainsBias()) {
            INDArray gradient = Objects.requireNonNull(gradientViews.get(lora().biases().get(0).key()));
            gradient.assign(delta.sum(sums).reshape(gradient.shape()));
        }
    }

    /**
     * The low-rank paths to run: the layer's own, or those that it is routed to.
     *
     * @param rows how many rows the input has
     */
    final List<Route> paths(long rows) {
        Routing routing = routing();
        return routing == null ? List.of(ownPath()) : routing.forRows(rows);
    }

    /** What runs in place of the layer's own path; null if the layer's own path runs. */
    final @Nullable Routing routing() {
        return adapter.switches().routing(adapted().key());
    }

    final Route ownPath() {
        return new Route(0, Long.MAX_VALUE, part(Variant.A), part(Variant.B), adapter.factor(adapted()));
    }

    /** The stock layer itself: for its masks and, unless its weights are quantised, for what it computes. */
    final Layer stock() {
        stock = stock != null ? stock : adapter.stock().layer(conf, index, adapter.stock().isQuantized());
        return stock;
    }

    @Override
    public void setInputGradient(InputGradient use) {
        inputGradient = use;
    }

    @Override
    protected INDArray preOutput(boolean training, LayerWorkspaceMgr workspaces) {
        adapter.beginPass(training);
        drop();
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaces);
        return forward(training, training && routing() == null, workspaces);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        if (adapter.switches().isDisabled()) {
            return activateStock(training, workspaces);
        }
        INDArray preActivation = preOutput(training, workspaces);
        kept.put(Kept.Z, training ? preActivation : null);
        // Activations work in place. Identity's output is z itself, which its backward pass does not read.
        boolean keep = training && (!(layerConf().getActivationFn() instanceof ActivationIdentity) || maskArray != null);
        INDArray result = keep ? DenseArithmetic.activated(layerConf().getActivationFn(), preActivation, workspaces)
                : DenseArithmetic.activate(layerConf().getActivationFn(), preActivation, training);
        if (maskArray != null) {
            mask(result);
        }
        return result;
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return adapter.switches().isDisabled() ? 0 : super.calcRegularizationScore(backpropParamsOnly);
    }

    /** What the base's layer computes, bit for bit. */
    INDArray activateStock(boolean training, LayerWorkspaceMgr workspaces) {
        adapter.beginPass(training);
        // Quantised weights are only lent: a layer is made on a copy of them, which goes with the layer.
        Layer base = adapter.stock().isQuantized() ? adapter.stock().layer(conf, index, false) : stock();
        base.setInput(input, workspaces);
        base.setMaskArray(maskArray);
        return base.activate(training, workspaces);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        adapter.switches().requireTrainable();
        assertInputSet(true);
        INDArray delta = DenseArithmetic.activationGradient(layerConf().getActivationFn(), keptOrComputed(workspaces),
                epsilon.castTo(dataType), workspaces);
        if (maskArray != null) {
            mask(delta);
        }
        return backpropDelta(delta, workspaces);
    }

    /** The pre-activation of the present input, with all that a backward pass needs. */
    final INDArray keptOrComputed(LayerWorkspaceMgr workspaces) {
        return kept.isWhole() && isReady() && outputs.isReady() ? kept.get(Kept.Z) : preOutput(true, workspaces);
    }

    /**
     * @param delta dL/d(pre-activation); may be overwritten
     */
    final Pair<Gradient, INDArray> backpropDelta(INDArray delta, LayerWorkspaceMgr workspaces) {
        INDArray dx = backward(delta, inputGradient.isNeeded(), workspaces);
        Gradient gradient = new DefaultGradient();
        gradientViews.forEach(gradient::setGradientFor);
        weightNoiseParams.clear();
        drop();
        return new Pair<>(gradient, dx == null ? null : backpropDropOutIfPresent(dx));
    }

    /** Drops what was kept. */
    final void drop() {
        kept.drop();
        outputs.forget();
        forget();
    }

    @Override
    public void setInput(INDArray newInput, LayerWorkspaceMgr workspaces) {
        drop();
        // DL4J's dropout may write to its input.
        super.setInput(newInput, layerConf().getIDropout() == null ? LentInputs.of(newInput, workspaces) : workspaces);
    }

    @Override
    public void clear() {
        drop();
        if (stock != null) {
            stock.clear();
        }
        super.clear();
    }

    /** Uses the mask only if the stock layer does: convolutions pass masks on, and compute without them. */
    final @Nullable Pair<INDArray, MaskState> feedForwardStockMask(@Nullable INDArray mask, MaskState state, int minibatch) {
        Pair<INDArray, MaskState> output = stock().feedForwardMaskArray(mask, state, minibatch);
        maskArray = stock().getMaskArray();
        maskState = state;
        return output;
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return lora().trains(key);
    }

    /** Whether a key of the parameter table names something that trains. */
    final boolean trains(String key) {
        return lora().trains(key);
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        super.setParamTable(table);
        adapter = new Adapter(this::lora, () -> params, () -> paramsFlattened, dataType, this::changed, this::drop);
        changed();
    }

    private void changed() {
        stock = null;
        drop();
        outputs.rebuild();
        snapshot.changed();
        rebuild();
    }

    @Override
    public void setParams(INDArray values) {
        adapter.setAll(values);
    }

    @Override
    public void setParam(String key, INDArray value) {
        adapter.set(key, value);
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        super.applyConstraints(iteration, epoch);
        adapter.stepped();
    }

    @Override
    public void fit(INDArray examples, LayerWorkspaceMgr workspaces) {
        throw new UnsupportedOperationException(Named.layer(lora().getLayerName())
                + ": pretrain trains a layer's own weights, which are frozen here. Pretrain the base before it is adapted, or "
                + "merge first");
    }

    @Override
    public Layer clone() {
        return copy(conf.clone()).on(trainingListeners, index, params().dup(), false);
    }
}
