package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.onednn.ConvolutionShape;
import io.github.dl4jlora.internal.onednn.Convolutions;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Objects;

/**
 * A frozen convolution and a low-rank one by oneDNN, without windows. The products with B, at each position, are BLAS's. What
 * flows back to the input goes through W + s·A·B in one pass: to form that takes less than a second pass.
 */
final class DirectConvolution implements FrozenConvolution {

    private final Windows windows;
    private final INDArray w;
    private final UnfoldedConvolution unfolded;

    /** @param unfolded computes what oneDNN turns out not to */
    DirectConvolution(Windows windows, INDArray w, UnfoldedConvolution unfolded) {
        this.windows = windows;
        this.w = w;
        this.unfolded = unfolded;
    }

    @Override
    public void forward(INDArray x, INDArray z, LayerWorkspaceMgr workspaces) {
        if (!Convolutions.forward(windows.shape(x.size(0), w.size(1)), x, w, z)) {
            unfolded.forward(x, z, workspaces);
        }
    }

    @Override
    public void backward(INDArray dz, INDArray dx, LayerWorkspaceMgr workspaces) {
        if (!Convolutions.backToData(windows.shape(dx.size(0), w.size(1)), dx, w, dz)) {
            unfolded.backward(dz, dx, workspaces);
        }
    }

    @Override
    public void forward(INDArray x, INDArray dropped, List<Route> routes, INDArray z, @Nullable INDArray u,
                        LayerWorkspaceMgr workspaces) {
        boolean merges = u == null && dropped == x && unfolded.isWorthMerging(routes, x.size(0));
        INDArray weights = merges ? unfolded.merged(routes.get(0), ArrayType.FF_WORKING_MEM, workspaces) : w;
        if (!Convolutions.forward(windows.shape(x.size(0), w.size(1)), x, weights, z)) {
            unfolded.forward(x, dropped, routes, z, u, workspaces);
        } else if (!merges) {
            for (Route route : routes) {
                addLowRank(dropped, route, z, u, workspaces);
            }
        }
    }

    /** A route for part of the batch takes one example at a time: oneDNN compiles for each size of a batch. */
    private void addLowRank(INDArray x, Route route, INDArray z, @Nullable INDArray u, LayerWorkspaceMgr workspaces) {
        long to = Math.min(route.to(), x.size(0));
        boolean isWhole = route.from() == 0 && to == x.size(0);
        long step = isWhole ? to : 1;
        INDArray down = u != null ? u : workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, z.dataType(),
                windows.outputShape(step, route.a().size(1), z.rank()), 'c');
        FrozenConvolution a = FrozenConvolution.of(windows, route.a(), step);
        for (long first = route.from(); first < to; first += step) {
            a.forward(isWhole ? x : Route.rows(x, first, first + 1), down, workspaces);
            for (long i = 0; i < step; i++) {
                Blas.gemm(unfolded.matrix(down, i), route.b(), unfolded.matrix(z, first + i), false, false, route.factor(), 1);
            }
        }
    }

    @Override
    public void backward(INDArray dropped, Route route, INDArray u, INDArray dz, INDArray gradientA, INDArray gradientB,
                         @Nullable INDArray dx, @Nullable INDArray dropDx, LayerWorkspaceMgr workspaces) {
        long examples = dz.size(0);
        INDArray v = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, u.dataType(), u.shape(), 'c');
        for (long i = 0; i < examples; i++) {
            INDArray delta = unfolded.matrix(dz, i);
            Blas.gemm(unfolded.matrix(u, i), delta, gradientB, true, false, route.factor(), i == 0 ? 0 : 1);
            Blas.gemm(delta, route.b(), unfolded.matrix(v, i), false, true, route.factor(), 0);
        }
        ConvolutionShape frozen = windows.shape(examples, w.size(1));
        ConvolutionShape slim = windows.shape(examples, route.a().size(1));
        boolean done = Convolutions.backToWeights(slim, dropped, gradientA, v);
        if (done && dx != null) {
            done = dropDx == dx
                    ? Convolutions.backToData(frozen, dx, unfolded.merged(route, ArrayType.BP_WORKING_MEM, workspaces), dz)
                    : Convolutions.backToData(frozen, dx, w, dz)
                            && Convolutions.backToData(slim, Objects.requireNonNull(dropDx), route.a(), v);
        }
        if (!done) {
            unfolded.backward(dropped, route, u, dz, gradientA, gradientB, dx, dropDx, workspaces);
        }
    }
}
