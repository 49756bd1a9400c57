package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Convolutions, plain and transposed. Masks of images have one value for each image, and pass. DL4J's softmax of a convolution
 * runs over the last dimension of its output, whatever that is; so it does here.
 */
final class ConvolutionLayers {

    private ConvolutionLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(ConvolutionLayer.class, ConvolutionLayers::convolution);
        exports.layer(Convolution2D.class, ConvolutionLayers::convolution);
        exports.layer(Convolution1DLayer.class, ConvolutionLayers::sequence);
        exports.layer(Convolution1D.class, ConvolutionLayers::sequence);
        exports.layer(Convolution3D.class, ConvolutionLayers::volume);
        exports.layer(DepthwiseConvolution2D.class, ConvolutionLayers::depthwise);
        exports.layer(SeparableConvolution2D.class, ConvolutionLayers::separable);
        exports.layer(Deconvolution2D.class, ConvolutionLayers::transposed);
        exports.layer(Deconvolution3D.class, ConvolutionLayers::transposedVolume);
    }

    private static Window window(ConvolutionLayer layer) {
        return new Window(layer.getKernelSize(), layer.getStride(), layer.getPadding(), layer.getDilation(),
                layer.getConvolutionMode());
    }

    private static boolean last(ConvolutionLayer layer) {
        return layer.getCnn2dDataFormat() == CNN2DFormat.NHWC;
    }

    private static Flow convolution(ConvolutionLayer layer, Flow input, Place here) {
        boolean last = last(layer);
        String x = Channels.first(here.graph(), input.name(), 4, last);
        return activated(layer, input, convolved(x, window(layer), here.weight("W").withAxis(0), "b", 1, here), last, here);
    }

    private static Flow sequence(Convolution1DLayer layer, Flow input, Place here) {
        boolean last = layer.getRnnDataFormat() == RNNFormat.NWC;
        OnnxGraph graph = here.graph();
        Window window = window(layer).first();
        Weight weight = here.weight("W");
        long[] shape = weight.shape();
        // DL4J reads the values of [outputs, inputs, kernel, 1] as if they were [kernel, inputs, outputs].
        Weight read = weight.mapped("", new long[]{shape[0], shape[1], shape[2]},
                w -> w.reshape(w.ordering(), w.size(2), w.size(1), w.size(0)).permute(2, 1, 0)).withAxis(0);
        String x = Channels.first(graph, input.name(), 3, last);
        Flow output = activated(layer, input, convolved(x, window, read, "b", 1, here), last, here);
        return output.mask() == null ? output : window.reduced(graph, output, output.mask());
    }

    private static Flow volume(Convolution3D layer, Flow input, Place here) {
        noMask(input, here);
        boolean last = layer.getDataFormat() == Convolution3D.DataFormat.NDHWC;
        String x = Channels.first(here.graph(), input.name(), 5, last);
        return activated(layer, input, convolved(x, window(layer), here.weight("W").withAxis(0), "b", 1, here), last, here);
    }

    private static Flow depthwise(DepthwiseConvolution2D layer, Flow input, Place here) {
        boolean last = last(layer);
        long[] shape = here.weight("W").shape();
        long channels = shape[2];
        Weight weight = here.weight("W").permuted(2, 3, 0, 1).reshaped(channels * shape[3], 1, shape[0], shape[1]).withAxis(0);
        String x = Channels.first(here.graph(), input.name(), 4, last);
        return activated(layer, input, convolved(x, window(layer), weight, "b", channels, here), last, here);
    }

    private static Flow separable(SeparableConvolution2D layer, Flow input, Place here) {
        boolean last = last(layer);
        long[] shape = here.weight("W").shape();
        long channels = shape[1];
        Weight depth = here.weight("W").permuted(1, 0, 2, 3).reshaped(channels * shape[0], 1, shape[2], shape[3]).withAxis(0);
        String x = Channels.first(here.graph(), input.name(), 4, last);
        String each = convolved(x, window(layer), depth, "", channels, here);
        Window point = new Window(new int[]{1, 1}, new int[]{1, 1}, new int[2], new int[]{1, 1}, ConvolutionMode.Truncate);
        return activated(layer, input, convolved(each, point, here.weight("pW").withAxis(0), "b", 1, here), last, here);
    }

    private static Flow transposed(Deconvolution2D layer, Flow input, Place here) {
        boolean last = last(layer);
        String x = Channels.first(here.graph(), input.name(), 4, last);
        return activated(layer, input, deconvolved(x, layer, here.weight("W").withAxis(1), here), last, here);
    }

    private static Flow transposedVolume(Deconvolution3D layer, Flow input, Place here) {
        noMask(input, here);
        boolean last = layer.getDataFormat() == Convolution3D.DataFormat.NDHWC;
        Weight weight = here.weight("W").permuted(4, 3, 0, 1, 2).withAxis(1);
        String x = Channels.first(here.graph(), input.name(), 5, last);
        return activated(layer, input, deconvolved(x, layer, weight, here), last, here);
    }

    private static String convolved(String x, Window window, Weight weight, String bias, long groups, Place here) {
        List<String> operands = new ArrayList<>(List.of(x, here.graph().weight(weight)));
        if (here.has(bias)) {
            operands.add(here.graph().weight(here.weight(bias).reshaped(weight.shape()[0])));
        }
        return window.add(here.graph(), "Conv", operands, 0, Attribute.of("group", groups));
    }

    /** In mode Same the output is stride times the size; what is missing at the ends, or too much, is padded or cut. */
    private static String deconvolved(String x, ConvolutionLayer layer, Weight weight, Place here) {
        OnnxGraph graph = here.graph();
        Window window = window(layer);
        int rank = window.rank();
        long[] pads = new long[2 * rank];
        long[] around = new long[2 * (rank + 2)];
        boolean gaps = false;
        for (int i = 0; i < rank; i++) {
            int over = window.extent(i) - window.stride()[i];
            boolean same = window.mode() == ConvolutionMode.Same;
            pads[i] = same ? over / 2 : window.padding()[i];
            pads[rank + i] = same ? over - over / 2 : window.padding()[i];
            if (over < 0 && same) {
                around[2 + i] = -pads[i];
                around[rank + 4 + i] = -pads[rank + i];
                pads[i] = 0;
                pads[rank + i] = 0;
                gaps = true;
            }
        }
        List<String> operands = new ArrayList<>(List.of(x, graph.weight(weight)));
        String bias = here.has("b") ? graph.weight(here.weight("b").reshaped(weight.shape()[1])) : "";
        if (!bias.isEmpty() && !gaps) {
            operands.add(bias);
        }
        String y = graph.add("ConvTranspose", operands, Attribute.of("kernel_shape", Window.longs(window.kernel())),
                Attribute.of("strides", Window.longs(window.stride())),
                Attribute.of("dilations", Window.longs(window.dilation())),
                Attribute.of("pads", pads));
        if (!gaps) {
            return y;
        }
        String whole = graph.add("Pad", List.of(y, graph.ints(around), graph.number(-0.0)));
        long[] shape = new long[rank + 1];
        Arrays.fill(shape, 1);
        shape[0] = weight.shape()[1];
        return bias.isEmpty() ? whole : graph.add("Add", whole, graph.reshape(bias, shape));
    }

    private static Flow activated(ConvolutionLayer layer, Flow input, String z, boolean last, Place here) {
        String y = Channels.back(here.graph(), z, rank(layer), last);
        return input.to(Activations.add(layer.getActivationFn(), y, -1, here), here.output());
    }

    private static int rank(ConvolutionLayer layer) {
        boolean volume = layer instanceof Convolution3D || layer instanceof Deconvolution3D;
        return layer instanceof Convolution1DLayer ? 3 : volume ? 5 : 4;
    }

    private static void noMask(Flow input, Place here) {
        if (input.mask() != null) {
            throw here.refusal("DL4J has no masks for volumes", "Take the mask away before this layer");
        }
    }
}
