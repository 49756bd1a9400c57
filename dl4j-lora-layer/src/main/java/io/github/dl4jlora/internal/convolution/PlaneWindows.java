package io.github.dl4jlora.internal.convolution;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;

/**
 * Copies windows of images of FLOAT in the host's memory, channel by channel, by way of Java arrays, and adds them up again.
 * ND4J's im2col and col2im take several times as long on one thread.
 *
 * <pre>
 * x        [minibatch, nIn, height, width]                   'c' order
 * windows  [examples, nIn·kernel, positions]                 'c' order, of some of the examples
 * </pre>
 *
 * @param in       height and width
 * @param out      height and width of the output
 * @param padding  what precedes the input
 */
record PlaneWindows(int[] in, int[] out, int[] kernel, int[] stride, int[] padding, int[] dilation) {

    /** Numbers that are fetched or written together: each access to native memory takes as long as to copy a small plane. */
    private static final int TOGETHER = 1 << 12;

    /** @param from the first example whose windows are wanted */
    void unfold(INDArray x, long from, INDArray windows) {
        Stretch planes = new Stretch(x, from * x.size(1), in[0] * in[1]);
        Stretch slices = new Stretch(windows, 0, out[0] * out[1]);
        long count = windows.size(0) * x.size(1);
        for (long i = 0; i < count; i++) {
            int plane = planes.read(count - i);
            for (int down = 0; down < kernel[0]; down++) {
                for (int across = 0; across < kernel[1]; across++) {
                    copy(planes.numbers, plane, down, across, slices.numbers, slices.write());
                }
            }
        }
        slices.flush();
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(windows);
    }

    /**
     * Every number of x becomes the sum of its copies.
     *
     * @param from the first example whose windows these are; others stay as they are
     */
    void fold(INDArray windows, INDArray x, long from) {
        Stretch planes = new Stretch(x, from * x.size(1), in[0] * in[1]);
        Stretch slices = new Stretch(windows, 0, out[0] * out[1]);
        long count = windows.size(0) * x.size(1);
        long kernels = (long) kernel[0] * kernel[1];
        for (long i = 0; i < count; i++) {
            int plane = planes.write();
            Arrays.fill(planes.numbers, plane, plane + planes.size, 0);
            long left = (count - i) * kernels;
            for (int down = 0; down < kernel[0]; down++) {
                for (int across = 0; across < kernel[1]; across++) {
                    add(slices.numbers, slices.read(left--), down, across, planes.numbers, plane);
                }
            }
        }
        planes.flush();
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(windows);
    }

    /** What one place of the kernel sees of a plane. */
    private void copy(float[] planes, int plane, int down, int across, float[] slices, int slice) {
        int at = slice;
        for (int row = 0; row < out[0]; row++) {
            int y = row * stride[0] + down * dilation[0] - padding[0];
            if (y < 0 || y >= in[0]) {
                Arrays.fill(slices, at, at + out[1], 0);
            } else {
                row(planes, plane + y * in[1], across * dilation[1] - padding[1], slices, at);
            }
            at += out[1];
        }
    }

    /** @param shift where the first window's number is in the row; outside of it there are zeros */
    private void row(float[] planes, int begin, int shift, float[] slices, int at) {
        int step = stride[1];
        int first = first(shift);
        int last = last(shift, first);
        Arrays.fill(slices, at, at + first, 0);
        // A copy of nothing from outside of the plane is refused, too: padding may be wider than the row.
        if (step == 1 && last > first) {
            System.arraycopy(planes, begin + shift + first, slices, at + first, last - first);
        } else {
            for (int i = first; i < last; i++) {
                slices[at + i] = planes[begin + shift + i * step];
            }
        }
        Arrays.fill(slices, at + last, at + out[1], 0);
    }

    /** The first window that sees a number of the row. */
    private int first(int shift) {
        int step = stride[1];
        return Math.min(out[1], shift < 0 ? (-shift + step - 1) / step : 0);
    }

    /** The first one that sees none any more. */
    private int last(int shift, int first) {
        return Math.max(first, Math.min(out[1], in[1] <= shift ? 0 : (in[1] - 1 - shift) / stride[1] + 1));
    }

    private void add(float[] slices, int slice, int down, int across, float[] planes, int plane) {
        int shift = across * dilation[1] - padding[1];
        int first = first(shift);
        int last = last(shift, first);
        int step = stride[1];
        for (int row = 0; row < out[0]; row++) {
            int y = row * stride[0] + down * dilation[0] - padding[0];
            if (y >= 0 && y < in[0]) {
                int to = plane + y * in[1] + shift;
                int at = slice + row * out[1];
                if (step == 1) {
                    // A loop that HotSpot vectorises.
                    for (int i = first; i < last; i++) {
                        planes[to + i] += slices[at + i];
                    }
                } else {
                    for (int i = first; i < last; i++) {
                        planes[to + i * step] += slices[at + i];
                    }
                }
            }
        }
    }

    /** Parts of an array, of equal size, which are read or written one after the other by way of a Java array. */
    private static final class Stretch {

        final int size;
        final float[] numbers;
        private final FloatPointer memory;
        private long next;
        private int begin;
        private int end;

        /** @param first the first part */
        Stretch(INDArray array, long first, int size) {
            this.size = size;
            this.numbers = new float[Math.max(1, TOGETHER / size) * size];
            this.memory = new FloatPointer(array.data().addressPointer());
            this.next = first * size;
        }

        /**
         * Where in the numbers the next part is.
         *
         * @param left how many there are from that one on
         */
        int read(long left) {
            if (begin == end) {
                begin = 0;
                end = (int) Math.min(numbers.length, left * size);
                memory.position(next).get(numbers, 0, end);
                next += end;
            }
            begin += size;
            return begin - size;
        }

        /** Where in the numbers the next part belongs. */
        int write() {
            if (end == numbers.length) {
                flush();
            }
            end += size;
            return end - size;
        }

        /** Writes what has not been written yet. */
        void flush() {
            memory.position(next).put(numbers, 0, end);
            next += end;
            end = 0;
        }
    }
}
