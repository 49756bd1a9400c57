package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.LocallyConnected2D;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;

/**
 * Convolutions with weights of their own at each place: windows, taken by a convolution with ones, times W
 * [places, window, outputs].
 */
final class LocallyConnectedLayers {

    private LocallyConnectedLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(LocallyConnected1D.class, LocallyConnectedLayers::sequence);
        exports.layer(LocallyConnected2D.class, LocallyConnectedLayers::image);
    }

    private static Flow sequence(LocallyConnected1D layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        Window window = new Window(new int[]{layer.getKernel()}, new int[]{layer.getStride()}, new int[]{layer.getPadding()},
                new int[]{layer.getDilation()}, layer.getCm());
        long places = here.weight("W").shape()[0];
        String all = windows(input.name(), layer.getNIn(), window, here);
        // Behind an embedding DL4J knows no length, makes weights for one place, and takes the first one alone.
        String windows = graph.transpose(graph.slice(all, 2, 0, places), 2, 0, 1);
        String y = graph.transpose(graph.add("MatMul", windows, graph.weight(here.weight("W").withAxis(2))), 1, 2, 0);
        if (layer.isHasBias()) {
            y = graph.add("Add", y, graph.weight(here.weight("b").reshaped(layer.getNOut(), 1)));
        }
        return input.to(Activations.add(layer.getActivation().getActivationFunction(), y, -1, here),
                Sizes.with(here.output(), 2, places));
    }

    private static Flow image(LocallyConnected2D layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        boolean last = layer.getFormat() == CNN2DFormat.NHWC;
        Window window = new Window(layer.getKernel(), layer.getStride(), layer.getPadding(), layer.getDilation(), layer.getCm());
        String windows = windows(Channels.first(graph, input.name(), 4, last), layer.getNIn(), window, here);
        long[] shape = here.weight("W").shape();
        // DL4J counts places down the columns on their way into the product, and along the rows on their way out of it.
        String places = graph.reshape(graph.transpose(windows, 3, 2, 0, 1), shape[0], -1, shape[1]);
        String product = graph.add("MatMul", places, graph.weight(here.weight("W").withAxis(2)));
        String z = graph.reshape(product, layer.getOutputSize()[0], layer.getOutputSize()[1], -1, shape[2]);
        String y = graph.transpose(z, last ? new int[]{2, 0, 1, 3} : new int[]{2, 3, 0, 1});
        if (layer.isHasBias()) {
            long outputs = layer.getNOut();
            y = graph.add("Add", y, graph.weight(last ? here.weight("b").reshaped(outputs)
                    : here.weight("b").reshaped(outputs, 1, 1)));
        }
        return input.to(Activations.add(layer.getActivation().getActivationFunction(), y, -1, here), here.output());
    }

    /** Windows [batch, channels · window, places…]. */
    private static String windows(String x, long channels, Window window, Place here) {
        if (window.dilated()) {
            throw here.refusal("DL4J ignores the dilation of locally connected layers, except for the size of their output",
                    "Use a dilation of 1");
        }
        long size = channels;
        for (int side : window.kernel()) {
            size *= side;
        }
        long[] shape = window.rank() == 1 ? new long[]{size, channels, window.kernel()[0]}
                : new long[]{size, channels, window.kernel()[0], window.kernel()[1]};
        long count = size;
        String ones = here.graph().initializer(Initializer.floats(here.name() + "/windows", shape,
                () -> Nd4j.eye(count).reshape('c', shape)));
        Window own = window.mode() == ConvolutionMode.Causal
                ? new Window(window.kernel(), window.stride(), window.padding(), window.dilation(), ConvolutionMode.Truncate)
                : window;
        return own.add(here.graph(), "Conv", List.of(x, ones), 0);
    }
}
