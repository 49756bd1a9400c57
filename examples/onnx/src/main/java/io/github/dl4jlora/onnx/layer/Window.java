package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.ConvolutionMode;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * The window that a convolution or pooling moves over its input [batch, channels, sizes…], with a value for each of the sizes.
 * Mode Same gives ceil(size / stride) outputs; the sum of its padding is (outputs - 1) · stride + extent - size, of which half,
 * rounded towards zero, comes first. Where the stride exceeds the kernel it may be negative: the beginning is then cut. What is
 * too much at the end is reached by no window; ONNX Runtime must not see negative padding.
 *
 * @param kernel   sizes of the window
 * @param stride   steps of the window
 * @param padding  at both ends, except in the modes Same and Causal
 * @param dilation distances between the window's elements
 * @param mode     how sizes and padding come about
 */
record Window(int[] kernel, int[] stride, int[] padding, int[] dilation, ConvolutionMode mode) {

    /** Of the first dimension alone: DL4J's layers for sequences have a second one that they do not use. */
    Window first() {
        return new Window(Arrays.copyOf(kernel, 1), Arrays.copyOf(stride, 1), Arrays.copyOf(padding, 1),
                Arrays.copyOf(dilation, 1), mode);
    }

    int rank() {
        return kernel.length;
    }

    boolean dilated() {
        return Arrays.stream(dilation).anyMatch(d -> d != 1);
    }

    /** Whether the padding depends on the size in a way for which ONNX has no word. */
    boolean open() {
        return mode == ConvolutionMode.Same && !fixed()
                && (dilated() || IntStream.range(0, rank()).anyMatch(i -> kernel[i] < stride[i]));
    }

    /** Whether the padding is as wide as the kernel, which ONNX Runtime takes in convolutions only. */
    boolean wide() {
        long[] pads = pads();
        return IntStream.range(0, pads.length).anyMatch(i -> pads[i] >= kernel[i % rank()]);
    }

    /** Whether the padding may differ from one end to another, or from one dimension to another. */
    boolean uneven() {
        return mode == ConvolutionMode.Same && !fixed() || Arrays.stream(pads()).distinct().count() > 1;
    }

    /** Whether a window may lie on nothing but the padding that the layer gives in numbers. */
    boolean mayLeaveInput() {
        return mode != ConvolutionMode.Same && IntStream.range(0, rank()).anyMatch(i -> padding[i] >= extent(i));
    }

    /** Whether the padding of mode Same is the same for all sizes: where every element, or every second one, is one window. */
    private boolean fixed() {
        return IntStream.range(0, rank()).allMatch(i -> stride[i] == 1 || stride[i] == 2 && kernel[i] == 1);
    }

    private boolean unstrided() {
        return Arrays.stream(stride).allMatch(s -> s == 1);
    }

    int extent(int i) {
        return (kernel[i] - 1) * dilation[i] + 1;
    }

    /**
     * Adds an operator that moves this window.
     *
     * @param operands the input first; the empty string for one that is left out
     * @param fill     what the padding holds, if it depends on the size
     */
    String add(OnnxGraph graph, String operator, List<String> operands, double fill, Attribute... more) {
        List<Attribute> attributes = new ArrayList<>(List.of(more));
        attributes.add(Attribute.of("kernel_shape", longs(kernel)));
        attributes.add(Attribute.of("strides", longs(stride)));
        if (dilated()) {
            attributes.add(Attribute.of("dilations", longs(dilation)));
        }
        List<String> inputs = new ArrayList<>(operands);
        if (open()) {
            inputs.set(0, padded(graph, operands.get(0), fill));
        } else if (mode == ConvolutionMode.Same && !fixed()) {
            attributes.add(Attribute.of("auto_pad", "SAME_UPPER"));
        } else if (operator.equals("MaxPool") && wide()) {
            long[] pads = pads();
            long[] around = new long[2 * rank() + 4];
            System.arraycopy(pads, 0, around, 2, rank());
            System.arraycopy(pads, rank(), around, rank() + 4, rank());
            inputs.set(0, graph.add("Pad", List.of(operands.get(0), graph.ints(around), graph.number(fill))));
        } else {
            attributes.add(Attribute.of("pads", pads()));
        }
        return graph.add(operator, inputs, attributes.toArray(Attribute[]::new));
    }

    private long[] pads() {
        return switch (mode) {
            case Same -> pads(i -> (extent(i) - 1) / 2, i -> extent(i) - 1 - (extent(i) - 1) / 2);
            case Causal -> pads(i -> extent(i) - 1, i -> 0);
            default -> pads(i -> padding[i], i -> padding[i]);
        };
    }

    private long[] pads(IntUnaryOperator begin, IntUnaryOperator end) {
        return IntStream.concat(IntStream.range(0, rank()).map(begin), IntStream.range(0, rank()).map(end)).asLongStream()
                .toArray();
    }

    /** The input with the padding of mode Same around it, or a part of it. */
    private String padded(OnnxGraph graph, String tensor, double fill) {
        String size = graph.shape(tensor, 2);
        String steps = graph.ints(longs(stride));
        String up = graph.ints(Arrays.stream(stride).mapToLong(s -> s - 1).toArray());
        String outputs = graph.add("Div", graph.add("Add", size, up), steps);
        String reach = graph.add("Mul", graph.add("Sub", outputs, graph.ints(1)), steps);
        String extents = graph.ints(IntStream.range(0, rank()).mapToLong(this::extent).toArray());
        String sum = graph.add("Sub", graph.add("Add", reach, extents), size);
        String begin = graph.add("Div", sum, graph.ints(2));
        String zero = graph.ints(0);
        String none = graph.ints(0, 0);
        String pads = graph.concat(0, List.of(none, graph.add("Max", begin, zero),
                none, graph.add("Max", graph.add("Sub", sum, begin), zero)));
        String cut = IntStream.range(0, rank()).noneMatch(i -> extent(i) < stride[i] - 1) ? tensor
                : graph.add("Slice", List.of(tensor, graph.add("Max", graph.add("Neg", begin), zero), size,
                        graph.ints(LongStream.range(2, rank() + 2).toArray())));
        return graph.add("Pad", List.of(cut, pads, graph.number(fill)));
    }

    /**
     * The mask [batch, time] of what a layer of sequences computes from an input with one: the largest value of each window. DL4J
     * pads a mask as in mode Same where the layer is causal.
     */
    Flow reduced(OnnxGraph graph, Flow output, String mask) {
        if ((mode == ConvolutionMode.Same || mode == ConvolutionMode.Causal) && unstrided()) {
            return output.masked(mask);
        }
        Window own = mode == ConvolutionMode.Causal ? new Window(kernel, stride, padding, dilation, ConvolutionMode.Same) : this;
        String pooled = own.add(graph, "MaxPool", List.of(graph.unsqueeze(mask, 1)), -Float.MAX_VALUE);
        return output.masked(graph.squeeze(pooled, 1));
    }

    static long[] longs(int... values) {
        return Arrays.stream(values).asLongStream().toArray();
    }
}
