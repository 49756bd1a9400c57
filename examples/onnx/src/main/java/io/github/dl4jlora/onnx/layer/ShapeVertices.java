package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.PoolHelperVertex;
import org.deeplearning4j.nn.conf.graph.PreprocessorVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.SubsetVertex;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/** Vertices that move values. */
final class ShapeVertices {

    private ShapeVertices() {
    }

    static void addTo(Exports exports) {
        exports.vertex(MergeVertex.class, ShapeVertices::merge);
        exports.vertex(SubsetVertex.class, ShapeVertices::subset);
        exports.vertex(StackVertex.class, ShapeVertices::stack);
        exports.vertex(UnstackVertex.class, ShapeVertices::unstack);
        exports.vertex(ReshapeVertex.class, ShapeVertices::reshape);
        exports.vertex(PoolHelperVertex.class, ShapeVertices::withoutFirst);
        exports.vertex(PreprocessorVertex.class, (vertex, inputs, here) -> here.exports().preprocessor(vertex.getPreProcessor(),
                inputs.get(0), here.within("", vertex.getPreProcessor().getOutputType(inputs.get(0).type()))));
        exports.vertex(FrozenVertex.class, (frozen, inputs, here) -> here.exports().vertex(frozen.getUnderlying(), inputs, here));
    }

    private static Flow merge(MergeVertex vertex, List<Flow> inputs, Place here) {
        Flow first = inputs.get(0);
        if (inputs.size() == 1) {
            return first;
        }
        int axis = Math.floorMod(vertex.getMergeAxis(), Sizes.rank(first.type()));
        long[] sizes = inputs.stream().mapToLong(input -> Sizes.of(input.type())[axis]).toArray();
        long size = Arrays.stream(sizes).anyMatch(part -> part < 0) ? -1 : Arrays.stream(sizes).sum();
        return new Flow(here.graph().concat(axis, inputs.stream().map(Flow::name).toList()),
                Sizes.with(first.type(), axis, size), Masks.any(inputs, here.graph()));
    }

    /** Of the second dimension, whatever it is: of the steps of a sequence [batch, time, size]. */
    private static Flow subset(SubsetVertex vertex, List<Flow> inputs, Place here) {
        Flow input = inputs.get(0);
        return input.to(here.graph().slice(input.name(), 1, vertex.getFrom(), vertex.getTo() + 1L),
                Sizes.with(input.type(), 1, vertex.getTo() - vertex.getFrom() + 1L));
    }

    /** Sequences [batch, size, time] of several lengths are filled up with zeros. */
    private static Flow stack(StackVertex vertex, List<Flow> inputs, Place here) {
        Flow first = inputs.get(0);
        List<String> masks = inputs.stream().map(Flow::mask).filter(Objects::nonNull).toList();
        if (!masks.isEmpty() && masks.size() < inputs.size()) {
            throw here.refusal("only some of its inputs have masks, which DL4J cannot stack",
                    "Give each input of the StackVertex a mask, or none");
        }
        List<String> values = inputs.stream().map(Flow::name).toList();
        String mask = masks.isEmpty() ? null
                : stacked(masks, Sizes.isSequence(first.type()) ? 1 : -1, 2, here.graph());
        return new Flow(stacked(values, Sizes.isTimeLast(first.type()) ? 2 : -1, 3, here.graph()), first.type(), mask);
    }

    private static String stacked(List<String> parts, int padded, int rank, OnnxGraph graph) {
        if (padded < 0 || parts.stream().distinct().count() == 1) {
            return graph.concat(0, parts);
        }
        List<String> lengths = parts.stream().map(part -> graph.size(part, padded)).toList();
        String longest = graph.add("Max", lengths);
        return graph.concat(0, IntStream.range(0, parts.size()).mapToObj(i -> graph.add("Pad", parts.get(i), graph.concat(0,
                List.of(graph.ints(new long[2 * rank - 1]), graph.add("Sub", longest, lengths.get(i)))))).toList());
    }

    private static Flow unstack(UnstackVertex vertex, List<Flow> inputs, Place here) {
        Flow input = inputs.get(0);
        OnnxGraph graph = here.graph();
        String step = graph.add("Div", graph.size(input.name(), 0), graph.ints(vertex.getStackSize()));
        String mask = input.mask() == null ? null : part(input.mask(), here.batch(), vertex.getFrom(), graph);
        return new Flow(part(input.name(), step, vertex.getFrom(), graph), input.type(), mask);
    }

    private static String part(String tensor, String step, long number, OnnxGraph graph) {
        return graph.add("Slice", List.of(tensor, graph.add("Mul", step, graph.ints(number)),
                graph.add("Mul", step, graph.ints(number + 1)), graph.ints(0)));
    }

    private static Flow reshape(ReshapeVertex vertex, List<Flow> inputs, Place here) {
        Flow input = inputs.get(0);
        String values = reshaped(input.name(), Sizes.rank(input.type()), vertex.getNewShape(), vertex.getReshapeOrder(), here);
        int[] shape = vertex.getNewShape();
        // DL4J forgets the length.
        InputType type = shape.length == 3 && shape[2] > 0 ? InputType.recurrent(shape[1], shape[2]) : here.output();
        return new Flow(values, type, mask(vertex, input, here));
    }

    private static @Nullable String mask(ReshapeVertex vertex, Flow input, Place here) {
        int[] shape = vertex.getNewShape();
        if (input.mask() == null) {
            return null;
        }
        if (vertex.getMaskShape() != null) {
            return reshaped(input.mask(), 2, vertex.getMaskShape(), vertex.getReshapeOrder(), here);
        }
        if (Sizes.isSequence(input.type()) == (shape.length == 3)) {
            return input.mask();
        }
        if (shape.length == 3) {
            return reshaped(input.mask(), 2, new int[]{shape[0], shape[2]}, vertex.getReshapeOrder(), here);
        }
        throw here.refusal("it has a mask [batch, time], of which DL4J makes none for " + shape.length + " dimensions",
                "Give the ReshapeVertex the shape of the mask");
    }

    /** A first size that is given is that of the batch that the network was built for; it is left open. */
    private static String reshaped(String tensor, int rank, int[] shape, char order, Place here) {
        long[] sizes = Arrays.stream(shape).asLongStream().toArray();
        if (Arrays.stream(sizes).noneMatch(size -> size < 0)) {
            sizes[0] = -1;
        }
        if (order == 'c') {
            return here.graph().reshape(tensor, sizes);
        }
        long[] backwards = IntStream.range(0, sizes.length).mapToLong(i -> sizes[sizes.length - 1 - i]).toArray();
        return reversed(here.graph().reshape(reversed(tensor, rank, here), backwards), sizes.length, here);
    }

    private static String reversed(String tensor, int rank, Place here) {
        return here.graph().transpose(tensor, IntStream.range(0, rank).map(i -> rank - 1 - i).toArray());
    }

    private static Flow withoutFirst(PoolHelperVertex vertex, List<Flow> inputs, Place here) {
        Flow input = inputs.get(0);
        String rows = here.graph().slice(input.name(), 2, 1, Long.MAX_VALUE);
        InputType type = input.type();
        for (int axis : new int[]{2, 3}) {
            long size = Sizes.of(type)[axis];
            type = Sizes.with(type, axis, size < 0 ? size : size - 1);
        }
        return input.to(here.graph().slice(rows, 3, 1, Long.MAX_VALUE), type);
    }
}
