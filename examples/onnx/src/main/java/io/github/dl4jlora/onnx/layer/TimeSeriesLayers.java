package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.rnn.DuplicateToTimeSeriesVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.graph.rnn.ReverseTimeSeriesVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.util.MaskLayer;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.jspecify.annotations.Nullable;

import java.util.List;

/** Layers, vertices and preprocessors of sequences that have no state. The vertices know only [batch, size, time]. */
final class TimeSeriesLayers {

    private TimeSeriesLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(RnnOutputLayer.class, TimeSeriesLayers::output);
        exports.layer(RnnLossLayer.class, TimeSeriesLayers::loss);
        exports.layer(MaskLayer.class, TimeSeriesLayers::mask);
        exports.preprocessor(RnnToFeedForwardPreProcessor.class, TimeSeriesLayers::toRows);
        exports.preprocessor(FeedForwardToRnnPreProcessor.class, TimeSeriesLayers::toSequence);
        exports.vertex(LastTimeStepVertex.class, (vertex, inputs, here) -> {
            String mask = maskOf(vertex.getMaskArrayInputName(), here);
            return new Flow(Sequences.last(inputs.get(0).name(), mask, RNNFormat.NCW, here.graph()), here.output(), null);
        });
        exports.vertex(DuplicateToTimeSeriesVertex.class, TimeSeriesLayers::duplicate);
        exports.vertex(ReverseTimeSeriesVertex.class, TimeSeriesLayers::reverse);
    }

    /** No mask changes what an output layer returns. */
    private static Flow output(RnnOutputLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        String steps = Sequences.unitsLast(input.name(), layer.getRnnDataFormat(), graph);
        String activated = Activations.add(layer.getActivationFn(), here.product(steps, "W", "b"), -1, here);
        return new Flow(Sequences.unitsLast(activated, layer.getRnnDataFormat(), graph), here.output(), null);
    }

    private static Flow loss(RnnLossLayer layer, Flow input, Place here) {
        int units = Sequences.units(layer.getRnnDataFormat());
        return new Flow(Activations.add(layer.getActivationFn(), input.name(), units, here), here.output(), null);
    }

    private static Flow mask(MaskLayer layer, Flow input, Place here) {
        if (input.mask() == null) {
            return input;
        }
        if (input.type() instanceof InputType.InputTypeRecurrent recurrent) {
            if (recurrent.getFormat() == RNNFormat.NWC) {
                throw here.refusal("DL4J's MaskLayer knows only sequences of format NCW", "Use format NCW");
            }
            return input.to(Sequences.masked(input.name(), input.mask(), RNNFormat.NCW, here.graph()), here.output());
        }
        return input.to(Masks.apply(input.name(), input.mask(), here), here.output());
    }

    /** DL4J's rows are the examples of the first step, then those of the second one. */
    private static Flow toRows(RnnToFeedForwardPreProcessor preprocessor, Flow input, Place here) {
        if (!(input.type() instanceof InputType.InputTypeRecurrent)) {
            return input;
        }
        OnnxGraph graph = here.graph();
        String steps = Sequences.timeFirst(input.name(), preprocessor.getRnnDataFormat(), graph);
        String mask = input.mask() == null ? null : Sequences.maskOfRows(input.mask(), graph);
        return new Flow(graph.add("Flatten", steps, Attribute.of("axis", 2)), here.output(), mask, input.integer());
    }

    private static Flow toSequence(FeedForwardToRnnPreProcessor preprocessor, Flow input, Place here) {
        long size = ((InputType.InputTypeRecurrent) here.output()).getSize();
        return Sequences.ofRows(input, size, preprocessor.getRnnDataFormat(), here);
    }

    private static Flow duplicate(DuplicateToTimeSeriesVertex vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        Flow sequence = networkInput(vertex.getInputName(), here);
        // Ids may be [batch, time].
        int time = Sizes.rank(sequence.type()) == 2 ? 1 : 2;
        String column = graph.unsqueeze(inputs.get(0).name(), 2);
        String shape = graph.concat(0, List.of(graph.ints(1, 1), graph.size(sequence.name(), time)));
        // DL4J's type has one step.
        InputType type = Sizes.with(here.output(), 2, Sizes.of(sequence.type())[time]);
        return new Flow(graph.add("Expand", column, shape), type, sequence.mask());
    }

    /** With a mask, what is present comes in reverse order at the places of what is present, and the rest is zero. */
    private static Flow reverse(ReverseTimeSeriesVertex vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        Flow input = inputs.get(0);
        String mask = maskOf(vertex.getMaskArrayInputName(), here);
        if (mask == null) {
            return input.to(Sequences.reversed(input.name(), 2, graph), here.output());
        }
        String present = Sequences.present(mask, graph);
        String length = graph.size(mask, 1);
        String steps = graph.range(length);
        // Places of what is present, in order; behind them those of the rest.
        String absent = graph.add("Mul", graph.add("Sub", graph.ints(1), present), length);
        List<String> sorted = graph.add(2, "TopK", List.of(graph.add("Add", steps, absent), length), Attribute.of("axis", 1),
                Attribute.of("largest", 0), Attribute.of("sorted", 1));
        String rank = graph.add("CumSum", List.of(present, graph.index(1)));
        String count = graph.reduce("ReduceSum", present, true, 1);
        String mirrored = graph.add("Mul", graph.add("Sub", count, rank), present);
        String source = graph.add("GatherElements", List.of(sorted.get(1), mirrored), Attribute.of("axis", 1));
        String rows = graph.add("GatherND", List.of(Sequences.unitsLast(input.name(), RNNFormat.NCW, graph),
                graph.unsqueeze(source, 2)), Attribute.of("batch_dims", 1));
        String result = graph.add("Mul", rows, graph.unsqueeze(graph.cast(present, DataType.FLOAT), 2));
        return input.to(Sequences.unitsLast(result, RNNFormat.NCW, graph), here.output());
    }

    /** The mask of an input of the network. */
    private static @Nullable String maskOf(@Nullable String name, Place here) {
        return name == null ? null : networkInput(name, here).mask();
    }

    private static Flow networkInput(String name, Place here) {
        Flow flow = here.flows().get(name);
        if (flow == null) {
            throw here.refusal("the network has no input \"" + name + "\"", "Name one of the network's inputs");
        }
        return flow;
    }
}
