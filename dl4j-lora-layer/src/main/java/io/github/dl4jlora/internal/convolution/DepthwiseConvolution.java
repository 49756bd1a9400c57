package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.onednn.ConvolutionShape;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.Weights;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.DynamicCustomOp;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.Reference;
import java.util.List;
import java.util.stream.Collectors;

/**
 * A convolution of images in which each output sees one channel of the input, frozen or with a low-rank change of its weights:
 *
 * <pre>
 * forward    z = x ∗ M            M = W + s·A·B, W alone where there is no path
 * backward   dM = x ∗ dz          dA = s·dM·Bᵀ      dB = s·Aᵀ·dM      dx = dz ∗ M
 *
 * W, M, dM  [kernel, nIn·multiplier]   DL4J's [height, width, nIn, multiplier], read as a matrix
 * A         [kernel, rank]
 * B         [rank, nIn·multiplier]
 * </pre>
 *
 * A kernel has hardly more places than a path has ranks, so that a path beside it would gain nothing: M is formed in each pass.
 * oneDNN computes, in groups; otherwise libnd4j.
 */
final class DepthwiseConvolution implements FrozenConvolution {

    private final Windows windows;
    private final FrozenMatrix w;

    DepthwiseConvolution(Windows windows, FrozenMatrix w) {
        this.windows = windows;
        this.w = w;
    }

    private ConvolutionShape shape(INDArray x) {
        return windows.shape(x.size(0), x.size(1), w.columns());
    }

    private boolean isDirect(INDArray x) {
        return windows.skipsNothing() && Convolutions.take(shape(x), x.dataType());
    }

    @Override
    public void forward(INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
        forward(x, w.lent(), z);
        Windows.finish(z, finish);
    }

    private void forward(INDArray x, INDArray matrix, INDArray z) {
        if (!isDirect(x) || !Convolutions.forward(shape(x), x, Weights.of(matrix, false), z)) {
            compute("depthwise_conv2d", new INDArray[] {x, inLayer(matrix, x)}, z);
        }
        Reference.reachabilityFence(matrix);
    }

    /** By libnd4j. */
    private void compute(String operation, INDArray[] inputs, INDArray... outputs) {
        Nd4j.getExecutioner().exec(DynamicCustomOp.builder(operation).addInputs(inputs)
                .addIntegerArguments(windows.kernel()[1], windows.kernel()[2], windows.stride()[1], windows.stride()[2],
                        windows.padding()[1], windows.padding()[2], windows.dilation()[1], windows.dilation()[2],
                        windows.covering() ? 1 : 0, 0)
                .addOutputs(outputs).build());
    }

    private INDArray inLayer(INDArray matrix, INDArray x) {
        return matrix.reshape('c', windows.kernel()[1], windows.kernel()[2], x.size(1), matrix.size(1) / x.size(1));
    }

    /** W and the change of each route. */
    private INDArray merged(List<Route> routes, ArrayType place, LayerWorkspaceMgr workspaces) {
        INDArray merged = workspaces.dup(place, w.lent(), 'c');
        for (Route route : routes) {
            Blas.gemm(route.a(), route.b(), merged, false, false, route.factor(), 1);
        }
        return merged;
    }

    @Override
    public void forward(INDArray x, INDArray dropped, List<Route> routes, INDArray z, @Nullable INDArray u,
                        LayerWorkspaceMgr workspaces) {
        boolean isWhole = !routes.isEmpty() && routes.stream().allMatch(route -> route.from() == 0 && route.to() >= x.size(0));
        if (!isWhole) {
            forward(x, w.lent(), z);
        }
        // The adapters of a mix have the same rows, whose outputs are written once.
        for (List<Route> mix : routes.stream().collect(Collectors.groupingBy(Route::from)).values()) {
            INDArray merged = merged(mix, ArrayType.FF_WORKING_MEM, workspaces);
            long to = Math.min(mix.get(0).to(), x.size(0));
            // One example at a time: oneDNN compiles for each size of a batch.
            long step = isWhole ? to : 1;
            for (long first = mix.get(0).from(); first < to; first += step) {
                forward(Views.rows(x, first, first + step), merged, Views.rows(z, first, first + step));
            }
        }
    }

    @Override
    public void backward(INDArray dropped, Route route, @Nullable INDArray u, INDArray dz, INDArray gradientA, INDArray gradientB,
                         @Nullable INDArray dx, @Nullable INDArray dropDx, LayerWorkspaceMgr workspaces) {
        INDArray dm = backward(dropped, merged(List.of(route), ArrayType.BP_WORKING_MEM, workspaces), dz, dx, workspaces);
        Blas.gemm(dm, route.b(), gradientA, false, true, route.factor(), 0);
        Blas.gemm(route.a(), dm, gradientB, true, false, route.factor(), 0);
    }

    /** As the interface's method, of W itself: its gradient, in working memory. */
    INDArray backward(INDArray x, INDArray dz, @Nullable INDArray dx, LayerWorkspaceMgr workspaces) {
        return backward(x, w.lent(), dz, dx, workspaces);
    }

    private INDArray backward(INDArray x, INDArray matrix, INDArray dz, @Nullable INDArray dx, LayerWorkspaceMgr workspaces) {
        INDArray dm = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dz.dataType(), matrix.shape(), 'c');
        boolean done = isDirect(x) && Convolutions.backToWeights(shape(x), x, Weights.of(dm, false), dz)
                && (dx == null || Convolutions.backToData(shape(x), dx, Weights.of(matrix, false), dz));
        if (!done) {
            INDArray target = dx != null ? dx
                    : workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dz.dataType(), x.shape(), 'c');
            compute("depthwise_conv2d_bp", new INDArray[] {x, inLayer(matrix, x), dz}, target, inLayer(dm, x));
        }
        Reference.reachabilityFence(matrix);
        return dm;
    }

    @Override
    public void backward(INDArray dz, INDArray dx, ArrayType place, LayerWorkspaceMgr workspaces) {
        INDArray matrix = w.lent();
        if (!isDirect(dx) || !Convolutions.backToData(shape(dx), dx, Weights.of(matrix, false), dz)) {
            // libnd4j computes dW, too, of any input.
            INDArray dw = workspaces.createUninitialized(place, dz.dataType(), matrix.shape(), 'c');
            INDArray any = workspaces.create(place, dz.dataType(), dx.shape(), 'c');
            compute("depthwise_conv2d_bp", new INDArray[] {any, inLayer(matrix, dx), dz}, dx, inLayer(dw, dx));
        }
        Reference.reachabilityFence(matrix);
    }
}
