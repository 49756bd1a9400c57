package io.github.dl4jlora.internal.convolution;

import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;

/**
 * Copies windows of images of FLOAT in the host's memory, channel by channel, by way of Java arrays. For images of a few
 * positions ND4J's im2col takes several times as long.
 *
 * <pre>
 * x        [minibatch, nIn, height, width]                   'c' order
 * windows  [minibatch, nIn·kernel, positions]                'c' order
 * </pre>
 *
 * @param in       height and width
 * @param out      height and width of the output
 * @param padding  what precedes the input
 */
record PlaneWindows(int[] in, int[] out, int[] kernel, int[] stride, int[] padding, int[] dilation) {

    /** Numbers of planes that are fetched together: each access to native memory takes as long as to copy a small plane. */
    private static final int FETCHED = 1 << 12;

    void copy(INDArray x, INDArray windows) {
        int plane = in[0] * in[1];
        int window = kernel[0] * kernel[1] * out[0] * out[1];
        long planes = x.size(0) * x.size(1);
        int most = (int) Math.min(planes, Math.max(1, FETCHED / Math.max(plane, window)));
        float[] fetched = new float[most * plane];
        float[] unfolded = new float[most * window];
        FloatPointer from = new FloatPointer(x.data().addressPointer());
        FloatPointer to = new FloatPointer(windows.data().addressPointer());
        for (long first = 0; first < planes; first += most) {
            int some = (int) Math.min(most, planes - first);
            from.position(first * plane).get(fetched, 0, some * plane);
            for (int i = 0; i < some; i++) {
                unfold(fetched, i * plane, unfolded, i * window);
            }
            to.position(first * window).put(unfolded, 0, some * window);
        }
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(windows);
    }

    private void unfold(float[] planes, int plane, float[] unfolded, int begin) {
        int at = begin;
        for (int down = 0; down < kernel[0]; down++) {
            for (int across = 0; across < kernel[1]; across++) {
                for (int row = 0; row < out[0]; row++) {
                    int y = row * stride[0] + down * dilation[0] - padding[0];
                    if (y < 0 || y >= in[0]) {
                        Arrays.fill(unfolded, at, at + out[1], 0);
                    } else {
                        row(planes, plane + y * in[1], across * dilation[1] - padding[1], unfolded, at);
                    }
                    at += out[1];
                }
            }
        }
    }

    /** @param shift where the first window's number is in the row; outside of it there are zeros */
    private void row(float[] planes, int begin, int shift, float[] unfolded, int at) {
        int step = stride[1];
        int first = Math.min(out[1], shift < 0 ? (-shift + step - 1) / step : 0);
        int last = Math.max(first, Math.min(out[1], in[1] <= shift ? 0 : (in[1] - 1 - shift) / step + 1));
        Arrays.fill(unfolded, at, at + first, 0);
        // A copy of nothing from outside of the plane is refused, too: padding may be wider than the row.
        if (step == 1 && last > first) {
            System.arraycopy(planes, begin + shift + first, unfolded, at + first, last - first);
        } else {
            for (int i = first; i < last; i++) {
                unfolded[at + i] = planes[begin + shift + i * step];
            }
        }
        Arrays.fill(unfolded, at + last, at + out[1], 0);
    }
}
