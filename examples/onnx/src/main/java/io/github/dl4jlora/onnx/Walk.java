package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import io.github.dl4jlora.onnx.layer.Exports;
import io.github.dl4jlora.onnx.layer.Place;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Goes through a network from its inputs to its outputs, and writes layer after layer into a graph. */
final class Walk {

    private final Network<?> network;
    private final OnnxGraph graph;
    private final Exports exports = Exports.all();
    private final Map<String, Flow> flows = new HashMap<>();
    private String batch = "";

    Walk(Network<?> network, OnnxGraph graph) {
        this.network = network;
        this.graph = graph;
    }

    /** @param types of the network's inputs, in their order */
    void inputs(List<String> names, List<InputType> types) {
        for (int i = 0; i < names.size(); i++) {
            List<Object> shape = new ArrayList<>();
            InputType type = types.get(i) instanceof InputType.InputTypeConvolutionalFlat flat
                    ? InputType.feedForward(flat.getFlattenedSize()) : types.get(i);
            for (long size : type.getShape(true)) {
                shape.add(shape.isEmpty() ? "batch" : size < 0 ? "time" : size);
            }
            String tensor = graph.input(names.get(i), DataType.FLOAT, shape);
            flows.put(network.inputs().get(i), new Flow(tensor, types.get(i), null));
            if (i == 0) {
                graph.enter("network");
                batch = graph.size(tensor, 0);
            }
        }
    }

    /** A mask [batch, time] for each input that is a sequence, behind all features. */
    void masks(List<String> names) {
        for (int i = 0; i < names.size(); i++) {
            Flow flow = flow(network.inputs().get(i));
            if (flow.type() instanceof InputType.InputTypeRecurrent) {
                String mask = graph.input(names.get(i) + "_mask", DataType.FLOAT, List.of("batch", "time"));
                flows.put(network.inputs().get(i), flow.masked(mask));
            }
        }
    }

    void layers() {
        for (Node node : network.nodes()) {
            graph.enter(node.name());
            List<Flow> inputs = node.inputs().stream().map(name -> Objects.requireNonNull(flows.get(name), name)).toList();
            flows.put(node.name(), node.layer() != null ? layer(node, inputs.get(0)) : vertex(node, inputs));
        }
    }

    private Flow layer(Node node, Flow input) {
        Layer layer = Objects.requireNonNull(node.stockLayer());
        InputPreProcessor preprocessor = network.preprocessor(node);
        boolean flat = preprocessor instanceof RnnToFeedForwardPreProcessor && input.type().getType() == InputType.Type.FF;
        Flow reshaped = preprocessor == null || flat ? input
                : exports.preprocessor(preprocessor, input, place(node, preprocessor.getOutputType(input.type())));
        return exports.layer(layer, reshaped, place(node, layer.getOutputType(0, reshaped.type())));
    }

    private Flow vertex(Node node, List<Flow> inputs) {
        GraphVertex vertex = node.replacement() != null ? node.replacedVertex() : node.unwrappedVertex();
        // A MergeVertex would set its axis by the types, and is its own judge of what comes out.
        InputType type = vertex instanceof MergeVertex ? inputs.get(0).type()
                : vertex.getOutputType(0, inputs.stream().map(Flow::type).toArray(InputType[]::new));
        return exports.vertex(vertex, inputs, place(node, type));
    }

    private Place place(Node node, InputType output) {
        Map<String, Weight> weights = new LinkedHashMap<>();
        network.shapes(node).forEach((key, shape) -> weights.put(key, new Weight(node.name() + "/" + key, shape,
                () -> Objects.requireNonNull(network.runtime(node.name()).paramTable(false).get(key)), -1)));
        return new Place(node.name(), graph, weights, output, batch, flows, false, exports);
    }

    Flow flow(String name) {
        return Objects.requireNonNull(flows.get(name), name);
    }
}
