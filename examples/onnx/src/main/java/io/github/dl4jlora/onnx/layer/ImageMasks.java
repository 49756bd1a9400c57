package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.ConvolutionMode;

import java.util.Arrays;
import java.util.List;

/** Masks of images: [batch, channels or 1, height or 1, width or 1], whatever the format of the images. */
final class ImageMasks {

    private ImageMasks() {
    }

    /**
     * The mask behind a convolution or pooling, as DL4J's {@code ConvolutionUtils.cnn2dMaskReduction} gives it: the largest value
     * of each window, in those dimensions that the mask does not have of size 1.
     *
     * @param x what flowed in, with channels first
     */
    static Flow reduced(Flow output, String x, Window window, Place here) {
        String mask = output.mask();
        if (mask == null || window.mode() == ConvolutionMode.Same && Arrays.stream(window.stride()).allMatch(s -> s == 1)) {
            return output;
        }
        OnnxGraph graph = here.graph();
        String sizes = graph.add("Shape", x, Attribute.of("start", 2));
        String whole = graph.add("Expand", mask, graph.concat(0, List.of(graph.ints(1, 1), sizes)));
        String pooled = window.add(graph, "MaxPool", List.of(whole), -Float.MAX_VALUE);
        String own = graph.add("Shape", mask, Attribute.of("start", 2));
        String ends = graph.add("Where", List.of(graph.add("Equal", own, graph.ints(1)), graph.ints(1),
                graph.ints(Long.MAX_VALUE)));
        return output.masked(graph.add("Slice", List.of(pooled, graph.ints(0, 0), ends, graph.ints(2, 3))));
    }
}
