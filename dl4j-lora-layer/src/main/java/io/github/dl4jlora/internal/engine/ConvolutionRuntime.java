package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.convolution.FrozenConvolution;
import io.github.dl4jlora.internal.convolution.Windows;
import io.github.dl4jlora.internal.engine.KeptPass.Kept;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.MaskedSteps;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * Runs an adapted convolution of one, two or three dimensions, transposed or not, as a {@link FrozenConvolution}. Inside,
 * channels come first. Where {@link ConvolutionLayout} has the values of W in another order than those of windows, A or B are
 * reordered for the kernel in each pass, and W once.
 */
final class ConvolutionRuntime extends KernelRuntime implements MaskedSteps {

    private @Nullable FrozenMatrix ordered;
    private final @Nullable Dropout dropout;
    private @Nullable INDArray stepMask;

    ConvolutionRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
        double probability = lora().settings().loraDropout();
        this.dropout = probability == 0 ? null : new Dropout(1 - probability);
    }

    @Override
    KernelRuntime copy(NeuralNetConfiguration copiedConf) {
        return new ConvolutionRuntime(copiedConf, dataType);
    }

    private ConvolutionLayout layout() {
        return new ConvolutionLayout(stockConf());
    }

    private ConvolutionLayer stockConf() {
        return (ConvolutionLayer) Objects.requireNonNull(lora().stockLayer());
    }

    @Override
    public Type type() {
        return Type.CONVOLUTIONAL;
    }

    @Override
    void rebuild() {
        ordered = null;
    }

    /** In the order of windows. If that is a copy, it is kept as long as nobody may write to the weights. */
    private FrozenMatrix kernelWeights() {
        if (ordered == null || !layout().isReordered() || !hasFixedWeights() || adapter().stock().isQuantized()) {
            ordered = layout().inWindowOrder(matrix());
        }
        return ordered;
    }

    private FrozenConvolution kernel(Windows windows, long minibatch) {
        return layout().kernel(windows, kernelWeights(), dataType, minibatch);
    }

    @Override
    INDArray forward(boolean training, boolean keep, LayerWorkspaceMgr workspaces) {
        List<Route> paths = paths(input.size(0)).stream().map(layout()::inWindowOrder).toList();
        INDArray x = layout().channelsFirst(checkedInput(), ArrayType.FF_WORKING_MEM, workspaces);
        INDArray pathInput = x;
        if (training && dropout != null) {
            pathInput = dropout.applyDropout(x, workspaces.createUninitialized(ArrayType.INPUT, dataType, x.shape(), 'c'),
                    getIterationCount(), getEpochCount(), workspaces);
            kept().put(Kept.DROPPED_X, pathInput);
        }
        Windows windows = Windows.of(stockConf(), x);
        INDArray z = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, layout().outputShape(windows, x.size(0)),
                'c');
        INDArray u = keep && layout().keepsPath() ? workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                windows.outputShape(x.size(0), adapted().rank(), x.rank()), 'c') : null;
        if (layout().keepsPath()) {
            kept().put(Kept.U, u);
        }
        kernel(windows, x.size(0)).forward(x, pathInput, paths, z, u, workspaces);
        outputs().scale(z, training, workspaces);
        INDArray bias = bias(training, workspaces);
        if (bias != null) {
            Windows.addBias(z, bias);
        }
        outputs().replaceBias(z, bias);
        return layout().activations(z, workspaces);
    }

    @Override
    @Nullable INDArray backward(INDArray delta, boolean inputGradients, LayerWorkspaceMgr workspaces) {
        Route path = layout().inWindowOrder(ownPath());
        INDArray dz = layout().channelsFirst(delta, ArrayType.BP_WORKING_MEM, workspaces);
        sumBiasGradient(dz, IntStream.range(0, dz.rank()).filter(dimension -> dimension != 1).toArray());
        INDArray unscaled = outputs().unscaled(dz);
        INDArray x = dropout == null ? layout().channelsFirst(checkedInput(), ArrayType.BP_WORKING_MEM, workspaces)
                : kept().get(Kept.DROPPED_X);
        INDArray dx = inputGradients ? workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, x.shape(), 'c') : null;
        INDArray share = inputGradients && dropout != null
                ? workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dataType, x.shape(), 'c') : dx;
        INDArray u = layout().keepsPath() ? kept().get(Kept.U) : null;
        FrozenConvolution kernel = kernel(Windows.of(stockConf(), x), x.size(0));
        layout().writeGradients(Objects.requireNonNull(gradientOf(Variant.A)), Objects.requireNonNull(gradientOf(Variant.B)),
                workspaces, (a, b) -> kernel.backward(x, path, u, unscaled, a, b, dx, share, workspaces));
        if (dx == null) {
            return null;
        }
        if (dropout != null) {
            dropout.backprop(share, share, getIterationCount(), getEpochCount());
            dx.addi(share);
        }
        return layout().asInLayer(dx);
    }

    private INDArray checkedInput() {
        ConvolutionLayout layout = layout();
        if (!layout.accepts(input)) {
            throw new DL4JInvalidInputException("Input of shape " + Arrays.toString(input.shape())
                    + " does not fit a convolution of " + (layout.rank() - 2) + " dimensions with "
                    + stockConf().getNIn() + " input channels, which come " + (layout.isChannelsLast() ? "last" : "second")
                    + ". Missing preprocessor or wrong input type? " + layerId());
        }
        return input.castTo(dataType);
    }

    /** As in DL4J's layers, sequences are masked, images and volumes are not. */
    @Override
    public @Nullable Pair<INDArray, MaskState> feedForwardMaskArray(@Nullable INDArray mask, MaskState state, int minibatch) {
        Pair<INDArray, MaskState> output = feedForwardStockMask(mask, state, minibatch);
        stepMask = output != null && layout().isSequence() ? output.getFirst() : null;
        return output;
    }

    @Override
    public void setMaskArray(@Nullable INDArray mask) {
        super.setMaskArray(mask);
        stepMask = null;
    }

    @Override
    public @Nullable INDArray stepMask() {
        return stepMask;
    }

    @Override
    void mask(INDArray output) {
        if (layout().isSequence()) {
            INDArray mask = stock().feedForwardMaskArray(maskArray, MaskState.Active, (int) maskArray.size(0)).getFirst();
            layout().mask(output, mask);
        }
    }

    @Override
    void forget() {
        if (dropout != null) {
            dropout.clear();
        }
    }
}
