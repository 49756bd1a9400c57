package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.onednn.ConvolutionShape;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.onednn.Weights;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.List;
import java.util.Objects;

/**
 * A frozen convolution and a low-rank one by oneDNN, without windows. B is a convolution with a kernel of one. If W is an array,
 * what flows back to the input goes through W + s·A·B in one pass: to form that takes less than a second pass.
 */
final class DirectConvolution implements FrozenConvolution {

    /** Numbers of W for one of the windows, for copying windows to take less time than to bring W into oneDNN's layout. */
    private static final int UNFOLDED = 4;
    /** How many times as many places it takes for W + s·A·B to be worth forming, and rearranging, where W is packed. */
    private static final int MERGED = 8;
    /** The thread's; no larger than the input, or a quarter of W, of the largest layer. */
    private static final ThreadLocal<GrowingScratch> UNFOLDED_WINDOWS = ThreadLocal.withInitial(GrowingScratch::new);

    private final Windows windows;
    private final FrozenMatrix w;
    private final boolean asItIs;

    /** @param asItIs whether to multiply by W as it is kept, otherwise by W as an array */
    DirectConvolution(Windows windows, FrozenMatrix w, boolean asItIs) {
        this.windows = windows;
        this.w = w;
        this.asItIs = asItIs;
    }

    /** Computes what oneDNN turns out not to. */
    private UnfoldedConvolution unfolded() {
        return new UnfoldedConvolution(windows, w.lent());
    }

    private @Nullable Weights frozen() {
        return asItIs ? w.weights(false) : Weights.of(w.lent(), false);
    }

    /** A packed copy of W; null if there is none, or W is better read where it lies. Codes that are restored have none. */
    private @Nullable Weights packed(ConvolutionShape shape, boolean backward) {
        PackedCopies copies = w.copies();
        if (copies == null || w.multipliedAs() != (asItIs ? Weights.Type.BF16 : Weights.Type.FLOAT)) {
            return null;
        }
        Weights plain = w.weights(false);
        return plain == null ? null : Convolutions.packed(shape, backward, copies, plain);
    }

    @Override
    public void forward(INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
        ConvolutionShape shape = windows.shape(x.size(0), w.columns());
        if (!computed(shape, x, null, finish, z)) {
            if (computed(shape, x, null, Finish.NOTHING, z)) {
                Windows.finish(z, finish);
            } else {
                unfolded().forward(x, finish, z, workspaces);
            }
        }
        Reference.reachabilityFence(w);
    }

    /** @param merged what to multiply by in place of W; null for W */
    private boolean computed(ConvolutionShape shape, INDArray x, @Nullable INDArray merged, Finish finish, INDArray z) {
        if (leavesOut(shape)) {
            // oneDNN would rearrange the input as a whole.
            return computed(shape.thinned(), unfolded(shape, x), merged, finish, z);
        }
        Weights packed = merged == null ? packed(shape, false) : null;
        if (packed != null && Convolutions.forward(shape, x, packed, finish, z)) {
            return true;
        }
        Weights weights = merged == null ? frozen() : Weights.of(merged, false);
        return asItIs || !isUnfolded(shape) ? Convolutions.forward(shape, x, weights, finish, z)
                : Convolutions.multiply(shape, unfolded(shape, x), weights, finish, z);
    }

    /** Whether a kernel of one leaves part of the input out, which is better left out before. */
    private boolean leavesOut(ConvolutionShape shape) {
        return !asItIs && shape.hasKernelOfOne() && !shape.isPointwise();
    }

    /** Whether W is better read where it lies, since windows are much fewer than what would be brought into oneDNN's layout. */
    private static boolean isUnfolded(ConvolutionShape shape) {
        return !shape.isPointwise() && shape.minibatch() * shape.positions() * UNFOLDED <= shape.nOut();
    }

    /** The input's windows, {@code [minibatch, nIn·kernel, positions]}, in memory of the thread. */
    private INDArray unfolded(ConvolutionShape shape, INDArray x) {
        INDArray room = UNFOLDED_WINDOWS.get().of(x.dataType(), shape.minibatch() * shape.windowSize(), shape.positions());
        INDArray byExample = room.reshape('c', shape.minibatch(), shape.windowSize(), shape.positions());
        windows.unfold(x, 0, byExample);
        return byExample;
    }

    @Override
    public void backward(INDArray dz, INDArray dx, ArrayType place, LayerWorkspaceMgr workspaces) {
        if (!computedBack(dz, dx)) {
            unfolded().backward(dz, dx, place, workspaces);
        }
        Reference.reachabilityFence(w);
    }

    private boolean computedBack(INDArray dz, INDArray dx) {
        ConvolutionShape shape = windows.shape(dx.size(0), w.columns());
        Weights packed = packed(shape, true);
        return packed != null && Convolutions.backToData(shape, dx, packed, dz)
                || Convolutions.backToData(shape, dx, frozen(), dz);
    }

    @Override
    public void forward(INDArray x, INDArray dropped, List<Route> routes, INDArray z, @Nullable INDArray u,
                        LayerWorkspaceMgr workspaces) {
        ConvolutionShape shape = windows.shape(x.size(0), w.columns());
        boolean merges = u == null && dropped == x && !asItIs && (isWorthMerging(routes, x, MERGED)
                || isWorthMerging(routes, x, 1) && packed(leavesOut(shape) ? shape.thinned() : shape, false) == null);
        INDArray merged = merges ? merged(w, routes.get(0), ArrayType.FF_WORKING_MEM, workspaces) : null;
        if (!computed(shape, x, merged, Finish.NOTHING, z)) {
            unfolded().forward(x, dropped, routes, z, u, workspaces);
        } else if (merged == null) {
            for (Route route : routes) {
                addLowRank(dropped, route, z, u, workspaces);
            }
        }
        Reference.reachabilityFence(w);
        Reference.reachabilityFence(merged);
    }

    private boolean isWorthMerging(List<Route> routes, INDArray x, int times) {
        return UnfoldedConvolution.isWorthMerging(routes, x.dataType(), x.size(0), windows.positions(), times * w.columns());
    }

    /** A route for part of the batch takes one example at a time: oneDNN compiles for each size of a batch. */
    private void addLowRank(INDArray x, Route route, INDArray z, @Nullable INDArray u, LayerWorkspaceMgr workspaces) {
        long to = Math.min(route.to(), x.size(0));
        boolean isWhole = route.from() == 0 && to == x.size(0);
        long step = isWhole ? to : 1;
        INDArray down = u != null ? u : workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, z.dataType(),
                windows.outputShape(step, route.a().size(1), z.rank()), 'c');
        INDArray b = scaledB(route, ArrayType.FF_WORKING_MEM, workspaces);
        ConvolutionShape slim = windows.shape(step, route.a().size(1));
        ConvolutionShape pointwise = windows.pointwise(step, route.a().size(1), w.columns());
        for (long first = route.from(); first < to; first += step) {
            INDArray part = Views.rows(x, first, first + step);
            if (!Convolutions.forward(slim, part, Weights.of(route.a(), false), down)) {
                new UnfoldedConvolution(windows, route.a()).forward(part, Finish.NOTHING, down, workspaces);
            }
            INDArray sum = Views.rows(z, first, first + step);
            if (!Convolutions.addForward(pointwise, down, Weights.of(b, false), sum)) {
                for (long i = 0; i < step; i++) {
                    Blas.gemm(windows.matrix(down, i), b, windows.matrix(sum, i), false, false, 1, 1);
                }
            }
        }
    }

    /** W + s·A·B, by column. */
    static INDArray merged(FrozenMatrix w, Route route, ArrayType place, LayerWorkspaceMgr workspaces) {
        INDArray sum = workspaces.dup(place, w.lent(), 'f');
        DenseArithmetic.addProduct(route.a(), scaledB(route, place, workspaces), sum);
        return sum;
    }

    /** s·B, by column. */
    private static INDArray scaledB(Route route, ArrayType place, LayerWorkspaceMgr workspaces) {
        return workspaces.dup(place, route.b(), 'f').muli(route.factor());
    }

    @Override
    public void backward(INDArray dropped, Route route, @Nullable INDArray keptU, INDArray dz, INDArray gradientA,
                         INDArray gradientB, @Nullable INDArray dx, @Nullable INDArray dropDx, LayerWorkspaceMgr workspaces) {
        INDArray u = Objects.requireNonNull(keptU);
        long examples = dz.size(0);
        INDArray v = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, u.dataType(), u.shape(), 'c');
        INDArray b = scaledB(route, ArrayType.BP_WORKING_MEM, workspaces);
        ConvolutionShape pointwise = windows.pointwise(examples, u.size(1), w.columns());
        boolean done = Convolutions.backToWeights(pointwise, u, Weights.of(gradientB, false), dz)
                && Convolutions.backToData(pointwise, v, Weights.of(b, false), dz)
                && Convolutions.backToWeights(windows.shape(examples, u.size(1)), dropped, Weights.of(gradientA, false), v);
        if (done) {
            gradientB.muli(route.factor());
        }
        Reference.reachabilityFence(b);
        if (done && dx != null) {
            done = dropDx == dx && !asItIs ? mergedToData(route, dz, dx, workspaces)
                    : eachToData(route, v, dz, dx, Objects.requireNonNull(dropDx), workspaces);
        }
        if (!done) {
            unfolded().backward(dropped, route, u, dz, gradientA, gradientB, dx, dropDx, workspaces);
        }
        Reference.reachabilityFence(w);
    }

    private boolean mergedToData(Route route, INDArray dz, INDArray dx, LayerWorkspaceMgr workspaces) {
        INDArray merged = merged(w, route, ArrayType.BP_WORKING_MEM, workspaces);
        boolean done = Convolutions.backToData(windows.shape(dz.size(0), w.columns()), dx, Weights.of(merged, false), dz);
        Reference.reachabilityFence(merged);
        return done;
    }

    private boolean eachToData(Route route, INDArray v, INDArray dz, INDArray dx, INDArray dropDx, LayerWorkspaceMgr workspaces) {
        ConvolutionShape slim = windows.shape(dz.size(0), route.a().size(1));
        INDArray share = dropDx != dx ? dropDx
                : workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dx.dataType(), dx.shape(), 'c');
        boolean done = computedBack(dz, dx)
                && Convolutions.backToData(slim, share, Weights.of(route.a(), false), v);
        if (done && share != dropDx) {
            dx.addi(share);
        }
        return done;
    }
}
