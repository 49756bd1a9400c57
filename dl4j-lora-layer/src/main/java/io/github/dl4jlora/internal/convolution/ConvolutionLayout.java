package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.onednn.Copies;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;
import org.nd4j.linalg.factory.Nd4j;

import java.util.function.BiConsumer;

/**
 * How a stock convolution lays out its numbers, and how a {@link FrozenConvolution} needs them: channels first, W a matrix.
 *
 * <pre>
 * sequences  [minibatch, channels, steps]                  or channels last
 * images     [minibatch, channels, height, width]          or channels last
 * volumes    [minibatch, channels, depth, height, width]   or channels last
 * W          [nOut, nIn, kernel…] as stored                [nIn·kernel, nOut] as a matrix
 * transposed [nIn, nOut, kernel…]                          [nIn, nOut·kernel]
 * depthwise  [kernel…, nIn, multiplier]                    [kernel, nIn·multiplier]
 * </pre>
 *
 * <p>DL4J's one-dimensional layer gives its weights the shape {@code [nOut, nIn, kernel, 1]}, but reads their values as
 * {@code [kernel, nIn, nOut]}. The transposed one of three dimensions has them as {@code [kernel…, nOut, nIn]}. Windows have
 * the kernel's positions innermost.
 *
 * @param conf the stock layer
 */
public record ConvolutionLayout(ConvolutionLayer conf) {

    /** Whether the layer is one-dimensional: its weights have another layout, and only such a layer applies masks. */
    public boolean isSequence() {
        return conf instanceof Convolution1DLayer;
    }

    /** The number of dimensions of the layer's input. */
    public int rank() {
        return isSequence() ? 3 : conf instanceof Convolution3D || conf instanceof Deconvolution3D ? 5 : 4;
    }

    /** Whether the layer is a transposed convolution. */
    public boolean isTransposed() {
        return conf instanceof Deconvolution2D || conf instanceof Deconvolution3D;
    }

    /** Whether W's values lie in another order than those of windows. */
    public boolean isReordered() {
        return isSequence() || conf instanceof Deconvolution3D;
    }

    /** Whether what computes the layer multiplies by weights as they are stored, or by a packed copy of them. */
    public boolean takesCopies() {
        return !isReordered() && !isTransposed() && !isDepthwise();
    }

    /** Whether a backward pass needs x·A as the forward pass computed it. */
    public boolean keepsPath() {
        return !isTransposed() && !isDepthwise();
    }

    private boolean isDepthwise() {
        return conf instanceof DepthwiseConvolution2D;
    }

    /** Whether the layer's channels come last. */
    public boolean isChannelsLast() {
        if (conf instanceof Convolution3D volumes) {
            return volumes.getDataFormat() == Convolution3D.DataFormat.NDHWC;
        }
        if (conf instanceof Deconvolution3D volumes) {
            return volumes.getDataFormat() == Convolution3D.DataFormat.NDHWC;
        }
        return conf instanceof Convolution1DLayer sequences ? sequences.getRnnDataFormat() == RNNFormat.NWC
                : conf.getCnn2dDataFormat() == CNN2DFormat.NHWC;
    }

    /** Whether the layer can take the input. */
    public boolean accepts(INDArray input) {
        return input.rank() == rank() && input.size(isChannelsLast() ? rank() - 1 : 1) == conf.getNIn();
    }

    /** What computes the layer, with W as {@link #inWindowOrder(FrozenMatrix)} gives it. */
    public FrozenConvolution kernel(Windows windows, FrozenMatrix w, DataType type, long minibatch) {
        if (isDepthwise()) {
            return new DepthwiseConvolution(windows, w);
        }
        return isTransposed() ? new TransposedConvolution(windows, w, type) : FrozenConvolution.of(windows, w, type, minibatch);
    }

    /** The shape of the layer's output, channels first. */
    public long[] outputShape(Windows windows, long minibatch) {
        return isTransposed() ? windows.inputShape(minibatch, rank()) : windows.outputShape(minibatch, conf.getNOut(), rank());
    }

    /**
     * W as {@link #kernel} takes it.
     *
     * @param matrix as the layer has it, {@code [nIn·kernel, nOut]}; of a transposed convolution {@code [nIn, nOut·kernel]}
     * @return the same, or its transpose, with rows in the order of the windows' values; if the layer has them in another order,
     *         a copy outside workspaces
     */
    public FrozenMatrix inWindowOrder(FrozenMatrix matrix) {
        FrozenMatrix rows = isTransposed() ? matrix.transposed() : matrix;
        if (!isReordered()) {
            return rows;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return new PlainMatrix(inWindowOrder(rows.lent()));
        }
    }

    /** A and B as {@link #kernel} takes them. */
    public Route inWindowOrder(Route path) {
        if (!isReordered()) {
            return path;
        }
        return isTransposed() ? path.with(path.a(), inWindowOrder(path.b().transpose()).transpose())
                : path.with(inWindowOrder(path.a()), path.b());
    }

    private INDArray inWindowOrder(INDArray matrix) {
        INDArray rows = matrix.ordering() == 'c' ? matrix : matrix.dup('c');
        return rows.reshape('c', matrix.size(0) / windowChannels(), windowChannels(), matrix.size(1)).dup('f')
                .reshape('f', matrix.shape());
    }

    private long windowChannels() {
        return isTransposed() ? conf.getNOut() : conf.getNIn();
    }

    /**
     * Has a gradient written by {@link #kernel} where the layer has it.
     *
     * @param gradientA of A, as the layer has it
     * @param gradientB likewise
     * @param write     writes both, in the order of the kernel's A and B
     */
    public void writeGradients(INDArray gradientA, INDArray gradientB, LayerWorkspaceMgr workspaces,
                               BiConsumer<INDArray, INDArray> write) {
        if (!isReordered()) {
            write.accept(gradientA, gradientB);
            return;
        }
        INDArray rows = isTransposed() ? gradientB.transpose() : gradientA;
        INDArray inOrder = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, rows.dataType(), rows.shape(), 'f');
        write.accept(isTransposed() ? gradientA : inOrder, isTransposed() ? inOrder.transpose() : gradientB);
        rows.assign(inLayerOrder(inOrder));
    }

    /**
     * The inverse of {@link #inWindowOrder}, for A, say.
     *
     * @param matrix {@code [nIn·kernel, rank]}, its rows in the order of the windows' values
     * @return the same; a copy if the layer has them in another order
     */
    public INDArray inLayerOrder(INDArray matrix) {
        return !isReordered() ? matrix : matrix.dup('f').reshape('f', matrix.size(0) / windowChannels(), windowChannels(),
                matrix.size(1)).permute(1, 0, 2).dup('f').reshape('f', matrix.shape());
    }

    /** The array with channels first, in the memory order for which copying windows is fast; itself if it is so already. */
    public INDArray channelsFirst(INDArray array, ArrayType type, LayerWorkspaceMgr workspaces) {
        return Copies.asPlain(viewWithChannelsFirst(array), workspaces, type);
    }

    private INDArray viewWithChannelsFirst(INDArray array) {
        return isChannelsLast() ? Nd4j.rollAxis(array, array.rank() - 1, 1) : array;
    }

    /** The shape that {@link #channelsFirst} gives an array. */
    public long[] channelsFirstShape(INDArray array) {
        return viewWithChannelsFirst(array).shape();
    }

    /** What the layer gives for activations whose channels come first: a copy if its channels are last. */
    public INDArray activations(INDArray array, LayerWorkspaceMgr workspaces) {
        return isChannelsLast() ? Copies.plain(asInLayer(array), array.dataType(), workspaces, ArrayType.ACTIVATIONS) : array;
    }

    /** An array whose channels come first, in the layer's own order of dimensions; a view, or the array itself. */
    public INDArray asInLayer(INDArray array) {
        return isChannelsLast() ? Nd4j.rollAxis(array, 1, array.rank()) : array;
    }

    /**
     * Masks a sequence in place, as DL4J's layer does.
     *
     * @param array activations in the layer's own order, or their gradient
     * @param mask  {@code [minibatch, steps]} of the layer's output
     */
    public void mask(INDArray array, INDArray mask) {
        Broadcast.mul(array, mask.castTo(array.dataType()), array, isChannelsLast() ? new int[] {0, 1} : new int[] {0, 2});
    }
}
