package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.Engine;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.frozen.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.kernel.KeptArrays;
import io.github.dl4jlora.variant.Host;
import io.github.dl4jlora.variant.LowRankPath;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.Variant;
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
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.transforms.custom.LayerNorm;
import org.nd4j.linalg.api.ops.impl.transforms.custom.LayerNormBp;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Runs a {@link LoRADenseLayer}. Against DL4J's dense layer it saves two of four products with W per step: the
 * pre-activation is kept from the forward pass instead of being computed again, and dL/dW is never formed.
 *
 * <p>What is kept is valid only for the identical input: it is dropped by a new input, by an inference pass and by the
 * backward pass that used it, and recomputed where it is missing.
 */
public class LoRADenseRuntime extends BaseLayer<LoRADenseLayer> implements AdaptedRuntime, Host {

    private LowRankPath path;
    private INDArray w;
    private INDArray b;
    private INDArray g;
    private Map<String, INDArray> constants;
    private Set<String> trained;
    private INDArray z;
    private INDArray preNorm;
    private InputGradient inputGradient = InputGradient.NEEDED;
    private int disabled;

    public LoRADenseRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public void setInputGradient(InputGradient use) {
        inputGradient = use;
    }

    @Override
    public void rescale(String key, double alpha, Scaling scaling) {
        layerConf().setAlpha(alpha);
        layerConf().setScaling(scaling);
        path = null;
        if (layerConf().getLoraInit().isTakenFromW()) {
            // What stands in W's place is W − s·A0·B0, of the s that there is now.
            Map<String, INDArray> start = AdapterStart.of(layerConf(), stock(dataType), dataType, layerConf().getStartSeed());
            start.keySet().retainAll(Set.of(Variant.START_A, Variant.START_B));
            replace(start);
        }
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
        trained = layerConf().adapterParameters(true).stream().map(Parameter::key).collect(Collectors.toSet());
        path = null;
        constants = null;
        w = null;
    }

    /** Looks the frozen weights up. The first forward pass does so, not the constructor: they may be attached in between. */
    private void requireFrozen() {
        requireConstants();
        if (w != null) {
            return;
        }
        Map<String, INDArray> table = stock(dataType);
        b = table.get(DefaultParamInitializer.BIAS_KEY);
        g = table.get(DefaultParamInitializer.GAIN_KEY);
        w = table.get(DefaultParamInitializer.WEIGHT_KEY);
    }

    /** The stock layer's own parameters, as the base has them. */
    private Map<String, INDArray> stock(DataType type) {
        LoRADenseLayer conf = layerConf();
        if (conf.getStorage() == FrozenStorage.EMBEDDED) {
            Map<String, INDArray> table = new HashMap<>(params);
            if (conf.isTrainBias()) {
                table.put(DefaultParamInitializer.BIAS_KEY, params.get(LoRADenseParamInitializer.FROZEN_BIAS));
            }
            return table;
        }
        return LoRADenseParamInitializer.frozenTable(conf, conf.sharedValues(type), false);
    }

    private void requireConstants() {
        if (constants == null) {
            constants = layerConf().getStorage() == FrozenStorage.EMBEDDED || layerConf().constantParams() == 0 ? params
                    : constants(layerConf());
        }
    }

    private Map<String, INDArray> constants(LoRADenseLayer conf) {
        List<Parameter> parameters = conf.adapterParameters(false);
        FrozenReference reference = conf.getConstants();
        if (reference == null) {
            throw new FrozenWeightsMissingException(conf.getLayerName(), "(none recorded)");
        }
        reference.bindOr(conf.getLayerName(), () -> {
            // In the type in which they were made.
            DataType type = conf.getFrozen().require(conf.getLayerName()).values().dataType();
            return AdapterStart.constants(conf, AdapterStart.of(conf, stock(type), type, conf.getStartSeed()));
        });
        return AdapterStart.views(parameters, reference.values(conf.getLayerName(), dataType, conf.constantParams()));
    }

    @Override
    public void start(long seed) {
        LoRADenseLayer conf = layerConf();
        Map<String, INDArray> start = AdapterStart.of(conf, stock(dataType), dataType, seed);
        if (conf.getStorage() == FrozenStorage.SHARED) {
            AdapterStart.keepConstants(conf, start, seed);
            constants = null;
        }
        replace(start);
    }

    @Override
    public void replace(Map<String, INDArray> parts) {
        Map<String, INDArray> all = adapterParameters();
        boolean outside = layerConf().getStorage() == FrozenStorage.SHARED
                && parts.keySet().stream().anyMatch(key -> !params.containsKey(key));
        parts.forEach((key, value) -> {
            if (params.containsKey(key)) {
                params.get(key).assign(value);
            } else {
                all.put(key, value);
            }
        });
        if (outside) {
            AdapterStart.keepConstants(layerConf(), all, layerConf().getStartSeed());
        }
        constants = null;
        path = null;
    }

    @Override
    public Map<String, INDArray> adapterParameters() {
        requireConstants();
        Map<String, INDArray> parameters = new LinkedHashMap<>();
        layerConf().adapterParameters().forEach(parameter -> parameters.put(parameter.key(), value(parameter.key())));
        return parameters;
    }

    @Override
    public void mergeInto(Map<String, INDArray> stock) {
        Map<String, INDArray> parameters = adapterParameters();
        layerConf().getVariant().merge(stock.get(DefaultParamInitializer.WEIGHT_KEY), parameters, layerConf().factor());
        if (layerConf().isTrainBias()) {
            stock.get(DefaultParamInitializer.BIAS_KEY).assign(parameters.get(DefaultParamInitializer.BIAS_KEY));
        }
    }

    private LowRankPath path() {
        if (path == null) {
            path = layerConf().getVariant().path(this);
        }
        return path;
    }

    @Override
    public LowRankPath lowRank() {
        LoRADenseLayer conf = layerConf();
        return conf.getEngine() == Engine.SAMEDIFF ? new SameDiffPath(this, conf) : new FusedPath(this, conf);
    }

    @Override
    public INDArray weights() {
        return w;
    }

    @Override
    public boolean hasFixedWeights() {
        return layerConf().getStorage() == FrozenStorage.SHARED;
    }

    @Override
    public double factor() {
        return layerConf().factor();
    }

    /** A parameter of the adapter, wherever it lives; null for one that it has not. */
    final INDArray value(String key) {
        INDArray inVector = params.get(key);
        return inVector != null ? inVector : constants.get(key);
    }

    /** With weight noise while training if the layer has any. */
    @Override
    public INDArray parameter(String key, boolean training, LayerWorkspaceMgr workspaces) {
        return trained.contains(key) ? getParamWithNoise(key, training, workspaces) : value(key);
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
            result = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, shape, DenseArithmetic.resultOrder(shape[0], shape[1]));
            Nd4j.gemm(x, w, result, false, false, 1, 0);
            subtractStart(x, result, false, workspaces);
            path().forward(x, result, training, workspaces);
        }
        if (g != null) {
            preNorm = training ? workspaces.dup(ArrayType.ACTIVATIONS, result, result.ordering()) : null;
            Nd4j.getExecutioner().exec(new LayerNorm(training ? preNorm : result, g, result, true, 1));
        }
        if (b != null) {
            boolean ours = disabled == 0 && layerConf().isTrainBias();
            result.addiRowVector(ours ? parameter(DefaultParamInitializer.BIAS_KEY, training, workspaces) : b);
        }
        if (maskArray != null) {
            applyMask(result);
        }
        return result;
    }

    /**
     * Where the adapter's start was taken from W, W stands for W − s·A0·B0, here as two slim products: what is shared with
     * the base stays shared, and bit for bit the base's.
     *
     * @param to x·W, of which the start's share is subtracted, or, backwards, dL/dx
     */
    private void subtractStart(INDArray from, INDArray to, boolean backwards, LayerWorkspaceMgr workspaces) {
        if (!layerConf().getLoraInit().isTakenFromW()) {
            return;
        }
        INDArray first = value(backwards ? Variant.START_B : Variant.START_A);
        INDArray second = value(backwards ? Variant.START_A : Variant.START_B);
        INDArray slim = workspaces.createUninitialized(backwards ? ArrayType.BP_WORKING_MEM : ArrayType.FF_WORKING_MEM,
                from.dataType(), from.size(0), layerConf().getRank());
        Nd4j.gemm(from, first, slim, false, backwards, 1, 0);
        Nd4j.gemm(slim, second, to, false, backwards, -factor(), 1);
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
        LoRAParams.requireEnabled(layerConf().getLayerName(), disabled);
        assertInputSet(true);
        INDArray preActivation = keptOrRecomputed(workspaces);
        INDArray delta = DenseArithmetic.activationGradient(layerConf().getActivationFn(), preActivation, epsilon);
        if (maskArray != null) {
            applyMask(delta);
        }
        return backpropDelta(delta, workspaces);
    }

    private INDArray keptOrRecomputed(LayerWorkspaceMgr workspaces) {
        boolean usable = KeptArrays.isUsable(z) && path().isReady() && (g == null || KeptArrays.isUsable(preNorm));
        return usable ? z : preOutput(true, workspaces);
    }

    /**
     * @param delta dL/d(pre-activation) {@code [minibatch, nOut]}; may be overwritten
     */
    final Pair<Gradient, INDArray> backpropDelta(INDArray delta, LayerWorkspaceMgr workspaces) {
        LoRAParams.requireEnabled(layerConf().getLayerName(), disabled);
        if (layerConf().isTrainBias()) {
            delta.sum(gradientViews.get(DefaultParamInitializer.BIAS_KEY), 0);
        }
        if (g != null) {
            INDArray unreadGain = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, g.dataType(), g.shape());
            Nd4j.getExecutioner().exec(new LayerNormBp(preNorm, g, delta, delta, unreadGain, true, 1));
        }
        INDArray x = input.castTo(dataType);
        delta = path().toProduct(delta, gradientViews);
        INDArray dx = null;
        if (inputGradient.isNeeded()) {
            dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, delta.dataType(), x.shape(),
                    DenseArithmetic.resultOrder(x.size(0), x.size(1)));
            Nd4j.gemm(delta, w, dx, false, true, 1, 0);
            subtractStart(delta, dx, true, workspaces);
        }
        path().backward(x, delta, gradientViews, dx, workspaces);
        Gradient gradient = new DefaultGradient();
        gradientViews.forEach(gradient::setGradientFor);
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
        return trained.contains(key);
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
        if (!layerConf().trains(key)) {
            throw new IllegalArgumentException("Layer " + LoRAParams.quoted(layerConf().getLayerName()) + " has no trainable parameter "
                    + LoRAParams.quoted(key) + "; it has " + layerConf().adapterParameters(true).stream()
                    .map(parameter -> parameter.key() + " [" + parameter.rows() + ", " + parameter.columns() + "]")
                    .collect(Collectors.joining(" and ")));
        }
        LowRankTable.assign(layerConf().getLayerName(), key, getParam(key), value);
    }
}
