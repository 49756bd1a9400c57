package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.engine.KeptPass.Kept;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.run.Routing;
import io.github.dl4jlora.variant.Host;
import io.github.dl4jlora.variant.LowRankPath;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.transforms.custom.LayerNorm;
import org.nd4j.linalg.api.ops.impl.transforms.custom.LayerNormBp;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/**
 * Runs an adapted dense layer: x·W by one product, the low-rank path, what the variant makes of the sum, layer normalisation,
 * bias.
 */
public class DenseRuntime extends KernelRuntime implements Host {

    private @Nullable LowRankPath path;

    /** A runtime that is not on a vector yet: see {@link KernelRuntime#on}. */
    public DenseRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    KernelRuntime copy(NeuralNetConfiguration copiedConf) {
        return new DenseRuntime(copiedConf, dataType);
    }

    private DenseLayer dense() {
        return (DenseLayer) layerConf();
    }

    @Override
    public boolean hasBias() {
        return dense().hasBias();
    }

    @Override
    public boolean hasLayerNorm() {
        return dense().hasLayerNorm();
    }

    @Override
    void rebuild() {
        path = null;
    }

    private LowRankPath path() {
        Routing routing = routing();
        if (routing != null) {
            return new RoutedPath(routing);
        }
        path = path != null ? path : lora().settings().variant().path(this);
        return path;
    }

    @Override
    public LowRankPath lowRank() {
        return lora().settings().engine() == Engine.SAMEDIFF ? new SameDiffPath(this) : new FusedPath(this);
    }

    private @Nullable INDArray gain() {
        return frozen(DefaultParamInitializer.GAIN_KEY);
    }

    /** The order of x·W in memory. */
    char resultOrder(long rows) {
        return matrix().resultOrder(rows, false);
    }

    @Override
    INDArray forward(boolean training, boolean keep, LayerWorkspaceMgr workspaces) {
        FrozenMatrix w = matrix();
        INDArray x = DenseArithmetic.checkedInput(input, w, dataType, layerId());
        long[] shape = {x.size(0), w.columns()};
        INDArray result = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, shape, resultOrder(shape[0]));
        w.times(x, result);
        subtractStart(x, result, false, workspaces);
        path().forward(x, result, training, workspaces);
        outputs().scale(result, training, workspaces);
        return normalised(result, bias(training, workspaces), training, workspaces);
    }

    /** Layer normalisation, bias and mask of a product, in place. */
    private INDArray normalised(INDArray product, @Nullable INDArray bias, boolean training, LayerWorkspaceMgr workspaces) {
        INDArray g = gain();
        if (g != null) {
            INDArray from = product;
            if (training) {
                from = workspaces.dup(ArrayType.ACTIVATIONS, product, product.ordering());
                kept().put(Kept.UNNORMALISED, from);
            }
            Nd4j.getExecutioner().exec(new LayerNorm(from, g, product, true, 1));
        }
        if (bias != null) {
            DenseArithmetic.addBias(product, bias);
        }
        outputs().replaceBias(product, bias);
        if (maskArray != null && masksPreActivation()) {
            mask(product);
        }
        return product;
    }

    @Override
    final INDArray activateStock(boolean training, LayerWorkspaceMgr workspaces) {
        INDArray result = layerConf().getActivationFn().getActivation(stockPreOutput(training, workspaces), training);
        if (maskArray != null) {
            mask(result);
        }
        return result;
    }

    /** Whether a mask concerns the pre-activation, and not only what becomes of it. */
    boolean masksPreActivation() {
        return true;
    }

    /** The base's own pre-activation, by the stock layer's own call and in its order: others may round differently. */
    final INDArray stockPreOutput(boolean training, LayerWorkspaceMgr workspaces) {
        adapter().beginPass(training);
        drop();
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaces);
        FrozenMatrix w = matrix();
        INDArray x = DenseArithmetic.checkedInput(input, w, dataType, layerId());
        INDArray result = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, new long[] {x.size(0), w.columns()},
                'c');
        x.mmuli(w.lent(), result);
        return normalised(result, frozen(DefaultParamInitializer.BIAS_KEY), false, workspaces);
    }

    /**
     * If the adapter's start was taken from W, the layer computes with W − s·A0·B0 in place of W. That is done here by two slim
     * products, so that W stays shared with the base, and bit for bit the base's.
     *
     * @param to x·W or, backwards, dL/dx, from which the start's share is subtracted
     */
    private void subtractStart(INDArray from, INDArray to, boolean backwards, LayerWorkspaceMgr workspaces) {
        if (!lora().settings().loraInit().isTakenFromW()) {
            return;
        }
        INDArray first = part(backwards ? Variant.START_B : Variant.START_A);
        INDArray second = part(backwards ? Variant.START_A : Variant.START_B);
        INDArray slim = workspaces.createUninitialized(backwards ? ArrayType.BP_WORKING_MEM : ArrayType.FF_WORKING_MEM,
                from.dataType(), from.size(0), adapted().rank());
        Blas.gemm(from, first, slim, false, backwards, 1, 0);
        Blas.gemm(slim, second, to, false, backwards, -factor(), 1);
    }

    @Override
    @Nullable INDArray backward(INDArray delta, boolean inputGradients, LayerWorkspaceMgr workspaces) {
        sumBiasGradient(delta, 0);
        INDArray g = gain();
        if (g != null) {
            INDArray unreadGain = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, g.dataType(), g.shape());
            Nd4j.getExecutioner().exec(new LayerNormBp(kept().get(Kept.UNNORMALISED), g, delta, delta, unreadGain, true, 1));
        }
        INDArray x = input.castTo(dataType);
        INDArray dz = path().toProduct(outputs().unscaled(delta), gradientViews);
        INDArray dx = null;
        if (inputGradients) {
            dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dz.dataType(), x.shape(),
                    matrix().resultOrder(x.size(0), true));
            matrix().timesTransposed(dz, dx);
            subtractStart(dz, dx, true, workspaces);
        }
        path().backward(x, dz, gradientViews, dx, workspaces);
        return dx;
    }

    @Override
    boolean isReady() {
        return path().isReady();
    }

    @Override
    void forget() {
        if (path != null) {
            path.forget();
        }
    }

    @Override
    void mask(INDArray output) {
        applyMask(output);
    }
}
