package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.Lie;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;
import org.nd4j.linalg.factory.Nd4j;

/**
 * How a stock convolution lays out its numbers, and how {@link UnfoldedConvolution} needs them: channels first, W a matrix.
 *
 * <pre>
 * sequences  [minibatch, channels, steps]                  or channels last
 * images     [minibatch, channels, height, width]          or channels last
 * volumes    [minibatch, channels, depth, height, width]   or channels last
 * W          [nOut, nIn, kernel…] as stored                [nIn·kernel, nOut] as a matrix
 * </pre>
 *
 * <p>DL4J's one-dimensional layer gives its weights the shape {@code [nOut, nIn, kernel, 1]}, but reads their values as
 * {@code [kernel, nIn, nOut]}.
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
        return isSequence() ? 3 : conf instanceof Convolution3D ? 5 : 4;
    }

    /** Whether the layer's channels come last. */
    public boolean isChannelsLast() {
        if (conf instanceof Convolution3D volumes) {
            return volumes.getDataFormat() == Convolution3D.DataFormat.NDHWC;
        }
        return conf instanceof Convolution1DLayer sequences ? sequences.getRnnDataFormat() == RNNFormat.NWC
                : conf.getCnn2dDataFormat() == CNN2DFormat.NHWC;
    }

    /** Whether the layer can take the input. */
    public boolean accepts(INDArray input) {
        return input.rank() == rank() && input.size(isChannelsLast() ? rank() - 1 : 1) == conf.getNIn();
    }

    /**
     * W with its rows in the order of the windows' values.
     *
     * @param matrix {@code [nIn·kernel, nOut]}, its rows in the order in which the layer has them
     * @return the same; for a layer on sequences a copy outside workspaces
     */
    public INDArray inWindowOrder(INDArray matrix) {
        if (!isSequence()) {
            return matrix;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray rows = matrix.ordering() == 'c' ? matrix : matrix.dup('c');
            return rows.reshape('c', conf.getKernelSize()[0], conf.getNIn(), matrix.size(1)).dup('f')
                    .reshape('f', matrix.shape());
        }
    }

    /** As {@link #inWindowOrder(INDArray)}, however W is stored. */
    public FrozenMatrix inWindowOrder(FrozenMatrix matrix) {
        return isSequence() ? new PlainMatrix(inWindowOrder(matrix.lent())) : matrix;
    }

    /**
     * The inverse of {@link #inWindowOrder(INDArray)}, for A, say.
     *
     * @param matrix {@code [nIn·kernel, rank]}, its rows in the order of the windows' values
     * @return the same; for a layer on sequences a copy
     */
    public INDArray inLayerOrder(INDArray matrix) {
        return !isSequence() ? matrix : matrix.dup('f').reshape('f', conf.getKernelSize()[0], conf.getNIn(), matrix.size(1))
                .permute(1, 0, 2).dup('f').reshape('f', matrix.shape());
    }

    /** The array with channels first, in the memory order for which ND4J's im2col is fast; itself if it is so already. */
    public INDArray channelsFirst(INDArray array, ArrayType type, LayerWorkspaceMgr workspaces) {
        INDArray first = viewWithChannelsFirst(array);
        return first.ordering() == 'c' && Lie.isPlain(first) ? first : workspaces.dup(type, first, 'c');
    }

    private INDArray viewWithChannelsFirst(INDArray array) {
        if (!isChannelsLast()) {
            return array;
        }
        return switch (array.rank()) {
            case 3 -> array.permute(0, 2, 1);
            case 4 -> array.permute(0, 3, 1, 2);
            default -> array.permute(0, 4, 1, 2, 3);
        };
    }

    /** The shape that {@link #channelsFirst} gives an array. */
    public long[] channelsFirstShape(INDArray array) {
        return viewWithChannelsFirst(array).shape();
    }

    /** An array whose channels come first, in the layer's own order of dimensions; a view, or the array itself. */
    public INDArray asInLayer(INDArray array) {
        if (!isChannelsLast()) {
            return array;
        }
        return switch (array.rank()) {
            case 3 -> array.permute(0, 2, 1);
            case 4 -> array.permute(0, 2, 3, 1);
            default -> array.permute(0, 2, 3, 4, 1);
        };
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
