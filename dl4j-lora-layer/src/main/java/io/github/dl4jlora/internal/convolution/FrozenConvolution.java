package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.Weights;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;

/**
 * A frozen convolution, and a low-rank one beside it:
 *
 * <pre>
 * forward    u = x·A         z = x·W + s·u·B
 * backward   v = dz·Bᵀ       dB = Σ s·uᵀ·dz      dA = Σ s·xᵀ·v      dx = dz·Wᵀ + s·v·Aᵀ
 *
 * x     windows of one example   [positions, nIn·kernel]
 * W     frozen weights           [nIn·kernel, nOut]        DL4J's [nOut, nIn, kernel…], read as a matrix
 * A                              [nIn·kernel, rank]        PyTorch's [rank, nIn, kernel…]
 * B                              [rank, nOut]              PyTorch's [nOut, rank, 1…]
 * u, v                           [positions, rank]
 * </pre>
 *
 * All are column-major, which makes a 'c' array {@code [channels, height, width]} of each {@code [positions, channels]}.
 */
public interface FrozenConvolution {

    /**
     * The fastest way to compute it here: by oneDNN, or as products over windows.
     *
     * @param w         {@code [nIn·kernel, nOut]}, in the order of the windows' values
     * @param type      of the network
     * @param minibatch examples in a pass
     */
    static FrozenConvolution of(Windows windows, FrozenMatrix w, DataType type, long minibatch) {
        if (windows.skipsNothing()) {
            boolean asItIs = w.multipliedAs() == Weights.Type.BF16 && Convolutions.takeBf16(windows.shape(1, w.columns()));
            if (asItIs || Convolutions.take(windows.shape(minibatch, w.columns()), type)) {
                return new DirectConvolution(windows, w, asItIs);
            }
        }
        return new UnfoldedConvolution(windows, w.lent());
    }

    /**
     * @param x       channels first, 'c' order
     * @param dropped input of the low-rank convolution; x itself without dropout
     * @param routes  low-rank convolutions, each for some examples
     * @param z       {@code [minibatch, nOut, …]}, 'c' order, overwritten
     * @param u       {@code [minibatch, rank, …]}, 'c' order, overwritten; null if nobody needs it
     */
    void forward(INDArray x, INDArray dropped, List<Route> routes, INDArray z, @Nullable INDArray u,
                 LayerWorkspaceMgr workspaces);

    /**
     * @param dropped   input of the low-rank convolution in the forward pass
     * @param route     the low-rank convolution
     * @param u         as the forward pass wrote it; null where {@link ConvolutionLayout#keepsPath} says so
     * @param dz        {@code [minibatch, nOut, …]}, 'c' order
     * @param gradientA written to
     * @param gradientB written to
     * @param dx        shape of x, 'c' order, overwritten; null if nobody needs it
     * @param dropDx    gets the low-rank convolution's share of dx; dx itself without dropout
     */
    void backward(INDArray dropped, Route route, @Nullable INDArray u, INDArray dz, INDArray gradientA, INDArray gradientB,
                  @Nullable INDArray dx, @Nullable INDArray dropDx, LayerWorkspaceMgr workspaces);

    /**
     * The frozen convolution alone, finished.
     *
     * @param x channels first, 'c' order
     * @param z {@code [minibatch, nOut, …]}, 'c' order, overwritten
     */
    void forward(INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces);

    /**
     * The backward pass of the frozen convolution alone; dW is not formed.
     *
     * @param dz    {@code [minibatch, nOut, …]}, 'c' order
     * @param dx    shape of x, 'c' order, overwritten
     * @param place working memory of the pass in which this is computed
     */
    void backward(INDArray dz, INDArray dx, ArrayType place, LayerWorkspaceMgr workspaces);
}
