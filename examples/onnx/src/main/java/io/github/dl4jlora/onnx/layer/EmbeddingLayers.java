package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;

/** Rows of W [ids, outputs], by id. */
final class EmbeddingLayers {

    private EmbeddingLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(EmbeddingLayer.class, EmbeddingLayers::embedding);
        exports.layer(EmbeddingSequenceLayer.class, EmbeddingLayers::sequence);
    }

    /** From [rows, 1] to [rows, outputs]. */
    private static Flow embedding(EmbeddingLayer layer, Flow input, Place here) {
        String rows = Activations.add(layer.getActivationFn(), rows(input, here, -1), -1, here);
        return input.to(Masks.apply(rows, input.mask(), here), here.output());
    }

    /** From [batch, time] or [batch, 1, time] to a sequence. */
    private static Flow sequence(EmbeddingSequenceLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        String steps = Sequences.unitsLast(rows(input, here, 0, -1), layer.getOutputFormat(), graph);
        String activated = Activations.add(layer.getActivationFn(), steps, -1, here);
        // DL4J's type has the length that the layer was configured with, if any.
        long length = input.type() instanceof InputType.InputTypeRecurrent ids ? ids.getTimeSeriesLength()
                : input.type().arrayElementsPerExample();
        return input.to(input.mask() == null ? activated
                : Sequences.masked(activated, input.mask(), layer.getOutputFormat(), graph),
                InputType.recurrent(layer.getNOut(), length, layer.getOutputFormat()));
    }

    private static String rows(Flow input, Place here, long... shape) {
        OnnxGraph graph = here.graph();
        String ids = input.integer() ? input.name() : graph.cast(input.name(), DataType.INT64);
        String rows = graph.add("Gather", graph.weight(here.weight("W").withAxis(0)), graph.reshape(ids, shape));
        return here.has("b") ? graph.add("Add", rows, here.row("b")) : rows;
    }
}
