package io.github.dl4jlora.onnx.transformer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.inputs.InputType;

import java.util.function.Supplier;

/**
 * Which tokens of texts are no padding: those that a mask of the ids leaves; without one, those that have another id than
 * padding.
 *
 * @param ids     {@code [batch, length]}
 * @param padding the id that is padding
 */
record Texts(Flow ids, int padding, OnnxGraph graph) {

    static Texts of(Flow ids, int padding, OnnxGraph graph) {
        return new Texts(ids(ids, graph), padding, graph);
    }

    /** In INT64, also where something else reads them as numbers. */
    static Flow ids(Flow input, OnnxGraph graph) {
        return input.integer() ? input : new Flow(graph.shared("ids of " + input.name(), () ->
                graph.cast(input.name(), DataType.INT64)), input.type(), input.mask(), true);
    }

    /** A tensor that all vertices over these ids use. */
    String shared(String what, Supplier<String> tensor) {
        return graph.shared(what + " of " + ids.name() + " with padding " + padding, tensor);
    }

    /** {@return which tokens are no padding, BOOL, {@code [batch, length]}} */
    String kept() {
        return shared("kept", () -> ids.mask() != null ? graph.add("Greater", ids.mask(), graph.number(0)) : others());
    }

    /** {@return which tokens have another id than padding, BOOL, {@code [batch, length]}} */
    private String others() {
        return graph.add("Not", graph.add("Equal", ids.name(), graph.index(padding)));
    }

    /** {@return the first token of each text that is no padding, INT64, {@code [batch, 1]}} */
    String first() {
        return shared("first", () -> graph.add("ArgMax", graph.cast(kept(), DataType.FLOAT), Attribute.of("axis", 1),
                Attribute.of("keepdims", 1)));
    }

    /**
     * {@return the last token of each text that has another id than padding, or, where none has, the last that is no padding,
     * INT64, {@code [batch, 1]}}
     */
    String last() {
        return ids.mask() == null ? lastKept() : shared("last", () -> {
            String length = graph.size(ids.name(), 1);
            String ranks = graph.add("Add", places(), graph.add("Mul", graph.cast(others(), DataType.INT64), length));
            return graph.add("Mod", bestKept(ranks), length);
        });
    }

    /** {@return the last token of each text that is no padding, INT64, {@code [batch, 1]}} */
    String lastKept() {
        return shared("last kept", () -> bestKept(places()));
    }

    private String bestKept(String ranks) {
        return graph.reduce("ReduceMax", graph.add("Mul", graph.cast(kept(), DataType.INT64), ranks), true, 1);
    }

    /** {@return 0, 1, 2 and so on, INT64, {@code [length]}} */
    String places() {
        return graph.shared("places of " + ids.name(), () -> graph.range(graph.size(ids.name(), 1)));
    }

    /**
     * Rows of all texts, text by text.
     *
     * @param rows  {@code [batch · length, hidden]}
     * @param sizes of what a row is cut into, -1 for the last one that is left open; none for the whole row
     * @return {@code [batch, length, hidden]}, with hidden so cut
     */
    String apart(String rows, long... sizes) {
        return apart(rows, ids, graph, sizes);
    }

    /** As {@link #apart(String, long...)}, of rows that any input counts. */
    static String apart(String rows, Flow ids, OnnxGraph graph, long... sizes) {
        return graph.reshape(rows, graph.size(ids.name(), 0), graph.size(ids.name(), 1),
                graph.ints(sizes.length == 0 ? new long[]{-1} : sizes));
    }

    /** The types of tokens, made unless they are there: an index for all tokens, or [batch, length]. */
    static String types(Flow ids, OnnxGraph graph, Supplier<String> types) {
        return graph.shared("types of " + ids.name(), types);
    }

    /** {@return the size of a row} */
    static long width(Flow rows) {
        return ((InputType.InputTypeFeedForward) rows.type()).getSize();
    }
}
