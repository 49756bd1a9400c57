package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.LoRAWrapperLayer;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.KeptArrays;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * Runs a {@link LoRAWrapperLayer} of one weight W by kernels of our own: a frozen part and a low-rank path of its own
 * beside it, the sum going into the activation. As in {@link LoRADenseRuntime}, what the backward pass needs is kept from
 * the training forward pass, and dL/dW is never formed.
 */
public abstract class KernelRuntime extends BaseLayer<LoRAWrapperLayer> implements AdaptedRuntime {

    private Map<String, INDArray> frozen;
    private Layer stock;
    private INDArray z;
    private long routedRows;
    private List<Route> routes;
    private InputGradient inputGradient = InputGradient.NEEDED;
    private int disabled;

    KernelRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    /** Makes the runtime a running layer on its part of the vector. */
    final KernelRuntime on(Collection<TrainingListener> listeners, int layerIndex, INDArray view, boolean initialize) {
        setListeners(listeners);
        setIndex(layerIndex);
        setParamsViewArray(view);
        setParamTable(layerConf().initializer().init(conf, view, initialize));
        return this;
    }

    abstract KernelRuntime copy(NeuralNetConfiguration copiedConf);

    /**
     * The pre-activation, in the shape of the layer's output.
     *
     * @param paths    low-rank paths, each for some examples
     * @param training whether to apply dropout
     * @param keep     whether to keep what {@link #backward} needs
     */
    abstract INDArray forward(List<Route> paths, boolean training, boolean keep, LayerWorkspaceMgr workspaces);

    /**
     * Writes the gradients of A, B and the bias, if it trains.
     *
     * @param delta          dL/d(pre-activation); may be overwritten
     * @param inputGradients whether anybody needs dL/d(input)
     * @return dL/d(input), null if nobody needs it
     */
    abstract INDArray backward(INDArray delta, Route path, boolean inputGradients, LayerWorkspaceMgr workspaces);

    /** Whether what {@link #forward} kept is still there. */
    abstract boolean isReady();

    /** Multiplies activations, or their gradient, by the mask; in place. */
    abstract void applyMaskTo(INDArray output);

    final AdaptedParameter adapted() {
        return layerConf().adapted().get(0);
    }

    /** A frozen parameter by DL4J's key. The first forward pass looks it up, not the constructor: weights may be attached in between. */
    final INDArray frozen(String key) {
        if (frozen == null) {
            frozen = LoRAWrapperParamInitializer.stockTable(layerConf(), frozenValues(), false);
        }
        return frozen.get(key);
    }

    /** The bias, trained or frozen; null if the layer has none. */
    final INDArray bias() {
        return trainsBias() ? getParam(DefaultParamInitializer.BIAS_KEY) : frozen(DefaultParamInitializer.BIAS_KEY);
    }

    private boolean trainsBias() {
        return !layerConf().biases().isEmpty();
    }

    /**
     * Where the bias trains, the sum of dL/d(pre-activation) for each output.
     *
     * @param delta dL/d(pre-activation), one dimension of which is the outputs'
     * @param sums  its other dimensions
     */
    final void sumBiasGradient(INDArray delta, int... sums) {
        if (trainsBias()) {
            INDArray gradient = gradient(DefaultParamInitializer.BIAS_KEY);
            gradient.assign(delta.sum(sums).reshape(gradient.shape()));
        }
    }

    private INDArray frozenValues() {
        return layerConf().frozenValues(paramsFlattened);
    }

    /** The stock layer itself, without the path: for what it computes when disabled, bit for bit, and for its masks. */
    private Layer stock() {
        if (stock == null) {
            NeuralNetConfiguration stockConf = conf.clone();
            stockConf.setLayer(StockLayers.withoutWeightRules(layerConf().stockLayer()));
            stockConf.clearVariables();
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                stock = stockConf.getLayer().instantiate(stockConf, null, index, frozenValues(), false, dataType);
            }
        }
        return stock;
    }

    private Route ownPath() {
        AdaptedParameter adapted = adapted();
        return new Route(0, Long.MAX_VALUE, inKernelOrder(getParam(adapted.keyOfA())), getParam(adapted.keyOfB()), adapted.factor());
    }

    /** A with its rows in the order in which the kernel has the inputs. */
    INDArray inKernelOrder(INDArray a) {
        return a;
    }

    final INDArray gradient(String key) {
        return gradientViews.get(key);
    }

    private List<Route> paths() {
        if (routes == null) {
            return List.of(ownPath());
        }
        long examples = input.size(0);
        if (routedRows != 0 && routedRows != examples) {
            throw new RowsMismatchException("Layer " + LoRAParams.quoted(layerConf().getLayerName()) + " gets " + examples
                    + " examples for a batch of " + routedRows);
        }
        return routes.stream().map(route -> new Route(routedRows == 0 ? 0 : route.from(), routedRows == 0 ? examples : route.to(),
                inKernelOrder(route.a().castTo(dataType)), route.b().castTo(dataType), route.factor())).toList();
    }

    @Override
    public void setInputGradient(InputGradient use) {
        inputGradient = use;
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        layerConf().rescale(key, alpha, scaling);
        forgetAll();
    }

    @Override
    public void disable() {
        forgetAll();
        disabled++;
    }

    @Override
    public void enable() {
        forgetAll();
        disabled--;
    }

    @Override
    public void route(String key, long rows, List<Route> newRoutes) {
        forgetAll();
        routedRows = rows;
        routes = newRoutes;
    }

    private void requireTrainable() {
        LoRAParams.requireEnabled(layerConf().getLayerName(), disabled);
        if (routes != null) {
            throw new IllegalStateException("Layer " + LoRAParams.quoted(layerConf().getLayerName()) + " serves the adapters of a bank and cannot be trained");
        }
    }

    @Override
    protected final INDArray preOutput(boolean training, LayerWorkspaceMgr workspaces) {
        forgetAll();
        assertInputSet(false);
        return forward(paths(), training, training && routes == null, workspaces);
    }

    @Override
    public final INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        if (disabled > 0) {
            stock().setInput(input, workspaces);
            stock().setMaskArray(maskArray);
            return stock().activate(training, workspaces);
        }
        INDArray preActivation = preOutput(training, workspaces);
        INDArray activation = preActivation;
        if (training) {
            z = preActivation;
            // Activations work in place. Identity's output is z itself, which its backward pass does not look at.
            if (!(layerConf().getActivationFn() instanceof ActivationIdentity) || maskArray != null) {
                activation = workspaces.dup(ArrayType.ACTIVATIONS, preActivation);
            }
        }
        INDArray result = layerConf().getActivationFn().getActivation(activation, training);
        if (maskArray != null) {
            applyMaskTo(result);
        }
        return result;
    }

    @Override
    public final Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        requireTrainable();
        assertInputSet(true);
        INDArray preActivation = KeptArrays.isUsable(z) && isReady() ? z : preOutput(true, workspaces);
        INDArray masked = epsilon.castTo(dataType);
        if (maskArray != null) {
            masked = workspaces.dup(ArrayType.BP_WORKING_MEM, masked);
            applyMaskTo(masked);
        }
        INDArray delta = DenseArithmetic.activationGradient(layerConf().getActivationFn(), preActivation, masked);
        INDArray dx = backward(delta, ownPath(), inputGradient.isNeeded(), workspaces);
        Gradient gradient = new DefaultGradient();
        for (String key : LowRankTable.keys(layerConf())) {
            gradient.setGradientFor(key, gradient(key));
        }
        forgetAll();
        return new Pair<>(gradient, dx == null ? null : backpropDropOutIfPresent(dx));
    }

    private void forgetAll() {
        z = null;
        forget();
    }

    /** Drops what a forward pass kept. */
    abstract void forget();

    @Override
    public void setInput(INDArray newInput, LayerWorkspaceMgr workspaces) {
        forgetAll();
        super.setInput(newInput, workspaces);
    }

    @Override
    public void clear() {
        forgetAll();
        if (stock != null) {
            stock.clear();
        }
        super.clear();
    }

    /** Takes the mask for itself only if the stock layer does: convolutions pass masks on, and work without. */
    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatch) {
        Pair<INDArray, MaskState> output = stock().feedForwardMaskArray(mask, state, minibatch);
        maskArray = stock().getMaskArray();
        maskState = state;
        return output;
    }

    @Override
    public void setMaskArray(INDArray mask) {
        super.setMaskArray(mask);
        if (stock != null) {
            stock.setMaskArray(mask);
        }
    }

    /** The mask of the layer's output, from that of its input. */
    final INDArray outputMask() {
        return stock().feedForwardMaskArray(maskArray, MaskState.Active, (int) maskArray.size(0)).getFirst();
    }

    @Override
    public boolean hasBias() {
        org.deeplearning4j.nn.conf.layers.Layer stockConf = layerConf().stockLayer();
        return !stockConf.initializer().biasKeys(stockConf).isEmpty();
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return layerConf().trains(key);
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        super.setParamTable(table);
        frozen = null;
        stock = null;
    }

    @Override
    public void setParams(INDArray values) {
        if (values != paramsFlattened) {
            paramsFlattened.assign(values.reshape(paramsFlattened.shape()));
        }
    }

    /** Keeps frozen values out of reach; {@code setParams} restores whole vectors, frozen values included. */
    @Override
    public void setParam(String key, INDArray value) {
        LowRankTable.set(layerConf().getLayerName(), layerConf(), paramTable(), key, value);
    }

    @Override
    public void fit(INDArray examples, LayerWorkspaceMgr workspaces) {
        throw new UnsupportedOperationException("Layer-wise pretraining is not supported " + layerId());
    }

    @Override
    public Layer clone() {
        return copy(conf.clone()).on(trainingListeners, index, params().dup(), false);
    }
}
