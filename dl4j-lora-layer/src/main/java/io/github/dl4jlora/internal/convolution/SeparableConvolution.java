package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.onednn.ConvolutionShape;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.Weights;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A separable convolution of images: a depthwise one, and one with a kernel of one number over what that gives:
 *
 * <pre>
 * forward    y = x ∗ W      z = y · V
 * backward   dy = dz · Vᵀ   dx = dy ∗ W    dV = Σ yᵀ · dz    dW = x ∗ dy
 *
 * W  [kernel, multiplier·nIn]   DL4J's [multiplier, nIn, height, width], read as a matrix
 * V  [nIn·multiplier, nOut]     DL4J's [nOut, nIn·multiplier, 1, 1], read as a matrix
 * </pre>
 *
 * For one input channel DL4J's layer computes something else, or fails; {@link #exists} leaves that to it.
 */
public final class SeparableConvolution {

    private final Windows windows;
    private final FrozenMatrix w;
    private final FrozenMatrix v;
    private final DataType type;

    public SeparableConvolution(Windows windows, FrozenMatrix w, FrozenMatrix v, DataType type) {
        this.windows = windows;
        this.w = w;
        this.v = v;
        this.type = type;
    }

    /** Whether this computes what DL4J's layer computes. */
    public static boolean exists(ConvolutionLayer conf) {
        return conf.getNIn() > 1;
    }

    private DepthwiseConvolution depthwise() {
        return new DepthwiseConvolution(windows, w.columns() == windows.in()[0] ? w : new PlainMatrix(inputsFirst()));
    }

    /** W as {@code [kernel, nIn·multiplier]}, a copy. */
    private INDArray inputsFirst() {
        long nIn = windows.in()[0];
        return w.lent().dup('c').reshape('c', w.rows(), w.columns() / nIn, nIn).permute(0, 2, 1).dup('c')
                .reshape('c', w.rows(), w.columns());
    }

    private FrozenConvolution pointwise(long minibatch) {
        return FrozenConvolution.of(windows.pointwise((int) w.columns()), v, type, minibatch);
    }

    private INDArray y(INDArray x, ArrayType place, LayerWorkspaceMgr workspaces) {
        return workspaces.createUninitialized(place, type, windows.outputShape(x.size(0), w.columns(), x.rank()), 'c');
    }

    /** As {@link FrozenConvolution#forward(INDArray, Finish, INDArray, LayerWorkspaceMgr)}. */
    public void forward(INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
        INDArray y = y(x, ArrayType.FF_WORKING_MEM, workspaces);
        depthwise().forward(x, Finish.NOTHING, y, workspaces);
        pointwise(x.size(0)).forward(y, finish, z, workspaces);
    }

    /** As {@link FrozenConvolution#backward(INDArray, INDArray, ArrayType, LayerWorkspaceMgr)}. */
    public void backward(INDArray dz, INDArray dx, ArrayType place, LayerWorkspaceMgr workspaces) {
        INDArray dy = y(dx, place, workspaces);
        pointwise(dx.size(0)).backward(dz, dy, place, workspaces);
        depthwise().backward(dy, dx, place, workspaces);
    }

    /**
     * A backward pass with the gradients of weights that are not frozen.
     *
     * @param dw of W's shape, overwritten
     * @param dv of V's shape, overwritten
     */
    public void backward(INDArray x, INDArray dz, INDArray dx, INDArray dw, INDArray dv, LayerWorkspaceMgr workspaces) {
        INDArray y = y(x, ArrayType.BP_WORKING_MEM, workspaces);
        depthwise().forward(x, Finish.NOTHING, y, workspaces);
        ConvolutionShape second = windows.pointwise(x.size(0), w.columns(), v.columns());
        if (!Convolutions.take(second, type) || !Convolutions.backToWeights(second, y, Weights.of(dv, false), dz)) {
            for (long i = 0; i < x.size(0); i++) {
                Blas.gemm(windows.matrix(y, i), windows.matrix(dz, i), dv, true, false, 1, i == 0 ? 0 : 1);
            }
        }
        INDArray dy = y(x, ArrayType.BP_WORKING_MEM, workspaces);
        pointwise(x.size(0)).backward(dz, dy, ArrayType.BP_WORKING_MEM, workspaces);
        INDArray inputsFirst = depthwise().backward(x, dy, dx, workspaces);
        long nIn = windows.in()[0];
        dw.assign(inputsFirst.reshape('c', w.rows(), nIn, w.columns() / nIn).permute(0, 2, 1).dup('c')
                .reshape('c', w.rows(), w.columns()));
    }
}
