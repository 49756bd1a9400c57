package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.AbstractLSTM;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Layers with a state. ONNX's operators LSTM and RNN are used where they compute the same; a loop (Scan) where they do not: for
 * other activations, and for the masks of simple layers, which set the state to zero.
 */
final class RecurrentLayers {

    private RecurrentLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(LSTM.class, (layer, input, here) -> lstm(layer, input, null, here));
        exports.layer(GravesLSTM.class, (layer, input, here) -> lstm(layer, input, null, here));
        exports.layer(GravesBidirectionalLSTM.class, RecurrentLayers::bothWays);
        exports.layer(SimpleRnn.class, RecurrentLayers::simple);
    }

    /** Writes a layer whose mask a wrapper has set. On their own, DL4J's LSTM and GravesLSTM ignore masks. */
    static Flow masked(BaseRecurrentLayer layer, Flow input, Place here) {
        return layer.getClass() == LSTM.class || layer.getClass() == GravesLSTM.class
                ? lstm((AbstractLSTM) layer, input, input.mask(), here) : here.exports().layer(layer, input, here);
    }

    private static Flow lstm(AbstractLSTM layer, Flow input, @Nullable String mask, Place here) {
        LstmCell cell = new LstmCell("W", "RW", "b", layer.getActivationFn(), layer.getGateActivationFn(),
                layer instanceof GravesLSTM, layer.getNOut());
        return around(layer, input, here, steps -> cell.add(steps, mask, false, here));
    }

    private static Flow bothWays(GravesBidirectionalLSTM layer, Flow input, Place here) {
        LstmCell there = new LstmCell("WF", "RWF", "bF", layer.getActivationFn(), layer.getGateActivationFn(), true,
                layer.getNOut());
        LstmCell back = new LstmCell("WB", "RWB", "bB", layer.getActivationFn(), layer.getGateActivationFn(), true,
                layer.getNOut());
        return around(layer, input, here, steps -> here.graph().add("Add", there.add(steps, input.mask(), false, here),
                back.add(steps, input.mask(), true, here)));
    }

    private static Flow around(BaseRecurrentLayer layer, Flow input, Place here, UnaryOperator<String> cell) {
        RNNFormat format = layer.getRnnDataFormat();
        String steps = cell.apply(Sequences.timeFirst(input.name(), format, here.graph()));
        return input.to(Sequences.batchFirst(steps, format, here.graph()), here.output());
    }

    private static Flow simple(SimpleRnn layer, Flow input, Place here) {
        if (layer.hasLayerNorm()) {
            throw here.refusal("DL4J itself cannot compute a SimpleRnn with layer normalisation",
                    "Leave layer normalisation out");
        }
        boolean operator = input.mask() == null && RecurrentActivations.known(layer.getActivationFn());
        return around(layer, input, here, steps -> operator ? simpleOperator(layer, steps, here)
                : simpleLoop(layer, steps, input.mask(), here));
    }

    private static String simpleOperator(SimpleRnn layer, String steps, Place here) {
        OnnxGraph graph = here.graph();
        long units = layer.getNOut();
        String w = rows(here.weight("W"), graph);
        String r = rows(here.weight("RW"), graph);
        String b = graph.weight(here.weight("b").mapped("/both", new long[]{1, 2 * units},
                bias -> Nd4j.concat(0, bias.reshape(units), Nd4j.zeros(bias.dataType(), units))));
        return graph.squeeze(graph.add("RNN", List.of(steps, w, r, b),
                RecurrentActivations.attributes(units, List.of(layer.getActivationFn()))), 1);
    }

    private static String rows(Weight columns, OnnxGraph graph) {
        long[] shape = {1, columns.shape()[1], columns.shape()[0]};
        return graph.weight(columns.mapped("/rows", shape, INDArray::transpose).withAxis(1));
    }

    private static String simpleLoop(SimpleRnn layer, String steps, @Nullable String mask, Place here) {
        OnnxGraph graph = here.graph();
        long units = layer.getNOut();
        String r = graph.weight(here.weight("RW").withAxis(1));
        String biased = here.product(steps, "W", "b");
        List<String> sequences = mask == null ? List.of(biased) : List.of(biased, Sequences.maskTimeFirst(mask, graph));
        return graph.scan(List.of(zeros(steps, units, graph)), sequences, in -> {
            String z = graph.add("Add", in.get(1), graph.add("MatMul", in.get(0), r));
            String h = Activations.gate(layer.getActivationFn(), z, -1, here);
            String kept = mask == null ? h : graph.add("Mul", h, in.get(2));
            return List.of(kept, kept);
        });
    }

    /** A state [batch, units] of zeros, for steps [time, batch, size]. */
    static String zeros(String steps, long units, OnnxGraph graph) {
        return graph.add("ConstantOfShape", graph.concat(0, List.of(graph.size(steps, 1), graph.ints(units))));
    }
}
