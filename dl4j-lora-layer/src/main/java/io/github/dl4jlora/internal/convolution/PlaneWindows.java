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

    void copy(INDArray x, INDArray windows) {
        float[] plane = new float[in[0] * in[1]];
        float[] unfolded = new float[kernel[0] * kernel[1] * out[0] * out[1]];
        FloatPointer from = new FloatPointer(x.data().addressPointer());
        FloatPointer to = new FloatPointer(windows.data().addressPointer());
        long planes = x.size(0) * x.size(1);
        for (long i = 0; i < planes; i++) {
            from.position(i * plane.length).get(plane, 0, plane.length);
            unfold(plane, unfolded);
            to.position(i * unfolded.length).put(unfolded, 0, unfolded.length);
        }
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(windows);
    }

    private void unfold(float[] plane, float[] unfolded) {
        int at = 0;
        for (int down = 0; down < kernel[0]; down++) {
            for (int across = 0; across < kernel[1]; across++) {
                for (int row = 0; row < out[0]; row++) {
                    int y = row * stride[0] + down * dilation[0] - padding[0];
                    if (y < 0 || y >= in[0]) {
                        Arrays.fill(unfolded, at, at + out[1], 0);
                    } else {
                        row(plane, y * in[1], across * dilation[1] - padding[1], unfolded, at);
                    }
                    at += out[1];
                }
            }
        }
    }

    /** @param shift where the first window's number is in the row; outside of it there are zeros */
    private void row(float[] plane, int begin, int shift, float[] unfolded, int at) {
        int step = stride[1];
        int first = Math.min(out[1], shift < 0 ? (-shift + step - 1) / step : 0);
        int last = Math.max(first, Math.min(out[1], in[1] <= shift ? 0 : (in[1] - 1 - shift) / step + 1));
        Arrays.fill(unfolded, at, at + first, 0);
        // A copy of nothing from outside of the plane is refused, too: padding may be wider than the row.
        if (step == 1 && last > first) {
            System.arraycopy(plane, begin + shift + first, unfolded, at + first, last - first);
        } else {
            for (int i = first; i < last; i++) {
                unfolded[at + i] = plane[begin + shift + i * step];
            }
        }
        Arrays.fill(unfolded, at + last, at + out[1], 0);
    }
}
