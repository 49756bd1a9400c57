package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.onnx.adapter.Input.Matrix;
import io.github.dl4jlora.onnx.adapter.Input.Values;
import io.github.dl4jlora.onnx.adapter.Pick.Factors;
import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;

/** The inputs that adapters fill, added to the graph when they are first asked for. */
final class GraphInputs {

    /** The inputs of one matrix; B times s. Names of tensors; magnitude null where outputs are not multiplied. */
    record LowRank(String a, String b, @Nullable String magnitude) {
    }

    private final OnnxGraph graph;
    private final Map<Matrix, LowRank> lowRank = new HashMap<>();
    private final Map<Values, String> values = new HashMap<>();

    GraphInputs(OnnxGraph graph) {
        this.graph = graph;
    }

    /** {@return what has become an input} */
    Set<Input> made() {
        Set<Input> made = new HashSet<>(lowRank.keySet());
        made.addAll(values.keySet());
        return made;
    }

    /** {@return the inputs of a matrix} */
    LowRank of(Matrix matrix) {
        LowRank known = lowRank.get(matrix);
        if (known != null) {
            return known;
        }
        graph.enter(matrix.name());
        // The rank is open. With a rank of 1 the base alone costs little; a rank of 0 is nothing that a convolution takes.
        String rank = matrix.name() + ".rank";
        String a = graph.input(zeros(matrix.name() + AdapterTensors.A, matrix.nIn(), 1), List.of(matrix.nIn(), rank));
        String b = graph.input(zeros(matrix.name() + AdapterTensors.B, 1, matrix.nOut()), List.of(rank, matrix.nOut()));
        String scale = graph.input(ones(matrix.name() + AdapterTensors.SCALE), List.of());
        String magnitude = !matrix.isScaled() ? null
                : graph.input(ones(matrix.name() + AdapterTensors.MAGNITUDE, matrix.nOut()), List.of(matrix.nOut()));
        LowRank made = new LowRank(a, graph.add("Mul", b, scale), magnitude);
        lowRank.put(matrix, made);
        return made;
    }

    private static Initializer zeros(String name, long... shape) {
        return Initializer.floats(name, shape, () -> Nd4j.zeros(DataType.FLOAT, shape));
    }

    private static Initializer ones(String name, long... shape) {
        return Initializer.floats(name, shape, () -> shape.length == 0 ? Nd4j.scalar(1f)
                : Nd4j.ones(DataType.FLOAT, shape));
    }

    /** {@return the input that replaces a parameter} */
    String of(Values replaced) {
        return values.computeIfAbsent(replaced, own -> graph.input(own.defaults(), Arrays.stream(own.shape()).boxed().toList()));
    }

    /** {@return A with the rows of a weight} */
    String a(Matrix matrix, Factors factors) {
        return rows(of(matrix).a(), matrix.nIn(), factors);
    }

    /** {@return s·B with the columns of a weight} */
    String b(Matrix matrix, Factors factors) {
        return columns(of(matrix).b(), matrix.nOut(), factors, 1);
    }

    /** {@return what a weight's columns are multiplied by; null if they are not} */
    @Nullable String magnitude(Matrix matrix, Factors factors) {
        String magnitude = of(matrix).magnitude();
        return magnitude == null ? null : columns(magnitude, matrix.nOut(), factors, 0);
    }

    /** A matrix of so many rows, with those of the weight. */
    String rows(String tensor, long all, Factors factors) {
        return isAll(factors.rows(), all) ? tensor : graph.add("Gather", tensor, graph.ints(factors.rows()));
    }

    /** A tensor with so many columns in a dimension, there with those of the weight. */
    String columns(String tensor, long all, Factors factors, int axis) {
        return isAll(factors.columns(), all) ? tensor
                : graph.add("Gather", List.of(tensor, graph.ints(factors.columns())), Attribute.of("axis", axis));
    }

    private static boolean isAll(long[] numbers, long count) {
        return Arrays.equals(numbers, LongStream.range(0, count).toArray());
    }
}
