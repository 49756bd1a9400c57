package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.undo.MergedValues;
import io.github.dl4jlora.onnx.adapter.AdapterInputs;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import io.github.dl4jlora.onnx.layer.Exports;
import io.github.dl4jlora.onnx.layer.Logits;
import io.github.dl4jlora.onnx.layer.NoShapeException;
import io.github.dl4jlora.onnx.layer.Place;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * Goes through a network from its inputs to its outputs, and writes layer after layer into a graph: with what adapters learned,
 * and without all that freezes. Values are read later, when the file is written.
 */
final class Walk {

    private final Network<?> network;
    private final MergedValues values;
    private final OnnxGraph graph;
    private final AdapterInputs adapters;
    private final Logits logits;
    private final Exports exports = Transformers.addTo(Exports.all());
    private final Map<String, Flow> flows = new HashMap<>();
    private final Map<String, Long> widths = new LinkedHashMap<>();
    private boolean isLengthGuessed;
    private String batch = "";

    /**
     * @param adapters what they change
     * @param logits   the outputs whose softmax or sigmoid is to be left out
     */
    Walk(Network<?> network, MergedValues values, AdapterInputs adapters, OnnxGraph graph, Logits logits) {
        this.network = network;
        this.values = values;
        this.adapters = adapters;
        this.graph = graph;
        this.logits = logits;
    }

    /**
     * Adds the next input of the network.
     *
     * @param name  in the file
     * @param sizes numbers, and names of those that are open
     */
    void input(String input, String name, InputType type, boolean ids, List<?> sizes) {
        String tensor = graph.input(name, ids ? DataType.INT64 : DataType.FLOAT, sizes);
        if (flows.isEmpty()) {
            graph.enter("network");
            batch = graph.size(tensor, 0);
        }
        flows.put(input, new Flow(tensor, type, null, ids));
    }

    /** Adds an input's mask [batch, time], behind all inputs. */
    void mask(String input, String name, List<?> sizes) {
        mask(input, graph.input(name, DataType.FLOAT, sizes));
    }

    /** Gives an input a mask. */
    void mask(String input, String tensor) {
        flows.put(input, flow(input).masked(tensor));
    }

    void layers() {
        for (Node node : network.nodes()) {
            graph.enter(node.name());
            List<Flow> inputs = node.inputs().stream().map(this::flow).toList();
            Layer layer = values.layer(node);
            flows.put(node.name(), layer != null ? layer(node, layer, inputs.get(0)) : vertex(node, inputs));
        }
    }

    private Flow layer(Node node, Layer layer, Flow input) {
        InputPreProcessor preprocessor = network.preprocessor(node);
        boolean flat = preprocessor instanceof RnnToFeedForwardPreProcessor && input.type().getType() == InputType.Type.FF;
        Flow reshaped = preprocessor == null || flat ? input : exports.preprocessor(preprocessor, input,
                place(node, type(node, List.of(input), () -> preprocessor.getOutputType(input.type()))));
        // A LossLayer takes vectors of any width.
        boolean isAnyWidth = layer instanceof EmbeddingSequenceLayer || layer instanceof LossLayer;
        if (reshaped.type() instanceof InputType.InputTypeFeedForward vector && !isAnyWidth && !reshaped.integer()) {
            widths.put(node.name(), vector.getSize());
        }
        // A clone: some layers keep what they are asked about.
        return exports.layer(layer, reshaped,
                place(node, type(node, List.of(reshaped), () -> layer.clone().getOutputType(0, reshaped.type()))));
    }

    private Flow vertex(Node node, List<Flow> inputs) {
        GraphVertex vertex = values.vertex(node);
        // A MergeVertex would set its axis by the types, and is its own judge of what comes out.
        return exports.vertex(vertex, inputs, place(node, vertex instanceof MergeVertex ? inputs.get(0).type()
                : type(node, inputs, () -> StockLayers.copy(vertex).getOutputType(0,
                inputs.stream().map(Flow::type).toArray(InputType[]::new)))));
    }

    /** What comes out of a layer. DL4J forgets the length of sequences in many layers that keep it. */
    private InputType type(Node node, List<Flow> inputs, Supplier<InputType> asked) {
        InputType type;
        try {
            type = asked.get();
        } catch (RuntimeException e) {
            throw new NoShapeException(node.name(), "DL4J does not know the shape of its output ("
                    + String.valueOf(e.getMessage()).lines().findFirst().orElse("").strip() + ")",
                    "Give the shapes of the network's inputs with OnnxExport.inputTypes(...)");
        }
        return type instanceof InputType.InputTypeRecurrent sequence && sequence.getTimeSeriesLength() <= 0
                ? InputType.recurrent(sequence.getSize(), length(inputs), sequence.getFormat()) : type;
    }

    /** Of the sequences that flow in, or of the network's first. */
    private long length(List<Flow> inputs) {
        Long own = inputs.stream().map(Walk::length).filter(Objects::nonNull).findFirst().orElse(null);
        isLengthGuessed |= own == null;
        return own != null ? own : network.inputs().stream().map(input -> length(flow(input))).filter(Objects::nonNull)
                .findFirst().orElse(-1L);
    }

    /** Whether sequences have the lengths that their types say. */
    boolean areLengthsCertain() {
        return !isLengthGuessed || flows.values().stream().map(Walk::length).filter(Objects::nonNull).distinct().count() <= 1;
    }

    private static @Nullable Long length(Flow flow) {
        return flow.type() instanceof InputType.InputTypeRecurrent sequence && sequence.getTimeSeriesLength() > 0
                ? (Long) sequence.getTimeSeriesLength()
                : flow.integer() && flow.type() instanceof InputType.InputTypeFeedForward ids ? (Long) ids.getSize() : null;
    }

    private Place place(Node node, InputType output) {
        Map<String, Weight> weights = new LinkedHashMap<>();
        values.shapes(node).forEach((key, shape) -> weights.put(key, new Weight(node.name() + "/" + key, shape,
                () -> Objects.requireNonNull(values.values(node).get(key)), -1)));
        return new Place(node.name(), graph, adapters.watched(node.name(), weights), output, batch, flows,
                logits, exports);
    }

    /** Sizes of the vectors that layers read, by layer. */
    Map<String, Long> widths() {
        return widths;
    }

    /** What flows out of a node, or of the network's input of that name. */
    Flow flow(String name) {
        return Objects.requireNonNull(flows.get(name), name);
    }
}
