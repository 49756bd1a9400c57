package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.L2Vertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;

import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Vertices that compute something of values. */
final class ArithmeticVertices {

    private ArithmeticVertices() {
    }

    static void addTo(Exports exports) {
        exports.vertex(ElementWiseVertex.class, ArithmeticVertices::elementWise);
        exports.vertex(ScaleVertex.class, (vertex, inputs, here) -> withNumber("Mul", vertex.getScaleFactor(), inputs, here));
        exports.vertex(ShiftVertex.class, (vertex, inputs, here) -> withNumber("Add", vertex.getShiftFactor(), inputs, here));
        exports.vertex(L2Vertex.class, ArithmeticVertices::distance);
        exports.vertex(L2NormalizeVertex.class, ArithmeticVertices::normalize);
    }

    private static Flow elementWise(ElementWiseVertex vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        List<String> values = inputs.stream().map(Flow::name).toList();
        if (values.size() == 1) {
            return inputs.get(0);
        }
        String result = switch (vertex.getOp()) {
            case Add -> graph.add("Sum", values);
            case Average -> graph.add("Mean", values);
            case Max -> graph.add("Max", values);
            case Subtract -> graph.add("Sub", values);
            case Product -> values.stream().reduce((left, right) -> graph.add("Mul", left, right)).orElseThrow();
        };
        InputType type = inputs.stream().map(Flow::type).reduce(Sizes::largest).orElseThrow();
        return new Flow(result, type, Masks.any(inputs, graph));
    }

    private static Flow withNumber(String operator, double number, List<Flow> inputs, Place here) {
        Flow input = inputs.get(0);
        return input.to(here.graph().add(operator, input.name(), here.graph().number(number)), input.type());
    }

    private static Flow distance(L2Vertex vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        String difference = graph.add("Sub", inputs.get(0).name(), inputs.get(1).name());
        String rows = graph.add("Flatten", difference);
        return inputs.get(0).to(graph.reduce("ReduceL2", rows, true, 1), InputType.feedForward(1));
    }

    private static Flow normalize(L2NormalizeVertex vertex, List<Flow> inputs, Place here) {
        Flow input = inputs.get(0);
        OnnxGraph graph = here.graph();
        int[] chosen = vertex.getDimension();
        long[] axes = chosen == null || chosen.length == 0 ? LongStream.range(1, Sizes.rank(input.type())).toArray()
                : IntStream.of(chosen).asLongStream().toArray();
        if (LongStream.of(axes).anyMatch(axis -> axis == 0) && (Sizes.rank(input.type()) > 2 || axes.length == 1)) {
            throw here.refusal("it normalises across examples, which DL4J itself cannot do in this shape",
                    "Leave 0 out of the dimensions of the L2NormalizeVertex");
        }
        String norm = graph.reduce("ReduceL2", input.name(), true, axes);
        String atLeast = graph.add("Max", norm, graph.number(vertex.getEps()));
        return input.to(graph.add("Div", input.name(), atLeast), input.type());
    }
}
