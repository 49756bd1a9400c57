package io.github.dl4jlora.internal.onednn;

import java.util.Arrays;
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
 * @param padding how much precedes the input, not negative; what follows it is as much as the output needs
 */
public record ConvolutionShape(long minibatch, long nIn, long nOut, long[] in, long[] out, long[] kernel, long[] stride,
                               long[] padding, long[] dilation) {

    /** Multiplications of the convolution. */
    long multiplications() {
        return minibatch * nIn * nOut * product(out) * product(kernel);
    }

    /** Whether the kernel is one number, and sees each of the input's once. */
    public boolean isPointwise() {
        return hasKernelOfOne() && Arrays.equals(in, out) && LongStream.of(stride).allMatch(s -> s == 1)
                && LongStream.of(padding).allMatch(p -> p == 0);
    }

    /** Whether the kernel is one number. */
    public boolean hasKernelOfOne() {
        return windowSize() == nIn;
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
        return shape(nOut, nIn, kernel);
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
        return Arrays.stream(new long[][] {{minibatch, nIn, nOut}, in, out, kernel, stride, padding, dilation})
                .flatMapToLong(LongStream::of).toArray();
    }

    private static long[] shape(long first, long second, long[] others) {
        return LongStream.concat(LongStream.of(first, second), LongStream.of(others)).toArray();
    }

    private static long product(long[] numbers) {
        return LongStream.of(numbers).reduce(1, (a, b) -> a * b);
    }
}
