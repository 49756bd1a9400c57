package io.github.dl4jlora.onnx.graph;

import onnx.Onnx.TensorProto.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;

/** Operators of ONNX as calls: each adds a node to a graph, and returns the name of what the node computes. */
public abstract class Operators {

    private final int opset;

    /** @param opset the version of ONNX's operators */
    Operators(int opset) {
        this.opset = opset;
    }

    /** {@return the version of ONNX's operators that nodes are of} */
    public final int opset() {
        return opset;
    }

    /**
     * Adds a node.
     *
     * @param results  how many outputs it has
     * @param operands names of tensors; the empty string for one that is left out
     * @return names of the outputs
     */
    public abstract List<String> add(int results, String operator, List<String> operands, Attribute... attributes);

    /** Adds what stands in the file as it is. */
    public abstract String initializer(Initializer initializer);

    /** {@return a name that nothing else has} */
    abstract String fresh(String what);

    /**
     * Adds a node with one output.
     *
     * @return the name of the output
     */
    public final String add(String operator, List<String> operands, Attribute... attributes) {
        return add(1, operator, operands, attributes).get(0);
    }

    /** As {@link #add(String, List, Attribute...)}, of two operands. */
    public final String add(String operator, String left, String right) {
        return add(operator, List.of(left, right));
    }

    /** As {@link #add(String, List, Attribute...)}, of one operand. */
    public final String add(String operator, String operand, Attribute... attributes) {
        return add(operator, List.of(operand), attributes);
    }

    /** A vector of whole numbers, such as a shape. */
    public final String ints(long... values) {
        return initializer(Initializer.ints(fresh("ints"), new long[]{values.length}, values));
    }

    /** A whole number without dimensions, such as an index. */
    public final String index(long value) {
        return initializer(Initializer.ints(fresh("index"), new long[0], new long[]{value}));
    }

    /** A FLOAT without dimensions. */
    public final String number(double value) {
        return initializer(Initializer.floats(fresh("number"), new long[0], () -> Nd4j.scalar((float) value)));
    }

    /** Dimensions in another order. */
    public final String transpose(String tensor, int... dimensions) {
        return add("Transpose", tensor, Attribute.of("perm", Arrays.stream(dimensions).asLongStream().toArray()));
    }

    /** Another shape: 0 keeps a size of the same place, -1 is what is left. */
    public final String reshape(String tensor, long... shape) {
        return add("Reshape", tensor, ints(shape));
    }

    /** Another shape, of INT64 vectors one after the other; -1 is what is left. */
    public final String reshape(String tensor, String... parts) {
        return add("Reshape", tensor, concat(0, List.of(parts)));
    }

    /** Dimensions of size 1 at these places of the result. */
    public final String unsqueeze(String tensor, long... axes) {
        return add("Unsqueeze", tensor, ints(axes));
    }

    /** Without these dimensions of size 1. */
    public final String squeeze(String tensor, long... axes) {
        return add("Squeeze", tensor, ints(axes));
    }

    /**
     * A part of a dimension.
     *
     * @param end exclusive; Long.MAX_VALUE for all that is left
     */
    public final String slice(String tensor, int axis, long start, long end) {
        return add("Slice", List.of(tensor, ints(start), ints(end), ints(axis)));
    }

    /** Tensors one after the other. */
    public final String concat(int axis, List<String> tensors) {
        return add("Concat", tensors, Attribute.of("axis", axis));
    }

    /** The same values in another type. */
    public final String cast(String tensor, DataType type) {
        return add("Cast", tensor, Attribute.of("to", type.getNumber()));
    }

    /** A tensor's size in one dimension: an INT64 vector of one value. */
    public final String size(String tensor, int axis) {
        return axis == -1 ? shape(tensor, axis) : shape(tensor, axis, axis + 1);
    }

    /** A tensor's sizes from one dimension on: an INT64 vector. */
    public final String shape(String tensor, int start) {
        return add("Shape", tensor, Attribute.of("start", start));
    }

    /** As {@link #shape(String, int)}, without the dimension {@code end} and those behind it. */
    public final String shape(String tensor, int start, int end) {
        return add("Shape", tensor, Attribute.of("start", start), Attribute.of("end", end));
    }

    /**
     * 0, 1, 2 and so on, INT64.
     *
     * @param count an INT64 vector of one value
     */
    public final String range(String count) {
        return add("Range", List.of(index(0), squeeze(count, 0), index(1)));
    }

    /**
     * A reduction such as ReduceMean; versions of ONNX name the dimensions in different places.
     *
     * @param keep whether reduced dimensions stay, of size 1
     */
    public final String reduce(String operator, String tensor, boolean keep, long... axes) {
        Attribute keeping = Attribute.of("keepdims", keep ? 1 : 0);
        return opset >= 18 || operator.equals("ReduceSum") ? add(operator, List.of(tensor, ints(axes)), keeping)
                : add(operator, tensor, Attribute.of("axes", axes), keeping);
    }
}
