package io.github.dl4jlora.internal.onednn;

import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * A convolution's sizes, for one size of batch and input. All arrays have as many entries as the convolution has dimensions: two
 * or three.
 *
 * <pre>
 * x  [minibatch, nIn, in…]     'c' order
 * W  [nOut, nIn, kernel…]      'c' order; as a matrix [nIn·kernel, nOut] by column
 * z  [minibatch, nOut, out…]   'c' order
 * </pre>
 *
 * In groups, as many outputs see as many of the inputs: W is {@code [groups, nOut / groups, nIn / groups, kernel…]}, as a matrix
 * {@code [nIn / groups · kernel, nOut]}.
 *
 * @param padding how much precedes the input, not negative; what follows it is as much as the output needs
 */
public record ConvolutionShape(long minibatch, long groups, long nIn, long nOut, long[] in, long[] out, long[] kernel,
                               long[] stride, long[] padding, long[] dilation) {

    /** Multiplications of the convolution. */
    long multiplications() {
        return minibatch * nIn / groups * nOut * product(out) * product(kernel);
    }

    /** Whether the kernel is one number, and sees each of the input's once. */
    public boolean isPointwise() {
        return hasKernelOfOne() && Arrays.equals(in, out) && LongStream.of(stride).allMatch(s -> s == 1)
                && LongStream.of(padding).allMatch(p -> p == 0);
    }

    /**
     * Whether oneDNN 3.11 computes such a convolution right. Its forward pass does not where each output sees one channel and has
     * one window in a row of the input, if that window had a stride: it takes numbers from elsewhere. Where no window sees any
     * number of the input in some dimension, it ends the process.
     */
    boolean isComputedRight() {
        int last = in.length - 1;
        return !(nIn == groups && out[last] == 1 && stride[last] > 1)
                && IntStream.range(0, in.length).allMatch(this::isSeen);
    }

    /** Whether some window sees a number of the input in a dimension. */
    private boolean isSeen(int dimension) {
        return LongStream.range(0, out[dimension]).map(window -> window * stride[dimension] - padding[dimension])
                .anyMatch(first -> LongStream.range(0, kernel[dimension]).map(place -> first + place * dilation[dimension])
                        .anyMatch(place -> place >= 0 && place < in[dimension]));
    }

    /** Whether the kernel is one number, which sees all channels. */
    public boolean hasKernelOfOne() {
        return groups == 1 && windowSize() == nIn;
    }

    /** The convolution of its windows by a kernel of one that sees each of them once, for one that {@link #hasKernelOfOne}. */
    public ConvolutionShape thinned() {
        long[] ones = LongStream.generate(() -> 1).limit(in.length).toArray();
        long[] zeros = new long[in.length];
        return new ConvolutionShape(minibatch, 1, nIn, nOut, out, out, kernel, ones, zeros, ones);
    }

    /** Numbers in one window. */
    public long windowSize() {
        return nIn * product(kernel);
    }

    /** Windows in one example. */
    public long positions() {
        return product(out);
    }

    long[] x() {
        return shape(minibatch, nIn, in);
    }

    long[] w() {
        long[] ofGroup = shape(nOut / groups, nIn / groups, kernel);
        return groups == 1 ? ofGroup : LongStream.concat(LongStream.of(groups), LongStream.of(ofGroup)).toArray();
    }

    long[] z() {
        return shape(minibatch, nOut, out);
    }

    /** What oneDNN calls dilation: numbers that are left out. */
    long[] gaps() {
        return LongStream.of(dilation).map(d -> d - 1).toArray();
    }

    /** How many numbers follow the input; none where the last windows leave part of it out. */
    long[] paddingAfter() {
        long[] after = new long[in.length];
        Arrays.setAll(after, i -> Math.max(0,
                (out[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - in[i] - padding[i]));
        return after;
    }

    long[] numbers() {
        return Arrays.stream(new long[][] {{minibatch, groups, nIn, nOut}, in, out, kernel, stride, padding, dilation})
                .flatMapToLong(LongStream::of).toArray();
    }

    private static long[] shape(long first, long second, long[] others) {
        return LongStream.concat(LongStream.of(first, second), LongStream.of(others)).toArray();
    }

    static long product(long[] numbers) {
        return LongStream.of(numbers).reduce(1, (a, b) -> a * b);
    }
}
