package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.kernel.Blas;
import io.github.dl4jlora.internal.kernel.ConvolutionLayout;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.UnfoldedConvolution;
import io.github.dl4jlora.internal.kernel.Windows;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.layers.convolution.Convolution1DLayer;
import org.deeplearning4j.nn.layers.convolution.Convolution3DLayer;
import org.deeplearning4j.nn.layers.convolution.ConvolutionLayer;
import org.deeplearning4j.nn.layers.feedforward.dense.DenseLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Broadcast;

import java.util.Set;

/**
 * What a {@link FrozenKernel} multiplies by W: rows, or the windows of a convolution.
 *
 * <pre>
 * dense        x, dx [minibatch, nIn]   z, dz [minibatch, nOut]
 * convolution  x, dx, z, dz as the stock layer has them, one to three dimensions, channels first or last
 * </pre>
 */
abstract sealed class FrozenProduct {

    private static final Set<Class<?>> CONVOLUTIONS =
            Set.of(ConvolutionLayer.class, Convolution1DLayer.class, Convolution3DLayer.class);

    final Layer stock;

    private FrozenProduct(Layer stock) {
        this.stock = stock;
    }

    /**
     * For a stock layer of exactly the known types, since a subclass computes something that we do not know; else null.
     *
     * @param embedded whether the weights may be overwritten where they are
     */
    static FrozenProduct of(Layer stock, boolean embedded) {
        if (stock.getClass() == DenseLayer.class && !((DenseLayer) stock).hasLayerNorm()) {
            return new Dense(stock);
        }
        return CONVOLUTIONS.contains(stock.getClass()) ? new Convolution((ConvolutionLayer) stock, embedded) : null;
    }

    final INDArray w() {
        return stock.getParam(DefaultParamInitializer.WEIGHT_KEY);
    }

    final DataType type() {
        return w().dataType();
    }

    /** The bias, null if the layer has none. */
    final INDArray bias() {
        return stock.paramTable(false).get(DefaultParamInitializer.BIAS_KEY);
    }

    /**
     * Whether this computes the stock layer's output for an input; else the stock layer shall, or refuse.
     *
     * @param mask the layer's mask; null for none
     */
    abstract boolean takes(INDArray input, INDArray mask);

    /** z in the activations workspace, in an array of its own. */
    abstract INDArray forward(INDArray input, LayerWorkspaceMgr workspaces);

    /** dx in the workspace of activation gradients. */
    abstract INDArray backward(INDArray dz, INDArray input, LayerWorkspaceMgr workspaces);

    /**
     * Masks an array of the output's shape, in place.
     *
     * @param mask what {@link #takes} accepted
     */
    abstract void mask(INDArray output, INDArray mask);

    private static final class Dense extends FrozenProduct {

        Dense(Layer stock) {
            super(stock);
        }

        @Override
        boolean takes(INDArray input, INDArray mask) {
            return mask == null && input.rank() == 2 && input.size(1) == w().size(0);
        }

        @Override
        INDArray forward(INDArray input, LayerWorkspaceMgr workspaces) {
            INDArray w = w();
            INDArray x = input.castTo(w.dataType());
            INDArray z = matrix(workspaces, ArrayType.ACTIVATIONS, x.size(0), w.size(1));
            Blas.gemm(x, w, z, false, false, 1, 0);
            if (bias() != null) {
                DenseArithmetic.addBias(z, bias());
            }
            return z;
        }

        @Override
        INDArray backward(INDArray dz, INDArray input, LayerWorkspaceMgr workspaces) {
            INDArray dx = matrix(workspaces, ArrayType.ACTIVATION_GRAD, dz.size(0), w().size(0));
            Blas.gemm(dz, w(), dx, false, true, 1, 0);
            return dx;
        }

        @Override
        void mask(INDArray output, INDArray mask) {
            throw new IllegalStateException("The stock layer applies masks");
        }

        private INDArray matrix(LayerWorkspaceMgr workspaces, ArrayType type, long rows, long columns) {
            return workspaces.createUninitialized(type, type(), new long[] {rows, columns},
                    DenseArithmetic.resultOrder(rows, columns));
        }
    }

    private static final class Convolution extends FrozenProduct {

        private final ConvolutionLayout layout;
        private final boolean embedded;
        private INDArray matrix;

        Convolution(ConvolutionLayer stock, boolean embedded) {
            super(stock);
            this.layout = new ConvolutionLayout((org.deeplearning4j.nn.conf.layers.ConvolutionLayer) stock.conf().getLayer());
            this.embedded = embedded;
        }

        @Override
        boolean takes(INDArray input, INDArray mask) {
            return layout.accepts(input);
        }

        /** {@code [nIn·kernel, nOut]}; where that is a copy, of weights in the vector, made anew for each pass. */
        private INDArray matrix() {
            if (matrix == null || embedded && layout.isSequence()) {
                matrix = layout.matrix(w());
            }
            return matrix;
        }

        @Override
        INDArray forward(INDArray input, LayerWorkspaceMgr workspaces) {
            INDArray x = layout.channelsFirst(input.castTo(type()), ArrayType.FF_WORKING_MEM, workspaces);
            Windows windows = Windows.of(layout.conf(), x);
            long nOut = layout.conf().getNOut();
            INDArray z = workspaces.createUninitialized(ArrayType.ACTIVATIONS, type(),
                    windows.outputShape(x.size(0), nOut, x.rank()), 'c');
            new UnfoldedConvolution(windows, matrix()).forward(x, z, workspaces);
            if (bias() != null) {
                Broadcast.add(z, bias().reshape(nOut), z, 1);
            }
            return layout.isChannelsLast() ? workspaces.dup(ArrayType.ACTIVATIONS, layout.asInLayer(z), 'c') : z;
        }

        @Override
        INDArray backward(INDArray delta, INDArray input, LayerWorkspaceMgr workspaces) {
            INDArray dz = layout.channelsFirst(delta, ArrayType.BP_WORKING_MEM, workspaces);
            long[] shape = layout.channelsFirstShape(input);
            INDArray dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, type(), shape, 'c');
            new UnfoldedConvolution(Windows.of(layout.conf(), dx), matrix()).backward(dz, dx, workspaces);
            return layout.asInLayer(dx);
        }

        @Override
        void mask(INDArray output, INDArray mask) {
            if (layout.isSequence()) {
                layout.mask(output, stock.feedForwardMaskArray(mask, MaskState.Active, (int) mask.size(0)).getFirst());
            }
        }
    }
}
