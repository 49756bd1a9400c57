package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.Weights;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;

/**
 * A frozen transposed convolution, and a low-rank one beside it. Its forward pass is the backward pass to the data of a
 * convolution that leads from its outputs to its inputs, and its backward pass is that convolution's forward pass:
 *
 * <pre>
 * forward    u = x·A              z = fold(x·W + s·u·B)
 * backward   v = unfold(dz)·Bᵀ    dB = Σ s·uᵀ·unfold(dz)    dA = Σ s·xᵀ·v    dx = unfold(dz)·Wᵀ + s·v·Aᵀ
 *
 * x       [positions, nIn]      of the input
 * W       [nIn, nOut·kernel]    DL4J's [nIn, nOut, kernel…], read as a matrix
 * A       [nIn, rank]
 * B       [rank, nOut·kernel]
 * u, v    [positions, rank]
 * unfold  the windows of the output, fold its transpose
 * </pre>
 *
 * The convolution has the weights Wᵀ, and its path has Bᵀ in the place of A, Aᵀ in that of B. Dropout of the path is not for
 * this kind of layer.
 */
final class TransposedConvolution implements FrozenConvolution {

    private final Windows windows;
    private final FrozenMatrix w;
    private final DataType type;

    /**
     * @param windows of the output
     * @param w       the convolution's: {@code [nOut·kernel, nIn]}
     */
    TransposedConvolution(Windows windows, FrozenMatrix w, DataType type) {
        this.windows = windows;
        this.w = w;
        this.type = type;
    }

    private FrozenConvolution convolution(FrozenMatrix weights, long minibatch) {
        return FrozenConvolution.of(windows, weights, type, minibatch);
    }

    private FrozenConvolution convolution(INDArray weights, long minibatch) {
        return convolution(new PlainMatrix(weights), minibatch);
    }

    private static Route turned(Route path) {
        return path.with(path.b().transpose(), path.a().transpose());
    }

    @Override
    public void forward(INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
        convolution(w, x.size(0)).backward(x, z, ArrayType.FF_WORKING_MEM, workspaces);
        Windows.finish(z, finish);
    }

    @Override
    public void backward(INDArray dz, INDArray dx, ArrayType place, LayerWorkspaceMgr workspaces) {
        convolution(w, dz.size(0)).forward(dz, Finish.NOTHING, dx, workspaces);
    }

    @Override
    public void forward(INDArray x, INDArray dropped, List<Route> routes, INDArray z, @Nullable INDArray u,
                        LayerWorkspaceMgr workspaces) {
        boolean merges = w.multipliedAs() != Weights.Type.BF16
                && UnfoldedConvolution.isWorthMerging(routes, type, x.size(0), windows.positions(), w.columns());
        if (merges) {
            INDArray merged = DirectConvolution.merged(w, turned(routes.get(0)), ArrayType.FF_WORKING_MEM, workspaces);
            convolution(merged, x.size(0)).backward(x, z, ArrayType.FF_WORKING_MEM, workspaces);
            return;
        }
        forward(x, Finish.NOTHING, z, workspaces);
        for (Route route : routes) {
            addLowRank(x, route, z, workspaces);
        }
    }

    /** A route for part of the batch takes one example at a time: oneDNN compiles for each size of a batch. */
    private void addLowRank(INDArray x, Route route, INDArray z, LayerWorkspaceMgr workspaces) {
        long to = Math.min(route.to(), x.size(0));
        long step = route.from() == 0 && to == x.size(0) ? to : 1;
        INDArray u = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, type,
                windows.outputShape(step, route.a().size(1), z.rank()), 'c');
        INDArray share = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, type, windows.inputShape(step, z.rank()), 'c');
        FrozenConvolution slim = convolution(route.b().transpose(), step);
        for (long first = route.from(); first < to; first += step) {
            for (long i = 0; i < step; i++) {
                Blas.gemm(windows.matrix(x, first + i), route.a(), windows.matrix(u, i), false, false, route.factor(), 0);
            }
            slim.backward(u, share, ArrayType.FF_WORKING_MEM, workspaces);
            Views.rows(z, first, first + step).addi(share);
        }
    }

    @Override
    public void backward(INDArray dropped, Route route, @Nullable INDArray u, INDArray dz, INDArray gradientA, INDArray gradientB,
                         @Nullable INDArray dx, @Nullable INDArray dropDx, LayerWorkspaceMgr workspaces) {
        long minibatch = dz.size(0);
        INDArray v = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type,
                windows.outputShape(minibatch, route.a().size(1), dz.rank()), 'c');
        FrozenConvolution convolution = convolution(w, minibatch);
        Route turned = turned(route);
        if (dx == null) {
            convolution(turned.a(), minibatch).forward(dz, Finish.NOTHING, v, workspaces);
        } else {
            convolution.forward(dz, dz, List.of(turned), dx, v, workspaces);
        }
        convolution.backward(dz, turned, v, dropped, gradientB.transpose(), gradientA.transpose(), null, null, workspaces);
    }
}
