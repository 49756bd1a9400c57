package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.SpaceToBatchLayer;
import org.deeplearning4j.nn.conf.layers.SpaceToDepthLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling1D;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.Upsampling3D;
import org.deeplearning4j.nn.conf.layers.ZeroPadding1DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPadding3DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping1D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping2D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping3D;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;

/** What changes the sizes of images, sequences and volumes. */
final class ImageLayers {

    private ImageLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(Upsampling1D.class, (layer, input, here) ->
                larger(input, new int[]{layer.getSize()[0]}, false, longer(input, layer.getSize()[0], 0, here)));
        exports.layer(Upsampling2D.class, (layer, input, here) ->
                larger(input, layer.getSize(), layer.getFormat() == CNN2DFormat.NHWC, here));
        exports.layer(Upsampling3D.class, (layer, input, here) ->
                larger(input, layer.getSize(), layer.getDataFormat() == Convolution3D.DataFormat.NDHWC, here));
        exports.layer(Cropping1D.class, (layer, input, here) -> cropped(input, layer.getCropping(), 2,
                longer(input, 1, -Arrays.stream(layer.getCropping()).sum(), here)));
        exports.layer(Cropping2D.class, (layer, input, here) ->
                cropped(input, layer.getCropping(), layer.getDataFormat() == CNN2DFormat.NHWC ? 1 : 2, here));
        exports.layer(Cropping3D.class, (layer, input, here) -> cropped(input, layer.getCropping(), 2, here));
        exports.layer(ZeroPadding1DLayer.class, (layer, input, here) -> padded(input, layer.getPadding(), 2, 3,
                longer(input, 1, Arrays.stream(layer.getPadding()).sum(), here)));
        exports.layer(ZeroPaddingLayer.class, (layer, input, here) ->
                padded(input, layer.getPadding(), layer.getDataFormat() == CNN2DFormat.NHWC ? 1 : 2, 4, here));
        exports.layer(ZeroPadding3DLayer.class, (layer, input, here) -> padded(input, layer.getPadding(), 2, 5, here));
        exports.layer(SpaceToDepthLayer.class, ImageLayers::depth);
        exports.layer(SpaceToBatchLayer.class, ImageLayers::batch);
    }

    /**
     * The place of a layer that changes the last dimension of sequences, whatever their format is: DL4J's own type has the format
     * NCW, and changes a length that is not known.
     */
    private static Place longer(Flow input, int factor, int more, Place here) {
        long[] sizes = Sizes.of(input.type());
        long size = sizes[sizes.length - 1];
        return here.within("", Sizes.with(input.type(), sizes.length - 1, size > 0 ? size * factor + more : size));
    }

    private static Flow larger(Flow input, int[] size, boolean last, Place here) {
        OnnxGraph graph = here.graph();
        float[] scales = new float[size.length + 2];
        Arrays.fill(scales, 1);
        for (int i = 0; i < size.length; i++) {
            scales[i + (last ? 1 : 2)] = size[i];
        }
        String factors = graph.initializer(Initializer.floats(here.name() + "/scales", new long[]{scales.length},
                () -> Nd4j.createFromArray(scales)));
        return input.to(graph.add("Resize", List.of(input.name(), "", factors), Attribute.of("mode", "nearest"),
                Attribute.of("coordinate_transformation_mode", "asymmetric"), Attribute.of("nearest_mode", "floor")),
                here.output());
    }

    /** @param cropping of each dimension at its begin and its end, from dimension {@code first} on */
    private static Flow cropped(Flow input, int[] cropping, int first, Place here) {
        int count = cropping.length / 2;
        long[] starts = new long[count];
        long[] ends = new long[count];
        long[] axes = new long[count];
        for (int i = 0; i < count; i++) {
            starts[i] = cropping[2 * i];
            ends[i] = cropping[2 * i + 1] == 0 ? Long.MAX_VALUE : -cropping[2 * i + 1];
            axes[i] = first + i;
        }
        OnnxGraph graph = here.graph();
        return input.to(graph.add("Slice", List.of(input.name(), graph.ints(starts), graph.ints(ends), graph.ints(axes))),
                here.output());
    }

    /** With -0, since ONNX Runtime makes zeros part of a pooling behind them, which then pads with what it leaves out. */
    private static Flow padded(Flow input, int[] padding, int first, int rank, Place here) {
        long[] pads = new long[2 * rank];
        for (int i = 0; i < padding.length / 2; i++) {
            pads[first + i] = padding[2 * i];
            pads[rank + first + i] = padding[2 * i + 1];
        }
        return input.to(here.graph().add("Pad", List.of(input.name(), here.graph().ints(pads), here.graph().number(-0.0))),
                here.output());
    }

    private static Flow depth(SpaceToDepthLayer layer, Flow input, Place here) {
        boolean last = layer.getDataFormat() == CNN2DFormat.NHWC;
        OnnxGraph graph = here.graph();
        String y = graph.add("SpaceToDepth", Channels.first(graph, input.name(), 4, last),
                Attribute.of("blocksize", layer.getBlockSize()));
        return input.to(Channels.back(graph, y, 4, last), here.output());
    }

    /** Blocks become examples: all examples of the first place in a block, then all of the second. */
    private static Flow batch(SpaceToBatchLayer layer, Flow input, Place here) {
        if (input.mask() != null) {
            throw here.refusal("its examples are parts of images, which have no mask", "Take the mask away before this layer");
        }
        boolean last = layer.getFormat() == CNN2DFormat.NHWC;
        OnnxGraph graph = here.graph();
        int[][] p = layer.getPadding();
        int[] block = layer.getBlocks();
        String x = graph.add("Pad", Channels.first(graph, input.name(), 4, last),
                graph.ints(0, 0, p[0][0], p[1][0], 0, 0, p[0][1], p[1][1]));
        String rows = graph.ints(block[0]);
        String columns = graph.ints(block[1]);
        String front = graph.shape(x, 0, 2);
        String height = graph.add("Div", graph.size(x, 2), rows);
        String width = graph.add("Div", graph.size(x, 3), columns);
        String blocks = graph.reshape(x, front, height, rows, width, columns);
        String y = graph.reshape(graph.transpose(blocks, 3, 5, 0, 1, 2, 4), graph.ints(-1), graph.size(x, 1), height, width);
        return input.to(Channels.back(graph, y, 4, last), here.output());
    }
}
