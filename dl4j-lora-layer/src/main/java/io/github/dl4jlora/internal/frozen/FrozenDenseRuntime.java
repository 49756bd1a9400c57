package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.kernel.KeptArrays;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.feedforward.dense.DenseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Runs a frozen dense layer with one product forward and one backward: {@code y = act(x·W + b)},
 * {@code dx = (dy ⊙ act'(z))·Wᵀ}. The stock layer takes four, and three copies: it forms x·W anew in the backward pass,
 * and dW, which nobody reads.
 *
 * <pre>
 * x, dx     [minibatch, nIn]
 * z, y, dy  [minibatch, nOut]
 * </pre>
 *
 * <p>z is kept in the activations workspace from the training forward pass to the backward pass, unless the activation is
 * the identity, and computed again where it is missing. Masks, layer normalisation and input that the stock layer would
 * refuse are left to the stock layer.
 */
public final class FrozenDenseRuntime extends FrozenRuntime implements Disableable {

    private INDArray z;
    private int disabled;

    public FrozenDenseRuntime(FrozenParameters parameters, Builder builder, Layer layer) {
        super(parameters, builder, layer);
    }

    /** Whether this class can run the layer; the exact type, since a subclass computes something that we do not know. */
    public static boolean canRun(Layer layer) {
        return layer.getClass() == DenseLayer.class && !((DenseLayer) layer).hasLayerNorm();
    }

    @Override
    public void disable() {
        z = null;
        disabled++;
    }

    @Override
    public void enable() {
        z = null;
        disabled--;
    }

    private DenseLayer dense() {
        return (DenseLayer) underlying;
    }

    private INDArray w() {
        return underlying.getParam(DefaultParamInitializer.WEIGHT_KEY);
    }

    private IActivation activation() {
        return dense().layerConf().getActivationFn();
    }

    private boolean isIdentity() {
        return activation() instanceof ActivationIdentity;
    }

    /** Call after {@link #bind}. */
    private boolean isPlain() {
        INDArray x = underlying.input();
        return disabled == 0 && underlying.getMaskArray() == null && x != null && x.rank() == 2 && x.size(1) == w().size(0);
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaces) {
        z = null;
        super.setInput(input, workspaces);
    }

    @Override
    public void clear() {
        z = null;
        super.clear();
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        z = null;
        bind();
        if (!isPlain()) {
            return super.activate(training, workspaces);
        }
        INDArray preActivation = preActivation(workspaces);
        if (isIdentity() || !training) {
            return activation().getActivation(preActivation, training);
        }
        z = preActivation;
        // Activations work in place.
        return activation().getActivation(workspaces.dup(ArrayType.ACTIVATIONS, z, z.ordering()), true);
    }

    private INDArray preActivation(LayerWorkspaceMgr workspaces) {
        INDArray w = w();
        INDArray x = underlying.input().castTo(w.dataType());
        INDArray result = matrix(workspaces, ArrayType.ACTIVATIONS, x.size(0), w.size(1));
        Nd4j.gemm(x, w, result, false, false, 1, 0);
        return dense().hasBias() ? result.addiRowVector(underlying.getParam(DefaultParamInitializer.BIAS_KEY)) : result;
    }

    private INDArray matrix(LayerWorkspaceMgr workspaces, ArrayType type, long rows, long columns) {
        return workspaces.createUninitialized(type, w().dataType(), new long[]{rows, columns}, DenseArithmetic.resultOrder(rows, columns));
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        bind();
        if (!isPlain()) {
            return super.backpropGradient(epsilon, workspaces);
        }
        INDArray delta = epsilon;
        if (!isIdentity()) {
            INDArray preActivation = KeptArrays.isUsable(z) ? z : preActivation(workspaces);
            delta = DenseArithmetic.activationGradient(activation(), preActivation, epsilon);
        }
        z = null;
        INDArray dx = matrix(workspaces, ArrayType.ACTIVATION_GRAD, delta.size(0), w().size(0));
        Nd4j.gemm(delta, w(), dx, false, true, 1, 0);
        return new Pair<>(new DefaultGradient(), dx);
    }
}
