package io.github.dl4jlora.layer;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.frozen.FrozenReference;
import io.github.dl4jlora.frozen.FrozenWeightsMissingException;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.BaseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scalar.Step;
import org.nd4j.linalg.api.ops.impl.transforms.custom.LayerNorm;
import org.nd4j.linalg.api.ops.impl.transforms.custom.LayerNormBp;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Runs a {@link LoRADenseLayer}. Against DL4J's dense layer it saves two of four products with W per step: the
 * pre-activation is kept from the forward pass instead of being computed again, and dL/dW is never formed.
 *
 * <p>What is kept is valid only for the identical input: it is dropped by a new input, by an inference pass and by the
 * backward pass that used it, and recomputed where it is missing.
 */
class LoRADenseRuntime extends BaseLayer<LoRADenseLayer> implements AdaptedRuntime {

    private LowRankPath path;
    private INDArray w;
    private INDArray b;
    private INDArray g;
    private INDArray z;
    private INDArray preNorm;
    private InputGradient inputGradient = InputGradient.NEEDED;
    private int disabled;

    LoRADenseRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public void setInputGradient(InputGradient use) {
        inputGradient = use;
    }

    private boolean needsInputGradient() {
        return switch (inputGradient) {
            case NEEDED -> true;
            case FOR_CALLERS -> !BackpropCaller.isTrainingStep();
            case UNNEEDED -> false;
        };
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        layerConf().setAlpha(alpha);
        layerConf().setScaling(scaling);
        path = null;
    }

    @Override
    public void disable() {
        forget();
        disabled++;
    }

    @Override
    public void enable() {
        forget();
        disabled--;
    }

    @Override
    public void route(String key, long rows, List<Route> routes) {
        path = routes == null ? null : new RoutedPath(layerConf().getLayerName(), rows, routes);
    }

    private void requireEnabled() {
        if (disabled > 0) {
            throw new IllegalStateException("Layer " + LoRAParams.quoted(layerConf().getLayerName())
                    + ": its adapter is disabled, so there "
                    + "is nothing to train. Close the scope that LoRA.disabled opened first");
        }
    }

    @Override
    public boolean hasBias() {
        return layerConf().hasBias();
    }

    @Override
    public boolean hasLayerNorm() {
        return layerConf().hasLayerNorm();
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public void setParamTable(Map<String, INDArray> table) {
        super.setParamTable(table);
        path = null;
        w = null;
    }

    /** Looks the frozen weights up. The first forward pass does so, not the constructor: they may be attached in between. */
    private void requireFrozen() {
        if (w != null) {
            return;
        }
        LoRADenseLayer conf = layerConf();
        Map<String, INDArray> table = params;
        if (conf.getStorage() == FrozenStorage.SHARED) {
            FrozenReference reference = conf.getFrozen();
            if (reference == null) {
                throw new FrozenWeightsMissingException(conf.getLayerName(), "(none recorded)");
            }
            INDArray values = reference.values(conf.getLayerName(), dataType, DefaultParamInitializer.getInstance().numParams(conf));
            table = LoRADenseParamInitializer.frozenTable(conf, values, false);
        }
        b = table.get(DefaultParamInitializer.BIAS_KEY);
        g = table.get(DefaultParamInitializer.GAIN_KEY);
        w = table.get(DefaultParamInitializer.WEIGHT_KEY);
    }

    private LowRankPath path() {
        if (path == null) {
            LoRADenseLayer conf = layerConf();
            path = conf.getEngine() == Engine.SAMEDIFF ? new SameDiffPath(this, conf)
                    : new FusedPath(this, conf.factor(), conf.getLoraDropout());
        }
        return path;
    }

    /** A or B, with weight noise while training if the layer has any. */
    final INDArray trained(String key, boolean training, LayerWorkspaceMgr workspaces) {
        return getParamWithNoise(key, training, workspaces);
    }

    @Override
    protected INDArray preOutput(boolean training, LayerWorkspaceMgr workspaces) {
        forget();
        requireFrozen();
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaces);
        INDArray x = checkedInput();
        long[] shape = {x.size(0), w.size(1)};
        INDArray result;
        if (disabled > 0) {
            // The stock layer's own call into the stock layer's order: anything else may round otherwise.
            result = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, shape, 'c');
            x.mmuli(w, result);
        } else {
            result = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, shape, order(shape[0], shape[1]));
            Nd4j.gemm(x, w, result, false, false, 1, 0);
            path().forward(x, result, training, workspaces);
        }
        if (g != null) {
            preNorm = training ? workspaces.dup(ArrayType.ACTIVATIONS, result, result.ordering()) : null;
            Nd4j.getExecutioner().exec(new LayerNorm(training ? preNorm : result, g, result, true, 1));
        }
        if (b != null) {
            result.addiRowVector(b);
        }
        if (maskArray != null) {
            applyMask(result);
        }
        return result;
    }

    /**
     * OpenBLAS is faster into a column-major result when a batch is much lower than it is wide, and into a row-major
     * one otherwise (docs/benchmarks.md).
     */
    private static char order(long rows, long columns) {
        return 4 * rows <= columns ? 'f' : 'c';
    }

    private INDArray checkedInput() {
        if (input.rank() != 2) {
            throw new DL4JInvalidInputException("Input that is not a matrix; expected matrix (rank 2), got rank " + input.rank()
                    + " array with shape " + Arrays.toString(input.shape()) + ". Missing preprocessor or wrong input type? " + layerId());
        }
        if (input.size(1) != w.size(0)) {
            throw new DL4JInvalidInputException("Input size (" + input.size(1) + " columns; shape = " + Arrays.toString(input.shape())
                    + ") is invalid: does not match layer input size (layer # inputs = " + w.size(0) + ") " + layerId());
        }
        return input.castTo(dataType);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray preActivation = preOutput(training, workspaces);
        INDArray activation = preActivation;
        if (training) {
            z = preActivation;
            // Activations work in place. Identity's output is z itself, which its backward pass does not look at.
            if (!(layerConf().getActivationFn() instanceof ActivationIdentity)) {
                activation = workspaces.dup(ArrayType.ACTIVATIONS, preActivation, preActivation.ordering());
            }
        }
        INDArray result = layerConf().getActivationFn().getActivation(activation, training);
        if (maskArray != null) {
            applyMask(result);
        }
        return result;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        requireEnabled();
        assertInputSet(true);
        INDArray preActivation = keptOrRecomputed(workspaces);
        INDArray delta = activationGradient(preActivation, epsilon);
        if (maskArray != null) {
            applyMask(delta);
        }
        return backpropDelta(delta, workspaces);
    }

    /** ReLU's as two vectorised passes, overwriting z: ND4J's one operation for it takes five times as long. */
    private INDArray activationGradient(INDArray preActivation, INDArray epsilon) {
        IActivation activation = layerConf().getActivationFn();
        if (!isPlainReLU(activation) || !Arrays.equals(preActivation.shape(), epsilon.shape())) {
            return activation.backprop(preActivation, epsilon).getFirst();
        }
        return Nd4j.getExecutioner().exec(new Step(preActivation, preActivation)).muli(epsilon);
    }

    private static boolean isPlainReLU(IActivation activation) {
        return activation.getClass() == ActivationReLU.class && ((ActivationReLU) activation).getMax() == null
                && ((ActivationReLU) activation).getThreshold() == null && ((ActivationReLU) activation).getNegativeSlope() == null;
    }

    private INDArray keptOrRecomputed(LayerWorkspaceMgr workspaces) {
        boolean usable = Kept.isUsable(z) && path().isReady() && (g == null || Kept.isUsable(preNorm));
        return usable ? z : preOutput(true, workspaces);
    }

    /**
     * @param delta dL/d(pre-activation) {@code [minibatch, nOut]}; may be overwritten
     */
    final Pair<Gradient, INDArray> backpropDelta(INDArray delta, LayerWorkspaceMgr workspaces) {
        requireEnabled();
        if (g != null) {
            INDArray unreadGain = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, g.dataType(), g.shape());
            Nd4j.getExecutioner().exec(new LayerNormBp(preNorm, g, delta, delta, unreadGain, true, 1));
        }
        INDArray x = input.castTo(dataType);
        INDArray dx = null;
        if (needsInputGradient()) {
            dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, delta.dataType(), x.shape(), order(x.size(0), x.size(1)));
            Nd4j.gemm(delta, w, dx, false, true, 1, 0);
        }
        path().backward(x, delta, gradientViews, dx, workspaces);
        Gradient gradient = new DefaultGradient();
        gradient.setGradientFor(LoRAParams.A, gradientViews.get(LoRAParams.A));
        gradient.setGradientFor(LoRAParams.B, gradientViews.get(LoRAParams.B));
        weightNoiseParams.clear();
        forget();
        if (dx != null) {
            dx = backpropDropOutIfPresent(dx);
        }
        return new Pair<>(gradient, dx);
    }

    private void forget() {
        z = null;
        preNorm = null;
        if (path != null) {
            path.forget();
        }
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaces) {
        forget();
        super.setInput(input, workspaces);
    }

    @Override
    public void clear() {
        forget();
        super.clear();
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return LoRADenseLayer.isTrained(key);
    }

    @Override
    public void fit(INDArray input, LayerWorkspaceMgr workspaces) {
        throw new UnsupportedOperationException("Layer-wise pretraining is not supported " + layerId());
    }

    @Override
    public Layer clone() {
        INDArray copy = params().dup();
        LoRADenseRuntime clone = layerConf().newRuntime(conf.clone(), dataType);
        clone.setIndex(index);
        clone.setParamsViewArray(copy);
        clone.setParamTable(layerConf().initializer().init(clone.conf(), copy, false));
        return clone;
    }

    /** Keeps frozen values out of {@link #setParam}'s reach; {@code setParams} restores whole vectors, frozen values included. */
    @Override
    public void setParam(String key, INDArray value) {
        if (!LoRADenseLayer.isTrained(key)) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(layerConf().getLayerName()) + " has no trainable parameter "
                    + LoRAParams.quoted(key) + "; it has A " + Arrays.toString(getParam(LoRAParams.A).shape()) + " and B "
                    + Arrays.toString(getParam(LoRAParams.B).shape()));
        }
        INDArray current = getParam(key);
        if (!Arrays.equals(current.shape(), value.shape())) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(layerConf().getLayerName()) + ": parameter " + key
                    + " has shape " + Arrays.toString(current.shape()) + ", but the new value has " + Arrays.toString(value.shape()));
        }
        current.assign(value);
    }
}
