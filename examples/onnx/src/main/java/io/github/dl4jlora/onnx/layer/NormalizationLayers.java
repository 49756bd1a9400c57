package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.List;

/** Normalisation of images: by statistics of the training, and by neighbouring channels. */
final class NormalizationLayers {

    private NormalizationLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(BatchNormalization.class, NormalizationLayers::batch);
        exports.layer(LocalResponseNormalization.class, NormalizationLayers::neighbours);
    }

    private static Flow batch(BatchNormalization layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        InputType type = input.type();
        int rank = Sizes.rank(type);
        boolean last = (rank == 3 || rank == 4) && layer.getCnn2DFormat() == CNN2DFormat.NHWC;
        if (rank == 3 && !last) {
            throw here.refusal("DL4J normalises sequences only with their values last, and dataFormat(CNN2DFormat.NHWC)",
                    "Use RNNFormat.NWC and that format");
        }
        if (rank == 5) {
            throw here.refusal("DL4J itself cannot normalise volumes", "Take it out of the network");
        }
        long size = layer.getNOut();
        String scale;
        String shift;
        if (layer.isLockGammaBeta()) {
            // DL4J leaves both out unless both differ from what they are by default.
            boolean both = layer.getGamma() != 1 && layer.getBeta() != 0;
            scale = constant(graph, here.name() + "/gamma", size, both ? layer.getGamma() : 1);
            shift = constant(graph, here.name() + "/beta", size, both ? layer.getBeta() : 0);
        } else {
            scale = here.row("gamma");
            shift = here.row("beta");
        }
        String variance = here.has("var") ? here.row("var") : graph.weight(
                here.weight("log10stdev").mapped("/var", new long[]{size}, log -> Transforms.pow(
                        Nd4j.valueArrayOf(log.shape(), 10.0, log.dataType()), log.mul(2)).reshape(size)));
        String y = graph.add("BatchNormalization", List.of(Channels.first(graph, input.name(), rank, last), scale, shift,
                here.row("mean"), variance), Attribute.of("epsilon", layer.getEps()));
        return input.to(Channels.back(graph, y, rank, last), here.output());
    }

    private static String constant(OnnxGraph graph, String name, long size, double value) {
        return graph.initializer(Initializer.floats(name, new long[]{size}, () -> Nd4j.valueArrayOf(size, value)));
    }

    /** (k + alpha · sum of squares of n / 2 channels at both sides)^-beta; ONNX divides alpha by the number of channels. */
    private static Flow neighbours(LocalResponseNormalization layer, Flow input, Place here) {
        boolean last = layer.getDataFormat() == CNN2DFormat.NHWC;
        int window = 2 * ((int) layer.getN() / 2) + 1;
        String y = here.graph().add("LRN", Channels.first(here.graph(), input.name(), 4, last), Attribute.of("size", window),
                Attribute.of("alpha", layer.getAlpha() * window), Attribute.of("beta", layer.getBeta()),
                Attribute.of("bias", layer.getK()));
        return input.to(Channels.back(here.graph(), y, 4, last), here.output());
    }
}
