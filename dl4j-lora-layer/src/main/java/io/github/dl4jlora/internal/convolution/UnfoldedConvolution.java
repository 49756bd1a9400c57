package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.onednn.Finish;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * A frozen convolution and a low-rank one beside it, as matrix products over the windows of the input, example by example. The
 * windows of a convolution are many times its input, so only a few examples' windows are in memory at a time. They are made once
 * for both convolutions, and again in the backward pass. Where nothing has to be kept, one product with W + s·A·B serves for
 * both. The input may have any strides.
 */
public final class UnfoldedConvolution implements FrozenConvolution {

    /** Windows in memory at a time, in bytes: enough to keep calls few, few enough to stay near the processor. */
    private static final long CHUNK_BYTES = 4 << 20;

    private final Windows windows;
    private final INDArray w;
    private final long chunkBytes;

    UnfoldedConvolution(Windows windows, INDArray w) {
        this(windows, w, CHUNK_BYTES);
    }

    /** @param chunkBytes memory for windows, exceeded only where one example's windows need more */
    UnfoldedConvolution(Windows windows, INDArray w, long chunkBytes) {
        this.windows = windows;
        this.w = w;
        this.chunkBytes = chunkBytes;
    }

    @Override
    public void forward(INDArray x, INDArray dropped, List<Route> routes, INDArray z, @Nullable INDArray u,
                        LayerWorkspaceMgr workspaces) {
        INDArray chunk = chunk(x, ArrayType.FF_WORKING_MEM, workspaces);
        INDArray[] columns = matrices(chunk);
        if (u == null && dropped == x && isWorthMerging(routes, w.dataType(), x.size(0), windows.positions(), w.size(1))) {
            forward(x, merged(routes.get(0), workspaces), z, chunk, columns);
            return;
        }
        INDArray scratch = u != null ? null : workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, z.dataType(),
                routes.stream().mapToLong(route -> route.a().size(1)).max().orElse(1) * windows.positions());
        for (long from = 0; from < x.size(0); from += columns.length) {
            int examples = (int) Math.min(columns.length, x.size(0) - from);
            windows.unfold(x, from, part(chunk, examples));
            for (int i = 0; i < examples; i++) {
                INDArray output = windows.matrix(z, from + i);
                Blas.gemm(columns[i], w, output, false, false, 1, 0);
                if (dropped == x) {
                    addLowRank(routes, from + i, columns[i], u, scratch, output);
                }
            }
            if (dropped != x) {
                windows.unfold(dropped, from, part(chunk, examples));
                for (int i = 0; i < examples; i++) {
                    addLowRank(routes, from + i, columns[i], u, scratch, windows.matrix(z, from + i));
                }
            }
        }
    }

    /**
     * Whether computing W + s·A·B once is less work than the low-rank convolution at every position. In 16 bits a small s·A·B
     * would be lost in the sum.
     */
    static boolean isWorthMerging(List<Route> routes, DataType type, long examples, long positions, long nOut) {
        return type.width() >= Float.BYTES && routes.size() == 1 && routes.get(0).from() == 0 && routes.get(0).to() >= examples
                && examples * positions >= nOut;
    }

    private INDArray merged(Route route, LayerWorkspaceMgr workspaces) {
        INDArray merged = workspaces.dup(ArrayType.FF_WORKING_MEM, w, 'f');
        return Blas.gemm(route.a(), route.b(), merged, false, false, route.factor(), 1);
    }

    private void addLowRank(List<Route> routes, long example, INDArray x, @Nullable INDArray u,
                            @Nullable INDArray scratch, INDArray z) {
        for (Route route : routes) {
            if (route.from() <= example && example < route.to()) {
                INDArray down = u != null ? windows.matrix(u, example)
                        : windows.matrix(Objects.requireNonNull(scratch), route.a().size(1), 0);
                Blas.gemm(x, route.a(), down, false, false, 1, 0);
                Blas.gemm(down, route.b(), z, false, false, route.factor(), 1);
            }
        }
    }

    @Override
    public void backward(INDArray dropped, Route route, @Nullable INDArray keptU, INDArray dz, INDArray gradientA,
                         INDArray gradientB, @Nullable INDArray dx, @Nullable INDArray dropDx, LayerWorkspaceMgr workspaces) {
        INDArray u = Objects.requireNonNull(keptU);
        INDArray a = route.a();
        INDArray b = route.b();
        double factor = route.factor();
        INDArray chunk = chunk(dropped, ArrayType.BP_WORKING_MEM, workspaces);
        INDArray[] columns = matrices(chunk);
        INDArray v = windows.matrix(workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, u.dataType(),
                u.size(1) * windows.positions()), u.size(1), 0);
        for (long from = 0; from < dropped.size(0); from += columns.length) {
            int examples = (int) Math.min(columns.length, dropped.size(0) - from);
            windows.unfold(dropped, from, part(chunk, examples));
            for (int i = 0; i < examples; i++) {
                INDArray x = columns[i];
                INDArray delta = windows.matrix(dz, from + i);
                int accumulate = from + i == 0 ? 0 : 1;
                Blas.gemm(windows.matrix(u, from + i), delta, gradientB, true, false, factor, accumulate);
                Blas.gemm(delta, b, v, false, true, 1, 0);
                Blas.gemm(x, v, gradientA, true, false, factor, accumulate);
                if (dx != null) {
                    // The windows of x are not needed any more: they become those of dx.
                    Blas.gemm(v, a, x, false, true, factor, 0);
                    if (dropDx == dx) {
                        Blas.gemm(delta, w, x, false, true, 1, 1);
                    }
                }
            }
            if (dx == null) {
                continue;
            }
            windows.fold(part(chunk, examples), Objects.requireNonNull(dropDx), from, ArrayType.BP_WORKING_MEM, workspaces);
            if (dropDx != dx) {
                for (int i = 0; i < examples; i++) {
                    Blas.gemm(windows.matrix(dz, from + i), w, columns[i], false, true, 1, 0);
                }
                windows.fold(part(chunk, examples), dx, from, ArrayType.BP_WORKING_MEM, workspaces);
            }
        }
    }

    @Override
    public void forward(INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
        INDArray chunk = chunk(x, ArrayType.FF_WORKING_MEM, workspaces);
        forward(x, w, z, chunk, matrices(chunk));
        Windows.finish(z, finish);
    }

    private void forward(INDArray x, INDArray weights, INDArray z, INDArray chunk, INDArray[] columns) {
        for (long from = 0; from < x.size(0); from += columns.length) {
            int examples = (int) Math.min(columns.length, x.size(0) - from);
            windows.unfold(x, from, part(chunk, examples));
            for (int i = 0; i < examples; i++) {
                Blas.gemm(columns[i], weights, windows.matrix(z, from + i), false, false, 1, 0);
            }
        }
    }

    @Override
    public void backward(INDArray dz, INDArray dx, ArrayType place, LayerWorkspaceMgr workspaces) {
        INDArray chunk = chunk(dx, place, workspaces);
        INDArray[] columns = matrices(chunk);
        for (long from = 0; from < dx.size(0); from += columns.length) {
            int examples = (int) Math.min(columns.length, dx.size(0) - from);
            for (int i = 0; i < examples; i++) {
                Blas.gemm(windows.matrix(dz, from + i), w, columns[i], false, true, 1, 0);
            }
            windows.fold(part(chunk, examples), dx, from, place, workspaces);
        }
    }

    /**
     * How many examples' windows are in memory at a time.
     *
     * @param examples of the batch
     * @param bytes    of one example's windows
     */
    public static long examplesAtATime(long examples, long bytes) {
        return examplesAtATime(examples, bytes, CHUNK_BYTES);
    }

    private static long examplesAtATime(long examples, long bytes, long chunkBytes) {
        return Math.max(1, Math.min(examples, chunkBytes / bytes));
    }

    /** {@code [examples, window size, positions]}. */
    private INDArray chunk(INDArray x, ArrayType type, LayerWorkspaceMgr workspaces) {
        long examples = examplesAtATime(x.size(0), windows.size() * windows.positions() * x.dataType().width(), chunkBytes);
        long[] shape = {examples, windows.size(), windows.positions()};
        return workspaces.createUninitialized(type, x.dataType(), shape, 'c');
    }

    /** The first examples of a chunk; a view. */
    private static INDArray part(INDArray chunk, long examples) {
        if (examples >= chunk.size(0)) {
            return chunk;
        }
        long[] shape = {examples, chunk.size(1), chunk.size(2)};
        return Nd4j.create(chunk.data(), shape, chunk.stride(), chunk.offset(), 'c');
    }

    /** Every example as a {@link Windows#matrix}. */
    private INDArray[] matrices(INDArray array) {
        INDArray[] matrices = new INDArray[(int) array.size(0)];
        Arrays.setAll(matrices, example -> windows.matrix(array, example));
        return matrices;
    }
}
