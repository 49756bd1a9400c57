package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.blas.KeptArrays;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.KeptSlopes;
import io.github.dl4jlora.internal.kernel.PackedSlopes;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.Supplier;

/**
 * Runs a frozen layer y = act(z), z = x·W + b, with one product forward and one backward,
 * {@code dx = (dy ⊙ act'(z))·Wᵀ}. The stock layer takes four, and copies: it forms z anew in the backward pass, and dW,
 * which nobody reads. A {@link FrozenProduct} says what · means.
 *
 * <p>z, or the activation's slopes if it {@linkplain PackedSlopes packs} them, is kept in the activations workspace from the
 * training forward pass to the backward pass, unless the activation is the identity, and computed again where it is missing.
 * Inputs and masks that the product does not take are left to the stock layer.
 */
final class FrozenKernel extends FrozenArithmetic implements PassingOutput.Maker {

    private final FrozenProduct product;
    private final Supplier<Layer> whole;
    private @Nullable INDArray z;
    /** Kept in place of z. */
    private @Nullable KeptSlopes slopes;
    private boolean stock;
    private @Nullable PassingOutput place;

    /** @param whole the stock layer, ready to compute what the product computes, without the present input */
    FrozenKernel(Layer stock, FrozenProduct product, Supplier<Layer> whole) {
        super(stock);
        this.product = product;
        this.whole = whole;
    }

    @Override
    public void setStock(boolean asStock) {
        forget();
        stock = asStock;
    }

    @Override
    public void setPassingOutput(@Nullable PassingOutput output) {
        place = output;
    }

    private IActivation activation() {
        return ((BaseLayer) underlying.conf().getLayer()).getActivationFn();
    }

    private boolean isIdentity() {
        return activation() instanceof ActivationIdentity;
    }

    private boolean isOurs() {
        return !stock && underlying.input() != null && product.takes(underlying.input(), underlying.getMaskArray());
    }

    /** The stock layer with the present input. */
    private Layer asStock(LayerWorkspaceMgr workspaces) {
        Layer base = whole.get();
        if (base != underlying) {
            base.setInput(underlying.input(), workspaces);
        }
        return base;
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

    private void forget() {
        z = null;
        slopes = null;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        forget();
        if (!isOurs()) {
            if (training && input() != null && !input().isAttached()) {
                // The stock layer reads its input in the backward pass, when it may have been overwritten: see PassingOutput.
                super.setInput(workspaces.dup(ArrayType.INPUT, input()), workspaces);
            }
            return asStock(workspaces).activate(training, workspaces);
        }
        PackedSlopes packing = training && activation() instanceof PackedSlopes able && able.packs(product.type()) ? able : null;
        boolean keep = training && packing == null && !isIdentity();
        boolean rectifies = !training && DenseArithmetic.isPlainReLU(activation());
        INDArray result = product.forward(underlying.input(), rectifies, training && !keep ? place : null, workspaces);
        if (packing != null) {
            slopes = KeptSlopes.of(packing, result, workspaces);
        } else if (keep) {
            z = result;
            result = DenseArithmetic.activated(activation(), z, place, workspaces);
        } else if (!rectifies) {
            result = DenseArithmetic.activate(activation(), result, training);
        }
        if (underlying.getMaskArray() != null) {
            product.mask(result, underlying.getMaskArray());
        }
        return result;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        INDArray input = underlying.input();
        if (!isOurs()) {
            Layer base = asStock(workspaces);
            base.setBackpropGradientsViewArray(workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, product.type(),
                    base.numParams()));
            return new Pair<>(new DefaultGradient(), base.backpropGradient(epsilon, workspaces).getSecond());
        }
        INDArray delta = epsilon.castTo(product.type());
        if (underlying.getMaskArray() != null) {
            delta = workspaces.dup(ArrayType.BP_WORKING_MEM, delta);
            product.mask(delta, underlying.getMaskArray());
        }
        if (slopes != null && KeptArrays.isUsable(slopes.packed())) {
            delta = slopes.gradient(delta, workspaces);
        } else if (!isIdentity()) {
            INDArray preActivation = z != null && KeptArrays.isUsable(z) ? z : product.forward(input, workspaces);
            delta = DenseArithmetic.activationGradient(activation(), preActivation, delta, workspaces);
        }
        forget();
        return new Pair<>(new DefaultGradient(), product.backward(delta, input, workspaces));
    }
}
