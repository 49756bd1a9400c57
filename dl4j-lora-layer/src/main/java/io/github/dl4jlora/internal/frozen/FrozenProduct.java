package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.convolution.FrozenConvolution;
import io.github.dl4jlora.internal.convolution.SeparableConvolution;
import io.github.dl4jlora.internal.convolution.Windows;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.EmbeddingLayout;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.onednn.Finish;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.layers.convolution.Convolution1DLayer;
import org.deeplearning4j.nn.layers.convolution.Convolution3DLayer;
import org.deeplearning4j.nn.layers.convolution.ConvolutionLayer;
import org.deeplearning4j.nn.layers.convolution.Deconvolution2DLayer;
import org.deeplearning4j.nn.layers.convolution.Deconvolution3DLayer;
import org.deeplearning4j.nn.layers.convolution.DepthwiseConvolution2DLayer;
import org.deeplearning4j.nn.layers.convolution.SeparableConvolution2DLayer;
import org.deeplearning4j.nn.layers.feedforward.dense.DenseLayer;
import org.deeplearning4j.nn.layers.feedforward.embedding.EmbeddingLayer;
import org.deeplearning4j.nn.layers.feedforward.embedding.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.params.SeparableConvolutionParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Set;
import java.util.function.Supplier;

/**
 * What a {@link FrozenKernel} multiplies by W, or looks up in it: rows, the windows of a convolution, words.
 *
 * <pre>
 * dense        x, dx [minibatch, nIn]   z, dz [minibatch, nOut]
 * convolution  x, dx, z, dz as the stock layer has them, one to three dimensions, channels first or last
 * embedding    words looked up
 * </pre>
 */
abstract sealed class FrozenProduct {

    /** Configurations of the layers that {@link #of} takes, except dense ones. */
    private static final Set<Class<?>> CONFIGURATIONS = Set.of(
            org.deeplearning4j.nn.conf.layers.ConvolutionLayer.class, Convolution2D.class,
            org.deeplearning4j.nn.conf.layers.Convolution1DLayer.class, Convolution1D.class, Convolution3D.class,
            Deconvolution2D.class, Deconvolution3D.class, DepthwiseConvolution2D.class, SeparableConvolution2D.class,
            org.deeplearning4j.nn.conf.layers.EmbeddingLayer.class,
            org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer.class);
    private static final Set<Class<?>> CONVOLUTIONS =
            Set.of(ConvolutionLayer.class, Convolution1DLayer.class, Convolution3DLayer.class, Deconvolution2DLayer.class,
                    Deconvolution3DLayer.class, DepthwiseConvolution2DLayer.class);
    private static final Set<Class<?>> EMBEDDINGS = Set.of(EmbeddingLayer.class, EmbeddingSequenceLayer.class);

    private final FrozenMatrices weights;

    private FrozenProduct(FrozenMatrices weights) {
        this.weights = weights;
    }

    /**
     * The product for a stock layer of exactly the known types and configurations, since a subclass of either computes something
     * unknown; otherwise null.
     */
    static @Nullable FrozenProduct of(Layer stock, Supplier<FrozenMatrices> weights) {
        Class<?> type = stock.getClass();
        if (!exists(stock.conf().getLayer())) {
            return null;
        }
        if (type == DenseLayer.class && !((DenseLayer) stock).hasLayerNorm()) {
            return new Dense(weights.get());
        }
        if (EMBEDDINGS.contains(type)) {
            return new Embedding(stock, weights.get());
        }
        if (type == SeparableConvolution2DLayer.class) {
            return new Separable(stock, weights.get());
        }
        return CONVOLUTIONS.contains(type) ? new Convolution(stock, weights.get()) : null;
    }

    /** Whether the backward pass of a configured layer reads the layer's input. Only the product of rows does not. */
    static boolean looksBack(org.deeplearning4j.nn.conf.layers.Layer conf) {
        return !exists(conf) || CONFIGURATIONS.contains(conf.getClass());
    }

    /** Whether there is a product for a configured layer. */
    static boolean exists(org.deeplearning4j.nn.conf.layers.Layer conf) {
        boolean dense = conf.getClass() == org.deeplearning4j.nn.conf.layers.DenseLayer.class;
        return dense ? !((org.deeplearning4j.nn.conf.layers.DenseLayer) conf).hasLayerNorm()
                : CONFIGURATIONS.contains(conf.getClass());
    }

    final FrozenMatrix w() {
        return weights.matrix();
    }

    final FrozenMatrix matrix(String key) {
        return weights.matrix(key);
    }

    final DataType type() {
        return weights.type();
    }

    /** The bias; null if the layer has none. */
    final @Nullable INDArray bias() {
        return weights.bias();
    }

    /** Whether the weights are an array that nobody may write to. */
    final boolean areKept() {
        return weights.areKept();
    }

    /**
     * Whether this computes the stock layer's output for an input; otherwise the stock layer has to compute or refuse.
     *
     * @param mask the layer's mask; null for none
     */
    abstract boolean takes(INDArray input, @Nullable INDArray mask);

    /** z in the activations workspace, in an array of its own. */
    final INDArray forward(INDArray input, LayerWorkspaceMgr workspaces) {
        return forward(input, false, null, workspaces);
    }

    /**
     * z, or max(0, z), in an array of its own.
     *
     * @param rectifies whether what is below zero becomes zero
     * @param place     for z in a training forward pass; if it is null, or the product does not use it: the activations workspace
     */
    abstract INDArray forward(INDArray input, boolean rectifies, @Nullable PassingOutput place, LayerWorkspaceMgr workspaces);

    private static INDArray rectified(INDArray z, boolean rectifies) {
        if (rectifies) {
            DenseArithmetic.rectify(z);
        }
        return z;
    }

    /** dx in the workspace of activation gradients; null for words, which have no gradient. */
    abstract @Nullable INDArray backward(INDArray dz, INDArray input, LayerWorkspaceMgr workspaces);

    /**
     * Masks an array of the output's shape, in place.
     *
     * @param mask as {@link #takes} accepted it
     */
    abstract void mask(INDArray output, INDArray mask);

    private static final class Dense extends FrozenProduct {

        Dense(FrozenMatrices weights) {
            super(weights);
        }

        @Override
        boolean takes(INDArray input, @Nullable INDArray mask) {
            boolean masksRows = mask == null || mask.rank() == 2 && mask.size(0) == input.size(0) && mask.size(1) == 1;
            return masksRows && input.rank() == 2 && input.size(1) == w().rows() && (mask == null || keepsOrDrops(mask));
        }

        /** DL4J also masks what goes into the activation. With zeros and ones that makes no difference. */
        private static boolean keepsOrDrops(INDArray mask) {
            for (long row = 0; row < mask.size(0); row++) {
                double value = mask.getDouble(row, 0);
                if (value != 0 && value != 1) {
                    return false;
                }
            }
            return true;
        }

        @Override
        INDArray forward(INDArray input, boolean rectifies, @Nullable PassingOutput place, LayerWorkspaceMgr workspaces) {
            INDArray x = input.castTo(type());
            long[] shape = {x.size(0), w().columns()};
            INDArray z = PassingOutput.create(place, true, workspaces, type(), shape,
                    w().resultOrder(shape[0], false));
            w().times(x, z);
            if (bias() != null) {
                DenseArithmetic.addBias(z, bias());
            }
            return rectified(z, rectifies);
        }

        @Override
        INDArray backward(INDArray dz, INDArray input, LayerWorkspaceMgr workspaces) {
            long[] shape = {dz.size(0), w().rows()};
            INDArray dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, type(), shape,
                    w().resultOrder(shape[0], true));
            w().timesTransposed(dz, dx);
            return dx;
        }

        @Override
        void mask(INDArray output, INDArray mask) {
            output.muliColumnVector(mask.castTo(output.dataType()));
        }
    }

    private static sealed class Convolution extends FrozenProduct {

        private final Layer stock;
        private final ConvolutionLayout layout;
        private @Nullable FrozenMatrix ordered;

        Convolution(Layer stock, FrozenMatrices weights) {
            super(weights);
            this.stock = stock;
            this.layout = new ConvolutionLayout((org.deeplearning4j.nn.conf.layers.ConvolutionLayer) stock.conf().getLayer());
        }

        @Override
        boolean takes(INDArray input, @Nullable INDArray mask) {
            return layout.accepts(input);
        }

        /** In the order of windows; if that is a copy, it is kept as long as nobody may write to the weights. */
        private FrozenConvolution kernel(Windows windows, long minibatch) {
            if (ordered == null || !layout.isReordered() || !areKept()) {
                ordered = layout.inWindowOrder(w());
            }
            return layout.kernel(windows, ordered, type(), minibatch);
        }

        @Override
        INDArray forward(INDArray input, boolean rectifies, @Nullable PassingOutput place, LayerWorkspaceMgr workspaces) {
            INDArray x = layout.channelsFirst(input.castTo(type()), ArrayType.FF_WORKING_MEM, workspaces);
            Windows windows = Windows.of(layout.conf(), x);
            INDArray z = workspaces.createUninitialized(layout.isChannelsLast() ? ArrayType.FF_WORKING_MEM
                    : ArrayType.ACTIVATIONS, type(), layout.outputShape(windows, x.size(0)), 'c');
            multiply(windows, x, new Finish(bias(), rectifies), z, workspaces);
            return layout.activations(z, workspaces);
        }

        @Override
        INDArray backward(INDArray delta, INDArray input, LayerWorkspaceMgr workspaces) {
            INDArray dz = layout.channelsFirst(delta, ArrayType.BP_WORKING_MEM, workspaces);
            long[] shape = layout.channelsFirstShape(input);
            INDArray dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, type(), shape, 'c');
            multiplyBack(Windows.of(layout.conf(), dx), dz, dx, workspaces);
            return layout.asInLayer(dx);
        }

        final ConvolutionLayout layout() {
            return layout;
        }

        void multiply(Windows windows, INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
            kernel(windows, x.size(0)).forward(x, finish, z, workspaces);
        }

        void multiplyBack(Windows windows, INDArray dz, INDArray dx, LayerWorkspaceMgr workspaces) {
            kernel(windows, dx.size(0)).backward(dz, dx, ArrayType.BP_WORKING_MEM, workspaces);
        }

        @Override
        void mask(INDArray output, INDArray mask) {
            if (layout.isSequence()) {
                layout.mask(output, stock.feedForwardMaskArray(mask, MaskState.Active, (int) mask.size(0)).getFirst());
            }
        }
    }

    private static final class Separable extends Convolution {

        Separable(Layer stock, FrozenMatrices weights) {
            super(stock, weights);
        }

        @Override
        boolean takes(INDArray input, @Nullable INDArray mask) {
            return SeparableConvolution.exists(layout().conf()) && super.takes(input, mask);
        }

        private SeparableConvolution kernel(Windows windows) {
            return new SeparableConvolution(windows, w(), matrix(SeparableConvolutionParamInitializer.POINT_WISE_WEIGHT_KEY),
                    type());
        }

        @Override
        void multiply(Windows windows, INDArray x, Finish finish, INDArray z, LayerWorkspaceMgr workspaces) {
            kernel(windows).forward(x, finish, z, workspaces);
        }

        @Override
        void multiplyBack(Windows windows, INDArray dz, INDArray dx, LayerWorkspaceMgr workspaces) {
            kernel(windows).backward(dz, dx, ArrayType.BP_WORKING_MEM, workspaces);
        }
    }

    private static final class Embedding extends FrozenProduct {

        private final EmbeddingLayout layout;
        private final Layer stock;

        Embedding(Layer stock, FrozenMatrices weights) {
            super(weights);
            this.stock = stock;
            this.layout = new EmbeddingLayout((FeedForwardLayer) stock.conf().getLayer());
        }

        @Override
        boolean takes(INDArray input, @Nullable INDArray mask) {
            return true;
        }

        @Override
        INDArray forward(INDArray input, boolean rectifies, @Nullable PassingOutput place, LayerWorkspaceMgr workspaces) {
            int[] words = layout.words(input, "(layer " + stock.conf().getLayer().getLayerName() + ")");
            INDArray rows = workspaces.createUninitialized(ArrayType.ACTIVATIONS, type(),
                    new long[] {words.length, w().columns()}, 'c');
            w().pull(words, rows);
            if (bias() != null) {
                rows.addiRowVector(bias());
            }
            return layout.asInLayer(rectified(rows, rectifies), input.size(0));
        }

        @Override
        @Nullable INDArray backward(INDArray dz, INDArray input, LayerWorkspaceMgr workspaces) {
            return null;
        }

        @Override
        void mask(INDArray output, INDArray mask) {
            layout.mask(output, mask);
        }
    }
}
