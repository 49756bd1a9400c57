package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Pooling1D;
import org.deeplearning4j.nn.conf.layers.Pooling2D;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;

/** Pooling over windows and over whole dimensions. */
final class PoolingLayers {

    private static final String OTHER = "Pool with MAX, AVG or PNORM";

    private PoolingLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(SubsamplingLayer.class, PoolingLayers::image);
        exports.layer(Pooling2D.class, PoolingLayers::image);
        exports.layer(Subsampling1DLayer.class, PoolingLayers::sequence);
        exports.layer(Pooling1D.class, PoolingLayers::sequence);
        exports.layer(Subsampling3DLayer.class, PoolingLayers::volume);
        exports.layer(GlobalPoolingLayer.class, PoolingLayers::global);
    }

    private static Window window(SubsamplingLayer layer) {
        return new Window(layer.getKernelSize(), layer.getStride(), layer.getPadding(), layer.getDilation(),
                layer.getConvolutionMode());
    }

    private static Flow image(SubsamplingLayer layer, Flow input, Place here) {
        boolean last = layer.getCnn2dDataFormat() == CNN2DFormat.NHWC;
        if (input.type() instanceof InputType.InputTypeConvolutional image && layer.getConvolutionMode() != ConvolutionMode.Same
                && !(fits(layer, 0, image.getHeight()) && fits(layer, 1, image.getWidth()))) {
            throw new NoShapeException(here.name(), "its window is larger than its image of " + image.getHeight() + " by "
                    + image.getWidth() + ", beyond which DL4J reads",
                    "Give larger images with OnnxExport.inputTypes(...), or use a smaller kernel");
        }
        String x = Channels.first(here.graph(), input.name(), 4, last);
        return input.to(Channels.back(here.graph(), pooled(layer, window(layer), x, here), 4, last), here.output());
    }

    private static boolean fits(SubsamplingLayer layer, int i, long size) {
        return window(layer).extent(i) <= size + 2L * layer.getPadding()[i];
    }

    private static Flow sequence(SubsamplingLayer layer, Flow input, Place here) {
        boolean last = layer.getCnn2dDataFormat() == CNN2DFormat.NHWC;
        Window window = window(layer).first();
        if (layer.getPadding()[0] > 0) {
            throw here.refusal("DL4J pads the sequence in a dimension that it does not have, too", "Use ConvolutionMode.Same");
        }
        String x = Channels.first(here.graph(), input.name(), 3, last);
        Flow output = input.to(Channels.back(here.graph(), pooled(layer, window, x, here), 3, last), here.output());
        return output.mask() == null ? output : window.reduced(here.graph(), output, output.mask());
    }

    private static Flow volume(Subsampling3DLayer layer, Flow input, Place here) {
        boolean last = layer.getDataFormat() == Convolution3D.DataFormat.NDHWC;
        Window window = new Window(layer.getKernelSize(), layer.getStride(), layer.getPadding(), layer.getDilation(),
                layer.getConvolutionMode());
        String x = Channels.first(here.graph(), input.name(), 5, last);
        String y = layer.getPoolingType() == PoolingType.MAX ? largest(here.graph(), window, x)
                : mean(window, x, false, here);
        return input.to(Channels.back(here.graph(), y, 5, last), here.output());
    }

    private static String pooled(SubsamplingLayer layer, Window window, String x, Place here) {
        return switch (layer.getPoolingType()) {
            case MAX -> largest(here.graph(), window, x);
            case AVG -> mean(window, x, layer.isAvgPoolIncludePadInDivisor(), here);
            case PNORM -> norm(here.graph(), x, layer.getPnorm(), powers -> sum(here.graph(), window, powers));
            default -> throw here.refusal("DL4J itself cannot pool windows with " + layer.getPoolingType(), OTHER);
        };
    }

    /** The root of a sum of powers. */
    private static String norm(OnnxGraph graph, String x, int power, UnaryOperator<String> sum) {
        String powers = graph.add("Pow", graph.add("Abs", x), graph.number(power));
        return graph.add("Pow", sum.apply(powers), graph.number(1.0 / power));
    }

    private static String largest(OnnxGraph graph, Window window, String x) {
        return window.add(graph, "MaxPool", List.of(x), -Float.MAX_VALUE);
    }

    /**
     * ONNX Runtime 1.22 computes something else if padding counts and is not the same everywhere. A window on nothing but
     * padding has a mean of 0.
     *
     * @param padding whether padding counts as values of zero
     */
    private static String mean(Window window, String x, boolean padding, Place here) {
        OnnxGraph graph = here.graph();
        if (!padding && window.mayLeaveInput()) {
            throw here.refusal("its padding is as wide as its window, and DL4J's mean of nothing but padding is not a number",
                    "Use a smaller padding");
        }
        if (!window.open() && !window.dilated() && !window.wide() && !(padding && window.uneven())) {
            return window.add(graph, "AveragePool", List.of(x), 0, Attribute.of("count_include_pad", padding ? 1 : 0));
        }
        return graph.add("Div", sum(graph, window, x), padding
                ? graph.number(Arrays.stream(window.kernel()).reduce(1, (a, b) -> a * b)) : count(graph, window, x));
    }

    /** How many values of the input each window holds, or 1 for a window with gaps that holds none. */
    private static String count(OnnxGraph graph, Window window, String x) {
        String count = sum(graph, window, graph.add("Expand", graph.number(1), graph.add("Shape", x)));
        return window.dilated() ? graph.add("Max", count, graph.number(1)) : count;
    }

    /** Sums of windows: a convolution of each channel with ones. */
    private static String sum(OnnxGraph graph, Window window, String x) {
        int rank = window.rank();
        String sizes = graph.shape(x, 2);
        String channels = graph.reshape(x, graph.ints(-1, 1), sizes);
        long[] shape = LongStream.concat(LongStream.of(1, 1), Arrays.stream(window.kernel()).asLongStream()).toArray();
        String ones = graph.initializer(Initializer.floats("ones" + Arrays.toString(window.kernel()), shape,
                () -> Nd4j.ones(shape)));
        String sums = window.add(graph, "Conv", List.of(channels, ones), 0);
        return graph.reshape(sums, graph.shape(x, 0, 2), graph.shape(sums, 2));
    }

    /** DL4J pools the dimensions behind the second, whatever the format is, unless the layer names others. */
    private static Flow global(GlobalPoolingLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        int rank = input.type().getShape(true).length;
        int[] named = layer.getPoolingDimensions();
        long[] axes = named == null || input.mask() != null ? LongStream.range(2, rank).toArray() : Window.longs(named);
        String x = input.name();
        String mask = input.mask();
        if (mask != null) {
            if (rank == 5 || Sizes.areFeaturesLast(input.type())) {
                throw here.refusal("DL4J pools with masks only where channels come before sizes or time",
                        "Put the channels first, or take the mask away before this layer");
            }
            mask = rank == 3 ? graph.unsqueeze(mask, 1) : mask;
            x = layer.getPoolingType() == PoolingType.MAX ? unmasked(graph, x, mask) : graph.add("Mul", x, mask);
        }
        String y = switch (layer.getPoolingType()) {
            case MAX -> graph.reduce("ReduceMax", x, false, axes);
            case SUM -> graph.reduce("ReduceSum", x, false, axes);
            case AVG -> mask == null ? graph.reduce("ReduceMean", x, false, axes)
                    : graph.add("Div", graph.reduce("ReduceSum", x, false, axes), count(graph, mask, rank));
            case PNORM -> norm(graph, x, layer.getPnorm(), powers -> graph.reduce("ReduceSum", powers, false, axes));
        };
        if (layer.isCollapseDimensions()) {
            long[] sizes = input.type().getShape(true);
            long[] left = LongStream.range(1, rank).filter(i -> LongStream.of(axes).noneMatch(axis -> axis == i))
                    .map(i -> sizes[(int) i]).toArray();
            return new Flow(y, left.length == 1 ? InputType.feedForward(left[0]) : here.output(), null);
        }
        if (Sizes.areFeaturesLast(input.type())) {
            throw here.refusal("DL4J itself cannot pool without collapsing dimensions where channels are last",
                    "Collapse them, or put the channels first");
        }
        InputType type = input.type() instanceof InputType.InputTypeRecurrent recurrent
                ? InputType.recurrent(recurrent.getSize(), 1) : here.output();
        return new Flow(graph.unsqueeze(y, LongStream.range(2, rank).toArray()), type, null);
    }

    /** What the mask leaves out becomes negative infinity; masks between 0 and 1 shift values as in DL4J. */
    private static String unmasked(OnnxGraph graph, String x, String mask) {
        String inverse = graph.add("Sub", graph.number(1), mask);
        String infinity = graph.add("Log", graph.number(0));
        String out = graph.add("Equal", mask, graph.number(0));
        return graph.add("Add", x, graph.add("Where", List.of(out, infinity, inverse)));
    }

    private static String count(OnnxGraph graph, String mask, int rank) {
        long[] all = LongStream.range(1, rank).toArray();
        return graph.unsqueeze(graph.reduce("ReduceSum", mask, false, all), 1);
    }
}
