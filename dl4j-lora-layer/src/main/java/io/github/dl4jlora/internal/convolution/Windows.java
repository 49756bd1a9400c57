package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.onednn.ConvolutionShape;
import io.github.dl4jlora.internal.onednn.Finish;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.Convolution1DUtils;
import org.deeplearning4j.util.Convolution3DUtils;
import org.deeplearning4j.util.ConvolutionUtils;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.convolution.Convolution;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * The windows that a convolution's kernel sees of its input, for one input size. Every convolution has three dimensions here:
 * an image has depth 1, a sequence has depth and height 1.
 *
 * <pre>
 * input    [minibatch, nIn, depth, height, width]                        any strides
 * windows  [minibatch, nIn, kD, kH, kW, outDepth, outHeight, outWidth]   'c' order
 * </pre>
 *
 * In this order, positions come last. ND4J's im2col fills it at least five times faster than the order that DL4J's own layers ask
 * for (docs/benchmarks.md), and it makes each example a matrix {@code [positions, nIn·kD·kH·kW]}.
 *
 * @param in       size of the input: channels, depth, height, width
 * @param out      size of the output: depth, height, width
 * @param padding  how much precedes the input; what follows the input is as much as the output size needs. If negative, the first
 *                 window begins after that many numbers of the input. That happens with {@code Same} and a stride greater than
 *                 the kernel, in DL4J's layers of one and three dimensions; the two-dimensional layer refuses it
 * @param covering whether the output size is the input size divided by the stride, whatever the kernel
 */
public record Windows(int[] in, int[] out, int[] kernel, int[] stride, int[] padding, int[] dilation, boolean covering) {

    private static final int CHANNELS = 0;
    private static final int DEPTH = 1;
    private static final int HEIGHT = 2;
    private static final int WIDTH = 3;
    private static final long LARGEST_PLANE = 1 << 20;

    /**
     * Those of a layer's input or, if the layer is a transposed convolution, those of its output, one for each position of its
     * input.
     *
     * @param input as the layer gets it, channels first
     * @throws DL4JInvalidInputException as DL4J's own layer throws it, if the kernel does not fit the input
     * @throws IllegalStateException     likewise, for images with {@code Same} and a stride that leaves part of them out
     */
    public static Windows of(ConvolutionLayer conf, INDArray input) {
        if (conf instanceof Deconvolution2D || conf instanceof Deconvolution3D) {
            return ofOutputs(conf, input);
        }
        if (conf instanceof Convolution3D) {
            return ofVolumes(conf, input);
        }
        return conf instanceof Convolution1DLayer ? ofSequences(conf, input) : ofImages(conf, input);
    }

    private static Windows ofSequences(ConvolutionLayer conf, INDArray input) {
        int steps = (int) input.size(2);
        int kernel = conf.getKernelSize()[0];
        int stride = conf.getStride()[0];
        int dilation = conf.getDilation()[0];
        ConvolutionMode mode = conf.getConvolutionMode();
        int out = (int) Convolution1DUtils.getOutputSize(steps, kernel, stride, conf.getPadding()[0], mode, dilation);
        int before = switch (mode) {
            case Causal -> (kernel - 1) * dilation;
            case Same -> ((out - 1) * stride + (kernel - 1) * dilation + 1 - steps) / 2;
            default -> conf.getPadding()[0];
        };
        if (out < 1) {
            throw new DL4JInvalidInputException("A kernel of " + kernel + " steps with dilation "
                    + dilation + " does not fit into a sequence of " + steps);
        }
        return new Windows(new int[] {(int) input.size(1), 1, 1, steps}, new int[] {1, 1, out}, new int[] {1, 1, kernel},
                new int[] {1, 1, stride}, new int[] {0, 0, before}, new int[] {1, 1, dilation},
                mode == ConvolutionMode.Same || mode == ConvolutionMode.Causal);
    }

    private static Windows ofImages(ConvolutionLayer conf, INDArray input) {
        boolean same = conf.getConvolutionMode() == ConvolutionMode.Same;
        int[] size = {(int) input.size(2), (int) input.size(3)};
        int[] out = ConvolutionUtils.getOutputSize(input, conf.getKernelSize(), conf.getStride(), same ? null : conf.getPadding(),
                conf.getConvolutionMode(), conf.getDilation(), CNN2DFormat.NCHW);
        int[] padding = same ? ConvolutionUtils.getSameModeTopLeftPadding(out, size, conf.getKernelSize(), conf.getStride(),
                conf.getDilation()) : conf.getPadding();
        return new Windows(new int[] {(int) input.size(1), 1, size[0], size[1]}, flat(1, out), flat(1, conf.getKernelSize()),
                flat(1, conf.getStride()), flat(0, padding), flat(1, conf.getDilation()), same);
    }

    private static int[] flat(int depth, int[] heightAndWidth) {
        return new int[] {depth, heightAndWidth[0], heightAndWidth[1]};
    }

    private static Windows ofVolumes(ConvolutionLayer conf, INDArray input) {
        boolean same = conf.getConvolutionMode() == ConvolutionMode.Same;
        int[] size = {(int) input.size(2), (int) input.size(3), (int) input.size(4)};
        int[] out = Convolution3DUtils.get3DOutputSize(input, conf.getKernelSize(), conf.getStride(),
                same ? null : conf.getPadding(), conf.getConvolutionMode(), conf.getDilation(), true);
        int[] padding = same ? Convolution3DUtils.get3DSameModeTopLeftPadding(out, size, conf.getKernelSize(), conf.getStride(),
                conf.getDilation()) : conf.getPadding();
        return new Windows(new int[] {(int) input.size(1), size[0], size[1], size[2]}, out, conf.getKernelSize(),
                conf.getStride(), padding, conf.getDilation(), same);
    }

    /** With {@code Same}, libnd4j pads as the convolution does of which this is the transpose. */
    private static Windows ofOutputs(ConvolutionLayer conf, INDArray input) {
        boolean same = conf.getConvolutionMode() == ConvolutionMode.Same;
        int dimensions = input.rank() - 2;
        int[] size = new int[dimensions];
        int[] out = new int[dimensions];
        int[] padding = new int[dimensions];
        for (int i = 0; i < dimensions; i++) {
            size[i] = (int) input.size(i + 2);
            int stride = conf.getStride()[i];
            int extent = (conf.getKernelSize()[i] - 1) * conf.getDilation()[i] + 1;
            padding[i] = same ? (extent - stride) / 2 : conf.getPadding()[i];
            out[i] = same ? stride * size[i] : stride * (size[i] - 1) + extent - 2 * padding[i];
        }
        if (Arrays.stream(out).anyMatch(length -> length < 1)) {
            throw new DL4JInvalidInputException("Padding " + Arrays.toString(padding) + " of a transposed convolution leaves "
                    + "nothing of the output for an input of shape " + Arrays.toString(input.shape()));
        }
        int[] channelsAndOut = IntStream.concat(IntStream.of((int) conf.getNOut()), Arrays.stream(deep(1, out))).toArray();
        return new Windows(channelsAndOut, deep(1, size), deep(1, conf.getKernelSize()), deep(1, conf.getStride()),
                deep(0, padding), deep(1, conf.getDilation()), same);
    }

    private static int[] deep(int depth, int[] numbers) {
        return numbers.length == 2 ? flat(depth, numbers) : numbers;
    }

    /** Whether the first window begins where the input does, or before. */
    boolean skipsNothing() {
        return Arrays.stream(padding).allMatch(p -> p >= 0);
    }

    /** The same in oneDNN's terms: without the depth of what has none. */
    ConvolutionShape shape(long minibatch, long nOut) {
        return shape(minibatch, 1, nOut);
    }

    /** As {@link #shape(long, long)}, of a convolution in groups. */
    ConvolutionShape shape(long minibatch, long groups, long nOut) {
        int first = isFlat() ? 1 : 0;
        return new ConvolutionShape(minibatch, groups, in[CHANNELS], nOut, longs(in, first + 1), longs(out, first),
                longs(kernel, first), longs(stride, first), longs(padding, first), longs(dilation, first));
    }

    /** Whether there is but one plane, and the windows are in it. */
    private boolean isFlat() {
        return in[DEPTH] == 1 && kernel[0] == 1 && out[0] == 1 && padding[0] == 0;
    }

    /** Those of a kernel of one at each position of this output, as an input of so many channels. */
    Windows pointwise(int channels) {
        int[] ones = {1, 1, 1};
        return new Windows(new int[] {channels, out[0], out[1], out[2]}, out, ones, ones, new int[3], ones, false);
    }

    /** A convolution with a kernel of one at each position of this output, as B is, in oneDNN's terms. */
    ConvolutionShape pointwise(long minibatch, long rank, long nOut) {
        long[] all = {1, positions()};
        long[] ones = {1, 1};
        return new ConvolutionShape(minibatch, 1, rank, nOut, all, all, ones, ones, new long[] {0, 0}, ones);
    }

    private static long[] longs(int[] numbers, int from) {
        return Arrays.stream(numbers, from, numbers.length).asLongStream().toArray();
    }

    /** Numbers in one window. */
    long size() {
        return (long) in[CHANNELS] * kernel[0] * kernel[1] * kernel[2];
    }

    /** Windows in one example. */
    long positions() {
        return (long) out[0] * out[1] * out[2];
    }

    /** One example as a column-major matrix {@code [positions, channels]}; a view. */
    INDArray matrix(INDArray array, long example) {
        return matrix(array, array.size(1), example);
    }

    /**
     * Adds a number to each channel, in place. ND4J's broadcast of a vector takes as long as a convolution for some shapes.
     *
     * @param array {@code [minibatch, channels, …]}, 'c' order
     */
    public static void addBias(INDArray array, INDArray bias) {
        long channels = array.size(1);
        long positions = array.length() / array.size(0) / channels;
        for (long example = 0; example < array.size(0); example++) {
            Blas.addToColumns(matrix(array, channels, positions, example), bias);
        }
    }

    /** Finishes a result where nothing did so while it was computed, in place. */
    static void finish(INDArray z, Finish finish) {
        if (finish.shift() != null) {
            addBias(z, finish.shift());
        }
        if (finish.rectifies()) {
            DenseArithmetic.rectify(z);
        }
    }

    INDArray matrix(INDArray array, long channels, long example) {
        return matrix(array, channels, positions(), example);
    }

    private static INDArray matrix(INDArray array, long channels, long positions, long example) {
        return Nd4j.create(array.data(), new long[] {positions, channels}, new long[] {1, positions},
                array.offset() + example * channels * positions, 'f');
    }

    /**
     * DL4J's shape, channels first, of an array of {@code channels} numbers per position, for an input of this rank.
     */
    public long[] outputShape(long minibatch, long channels, int inputRank) {
        return shape(minibatch, channels, longs(out, 0), inputRank);
    }

    /** DL4J's shape, channels first, of what the windows are of. */
    public long[] inputShape(long minibatch, int rank) {
        return shape(minibatch, in[CHANNELS], longs(in, DEPTH), rank);
    }

    private static long[] shape(long minibatch, long channels, long[] sizes, int rank) {
        return LongStream.concat(LongStream.of(minibatch, channels), Arrays.stream(sizes, sizes.length + 2 - rank, sizes.length))
                .toArray();
    }

    /**
     * Copies the windows of some examples.
     *
     * @param input   {@code [minibatch, nIn, …]}
     * @param from    the first example
     * @param windows room for as many examples as are wanted, one after the other
     */
    void unfold(INDArray input, long from, INDArray windows) {
        if (isOurs(input, windows)) {
            planes().unfold(input, from, windows);
        } else {
            unfoldByNd4j(input, from, windows);
        }
    }

    private void unfoldByNd4j(INDArray input, long from, INDArray windows) {
        for (int kernelDepth = 0; kernelDepth < kernel[0]; kernelDepth++) {
            for (int position = 0; position < out[0]; position++) {
                int depth = depth(kernelDepth, position);
                INDArray target = slice(windows, kernelDepth, position);
                if (depth < 0 || depth >= in[DEPTH]) {
                    target.assign(0);
                } else {
                    Convolution.im2col(layer(input, from, windows.size(0), depth), kernel[1], kernel[2], stride[1], stride[2],
                            Math.max(0, padding[1]), Math.max(0, padding[2]), dilation[1], dilation[2], covering, target);
                }
            }
        }
    }

    /** Whether windows are copied and added up by this library, for which a plane of input and output is on Java's heap. */
    private boolean isOurs(INDArray input, INDArray windows) {
        boolean isSmall = Math.max((long) in[HEIGHT] * in[WIDTH], positions()) <= LARGEST_PLANE;
        return isSmall && isFlat() && skipsNothing() && input.dataType() == DataType.FLOAT && HostMemory.holds(input, windows)
                && Lie.isPlain(input) && Lie.isPlain(windows);
    }

    private PlaneWindows planes() {
        return new PlaneWindows(plane(in, HEIGHT), plane(out, 1), plane(kernel, 1), plane(stride, 1), plane(padding, 1),
                plane(dilation, 1));
    }

    private static int[] plane(int[] numbers, int from) {
        return Arrays.copyOfRange(numbers, from, from + 2);
    }

    /**
     * The windows of all examples as rows.
     *
     * @param input {@code [minibatch, nIn, …]}, as {@link #unfold} takes it
     * @return {@code [minibatch · positions, nIn·kernel]}, a copy
     */
    public INDArray rows(INDArray input) {
        INDArray windows = Nd4j.create(input.dataType(), new long[] {input.size(0), size(), positions()}, 'c');
        unfold(input, 0, windows);
        return windows.permute(0, 2, 1).dup('c').reshape('c', input.size(0) * positions(), size());
    }

    /**
     * The transpose of {@link #unfold}: every number of the input becomes the sum of its copies.
     *
     * @param input written to
     * @param place working memory of the pass in which this is computed
     */
    void fold(INDArray windows, INDArray input, long from, ArrayType place, LayerWorkspaceMgr workspaces) {
        if (isOurs(input, windows)) {
            planes().fold(windows, input, from);
            return;
        }
        if (isFlat() && skipped(1) == 0 && skipped(2) == 0) {
            fold(slice(windows, 0, 0), layer(input, from, windows.size(0), 0));
            return;
        }
        long[] plane = {windows.size(0), in[CHANNELS], in[HEIGHT] - skipped(1), in[WIDTH] - skipped(2)};
        INDArray share = workspaces.createUninitialized(place, input.dataType(), plane, 'c');
        Views.rows(input, from, from + windows.size(0)).assign(0);
        for (int kernelDepth = 0; kernelDepth < kernel[0]; kernelDepth++) {
            for (int position = 0; position < out[0]; position++) {
                int depth = depth(kernelDepth, position);
                if (depth >= 0 && depth < in[DEPTH]) {
                    fold(slice(windows, kernelDepth, position), share);
                    layer(input, from, windows.size(0), depth).addi(share);
                }
            }
        }
    }

    private void fold(INDArray windows, INDArray plane) {
        Convolution.col2im(windows, plane, stride[1], stride[2], Math.max(0, padding[1]), Math.max(0, padding[2]),
                in[HEIGHT] - skipped(1), in[WIDTH] - skipped(2), dilation[1], dilation[2]);
    }

    /** How many numbers of the input come before the first window, in one of its dimensions. */
    private int skipped(int dimension) {
        return Math.max(0, -padding[dimension]);
    }

    private int depth(int kernelDepth, int position) {
        return position * stride[0] + kernelDepth * dilation[0] - padding[0];
    }

    /** {@code [examples, nIn, height, width]} at one depth, without what comes before the first window; a view. */
    private INDArray layer(INDArray input, long from, long examples, int depth) {
        long[] strides = input.stride();
        int last = input.rank() - 1;
        long acrossWidth = strides[last];
        long acrossHeight = input.rank() == 3 ? in[WIDTH] * acrossWidth : strides[last - 1];
        long offset = input.offset() + from * strides[0] + (input.rank() == 5 ? depth * strides[2] : 0)
                + skipped(1) * acrossHeight + skipped(2) * acrossWidth;
        return Nd4j.create(input.data(), new long[] {examples, in[CHANNELS], in[HEIGHT] - skipped(1), in[WIDTH] - skipped(2)},
                new long[] {strides[0], strides[1], acrossHeight, acrossWidth}, offset, 'c');
    }

    /** {@code [examples, nIn, kH, kW, outHeight, outWidth]} of one depth of kernel and output; a view. */
    private INDArray slice(INDArray windows, int kernelDepth, int position) {
        long[] full = {windows.size(0), in[CHANNELS], kernel[0], kernel[1], kernel[2], out[0], out[1], out[2]};
        long[] strides = new long[full.length];
        strides[full.length - 1] = 1;
        for (int i = full.length - 2; i >= 0; i--) {
            strides[i] = strides[i + 1] * full[i + 1];
        }
        long offset = windows.offset() + kernelDepth * strides[2] + position * strides[5];
        return Nd4j.create(windows.data(), new long[] {full[0], full[1], full[3], full[4], full[6], full[7]},
                new long[] {strides[0], strides[1], strides[3], strides[4], strides[6], strides[7]}, offset, 'c');
    }

    @Override
    public String toString() {
        return "windows of " + Arrays.toString(kernel) + " in " + Arrays.toString(in);
    }
}
