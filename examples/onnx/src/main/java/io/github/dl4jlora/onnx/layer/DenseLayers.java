package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;

/** Layers that are a product with W [inputs, outputs]. */
final class DenseLayers {

    private DenseLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(DenseLayer.class, DenseLayers::dense);
        exports.layer(OutputLayer.class, DenseLayers::dense);
    }

    private static Flow dense(FeedForwardLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        String z = graph.add("MatMul", input.name(), graph.weight(here.weight("W").withAxis(1)));
        if (here.has("b")) {
            z = graph.add("Add", z, graph.weight(here.weight("b").reshaped(layer.getNOut())));
        }
        return input.to(Activations.add(layer.getActivationFn(), z, -1, here), here.output());
    }
}
