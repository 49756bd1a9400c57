package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.onnx.adapter.AdapterInputs.Input;
import io.github.dl4jlora.onnx.adapter.AdapterInputs.Matrix;
import io.github.dl4jlora.onnx.adapter.AdapterInputs.Values;
import io.github.dl4jlora.onnx.adapter.Pick.Factors;
import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.AttributeProto;
import onnx.Onnx.GraphProto;
import onnx.Onnx.NodeProto;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.IntToLongFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Puts adapters into the graph of a base.
 *
 * <pre>
 * product, look-up, convolution:   y + ((x·A)·(s·B))        x·A looks A up, or convolves with it; B then is a 1×1 convolution
 * anything else with W:            W + A·(s·B), shaped as the node's W
 * a parameter that is replaced:    the input, shaped as the node's
 * </pre>
 *
 * <p>The first form leaves W constant, so that ONNX Runtime can lay it out as it likes when it opens the file.
 */
final class AdaptedGraph {

    private static final int FEW = 4;

    /** The inputs of one matrix; B times s. Names of tensors; magnitude null where outputs are not multiplied. */
    private record LowRank(String a, String b, @Nullable String magnitude) {
    }

    private final OnnxGraph graph;
    private final Map<String, AdaptedWeight> adapted;
    private final Map<Matrix, LowRank> lowRank = new HashMap<>();
    private final Map<Values, String> values = new HashMap<>();
    private final Map<String, String> effective = new HashMap<>();

    /** @param adapted by tensor */
    AdaptedGraph(OnnxGraph graph, Map<String, AdaptedWeight> adapted) {
        this.graph = graph;
        this.adapted = adapted;
    }

    /** {@return what has become an input} */
    Set<Input> rewrite() {
        for (NodeProto node : graph.takeNodes()) {
            if (!isBeside(node)) {
                graph.add(renamed(node, -1));
            }
        }
        graph.prune();
        Set<Input> made = new HashSet<>(lowRank.keySet());
        made.addAll(values.keySet());
        return made;
    }

    /**
     * The node as it is but for its adapted operands.
     *
     * @param kept an operand that stays the base's; -1 for none
     */
    private NodeProto renamed(NodeProto node, int kept) {
        NodeProto.Builder other = node.toBuilder();
        for (int i = 0; i < node.getInputCount(); i++) {
            boolean isChanged = i != kept && adapted.containsKey(node.getInput(i));
            other.setInput(i, isChanged ? effective(node.getInput(i)) : node.getInput(i));
        }
        for (int i = 0; i < node.getAttributeCount(); i++) {
            AttributeProto attribute = node.getAttribute(i);
            if (attribute.hasG()) {
                GraphProto.Builder inner = attribute.getG().toBuilder().clearNode();
                attribute.getG().getNodeList().forEach(inside -> inner.addNode(renamed(inside, -1)));
                other.setAttribute(i, attribute.toBuilder().setG(inner));
            }
        }
        return other.build();
    }

    /** Adds a low-rank path beside the node if it is one that can have it. */
    private boolean isBeside(NodeProto original) {
        int operand = switch (original.getOpType()) {
            case "MatMul", "Gemm", "Conv" -> 1;
            case "Gather" -> 0;
            default -> -1;
        };
        AdaptedWeight weight = operand < 0 ? null : adapted.get(original.getInput(operand));
        if (weight == null || weight.matrix() == null) {
            return false;
        }
        Matrix matrix = weight.matrix();
        Factors factors = Objects.requireNonNull(weight.factors());
        NodeProto node = renamed(original, operand);
        graph.enter(matrix.name());
        switch (node.getOpType()) {
            case "MatMul" -> {
                return factors.isMatrix(0, 1) && isAdded(node, matrix, factors, true,
                        (a, b) -> graph.add("MatMul", graph.add("MatMul", node.getInput(0), a), b));
            }
            case "Gemm" -> {
                boolean isTransposed = Attribute.number(node, "transB") == 1;
                boolean isPlain = Attribute.number(node, "transA") == 0 && isOne(node, "alpha");
                return isPlain && factors.isMatrix(isTransposed ? 1 : 0, isTransposed ? 0 : 1)
                        && isAdded(node, matrix, factors, node.getInputCount() == 2,
                                (a, b) -> graph.add("MatMul", graph.add("MatMul", node.getInput(0), a), b));
            }
            case "Gather" -> {
                return factors.isMatrix(0, 1) && Attribute.number(node, "axis") == 0 && isAdded(node, matrix, factors, true,
                        (a, b) -> graph.add("MatMul", graph.add("Gather", a, node.getInput(1)), b));
            }
            default -> {
                return Attribute.number(node, "group") <= 1 && factors.isColumnsFirst() && !matrix.isScaled()
                        && isAdded(node, matrix, factors, false, (a, b) -> convolved(node, factors.shape(), a, b));
            }
        }
    }

    /** What goes beside a node. */
    @FunctionalInterface
    private interface Path {
        String add(String a, String b);
    }

    /** @param isBare whether the node does nothing but the product, whose outputs can be multiplied behind it */
    private boolean isAdded(NodeProto node, Matrix matrix, Factors factors, boolean isBare, Path path) {
        if (matrix.isScaled() && !isBare) {
            return false;
        }
        LowRank own = inputs(matrix);
        String result = node.getOutput(0);
        String base = result + ":base";
        graph.add(node.toBuilder().setOutput(0, base).build());
        String added = path.add(rows(own.a(), matrix.nIn(), factors), columns(own.b(), matrix.nOut(), factors, 1));
        NodeProto.Builder sum = NodeProto.newBuilder().setName(result + ":sum").setOpType("Add").addInput(base).addInput(added);
        if (own.magnitude() == null) {
            graph.add(sum.addOutput(result).build());
        } else {
            graph.add(sum.addOutput(result + ":sum").build());
            graph.add(NodeProto.newBuilder().setName(result + ":scaled").setOpType("Mul").addInput(result + ":sum")
                    .addInput(columns(own.magnitude(), matrix.nOut(), factors, 0)).addOutput(result).build());
        }
        return true;
    }

    private String convolved(NodeProto node, long[] shape, String a, String b) {
        long[] kernel = shape.clone();
        kernel[0] = -1;
        long[] point = new long[kernel.length];
        Arrays.fill(point, 1);
        point[0] = shape[0];
        point[1] = -1;
        Attribute[] same = node.getAttributeList().stream().map(Attribute::new).toArray(Attribute[]::new);
        String narrow = graph.add("Conv", List.of(node.getInput(0), graph.reshape(graph.transpose(a, 1, 0), kernel)), same);
        return graph.add("Conv", narrow, graph.reshape(graph.transpose(b, 1, 0), point));
    }

    private static boolean isOne(NodeProto node, String attribute) {
        return node.getAttributeList().stream().filter(each -> each.getName().equals(attribute))
                .allMatch(each -> each.getF() == 1);
    }

    /** A matrix of so many rows, with those of the weight. */
    private String rows(String tensor, long all, Factors factors) {
        return isAll(factors.rows(), all) ? tensor : graph.add("Gather", tensor, graph.ints(factors.rows()));
    }

    /** A tensor with so many columns in a dimension, there with those of the weight. */
    private String columns(String tensor, long all, Factors factors, int axis) {
        return isAll(factors.columns(), all) ? tensor
                : graph.add("Gather", List.of(tensor, graph.ints(factors.columns())), Attribute.of("axis", axis));
    }

    private static boolean isAll(long[] numbers, long count) {
        return Arrays.equals(numbers, LongStream.range(0, count).toArray());
    }

    private LowRank inputs(Matrix matrix) {
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
        return Initializer.floats(name, shape, () -> Nd4j.zeros(org.nd4j.linalg.api.buffer.DataType.FLOAT, shape));
    }

    private static Initializer ones(String name, long... shape) {
        return Initializer.floats(name, shape, () -> shape.length == 0 ? Nd4j.scalar(1f)
                : Nd4j.ones(org.nd4j.linalg.api.buffer.DataType.FLOAT, shape));
    }

    private String input(Values replaced) {
        return values.computeIfAbsent(replaced, own -> graph.input(own.defaults(), Arrays.stream(own.shape()).boxed().toList()));
    }

    /** The weight with the adapters in it, shaped as the weight. */
    private String effective(String tensor) {
        String known = effective.get(tensor);
        if (known != null) {
            return known;
        }
        AdaptedWeight weight = Objects.requireNonNull(adapted.get(tensor));
        graph.enter(weight.name());
        String made = made(tensor, weight);
        if (made == null) {
            made = sliced(tensor, weight.picks());
        }
        if (made == null) {
            made = gathered(tensor, weight.picks());
        }
        effective.put(tensor, made);
        return made;
    }

    /** A weight that one input is all of; null if it is not. */
    private @Nullable String made(String tensor, AdaptedWeight weight) {
        if (weight.matrix() != null) {
            return sum(tensor, weight.matrix(), Objects.requireNonNull(weight.factors()));
        }
        Map.Entry<Input, Pick> first = weight.picks().entrySet().iterator().next();
        return weight.picks().size() == 1 && first.getKey() instanceof Values replaced && first.getValue().isWhole()
                ? replacement(replaced, first.getValue()) : null;
    }

    private String sum(String tensor, Matrix matrix, Factors factors) {
        LowRank own = inputs(matrix);
        String sum = graph.add("Add", tensor, product(own, matrix, factors));
        if (own.magnitude() == null) {
            return sum;
        }
        long[] broadcast = factors.shape().clone();
        for (int i = 0; i < broadcast.length; i++) {
            broadcast[i] = factors.isColumn()[i] ? broadcast[i] : 1;
        }
        return graph.add("Mul", sum, graph.reshape(columns(own.magnitude(), matrix.nOut(), factors, 0), broadcast));
    }

    private String replacement(Values replaced, Pick pick) {
        String input = input(replaced);
        if (pick.isIdentity(replaced.count())) {
            return Arrays.equals(pick.shape(), replaced.shape()) ? input : graph.reshape(input, pick.shape());
        }
        long columns = replaced.count() / (replaced.shape().length == 0 ? 1 : replaced.shape()[0]);
        Factors factors = pick.factors((int) columns);
        if (factors != null) {
            String matrix = replaced.shape().length == 2 ? input : graph.reshape(input, -1, columns);
            return shaped(columns(rows(matrix, replaced.count() / columns, factors), columns, factors, 1), factors);
        }
        return graph.add("Gather", graph.reshape(input, -1), numbers(pick, i -> pick.ids()[i] - 1));
    }

    /** A·B in the shape of a weight. */
    private String product(LowRank own, Matrix matrix, Factors factors) {
        return shaped(graph.add("MatMul", rows(own.a(), matrix.nIn(), factors), columns(own.b(), matrix.nOut(), factors, 1)),
                factors);
    }

    /** A matrix with the rows and columns of a weight, in the weight's shape. */
    private String shaped(String matrix, Factors factors) {
        long[] shape = factors.shape();
        List<Integer> order = new ArrayList<>();
        for (boolean columns : new boolean[]{false, true}) {
            for (int i = 0; i < shape.length; i++) {
                if (factors.isColumn()[i] == columns) {
                    order.add(i);
                }
            }
        }
        String shaped = graph.reshape(matrix, order.stream().mapToLong(i -> shape[i]).toArray());
        int[] back = new int[shape.length];
        for (int i = 0; i < back.length; i++) {
            back[order.get(i)] = i;
        }
        boolean inOrder = true;
        for (int i = 0; i < back.length; i++) {
            inOrder &= back[i] == i;
        }
        return inOrder ? shaped : graph.transpose(shaped, back);
    }

    /** A weight of a few parts each of which is of one input, such as both directions of a recurrent layer; else null. */
    private @Nullable String sliced(String tensor, Map<Input, Pick> picks) {
        long[] shape = picks.values().iterator().next().shape();
        if (shape.length < 2 || shape[0] < 2 || shape[0] > FEW) {
            return null;
        }
        List<String> parts = new ArrayList<>();
        for (int i = 0; i < shape[0]; i++) {
            String part = graph.slice(tensor, 0, i, i + 1);
            Map<Input, Pick> inside = new HashMap<>();
            for (Map.Entry<Input, Pick> each : picks.entrySet()) {
                Pick slice = each.getValue().slice(i);
                if (!slice.isEmpty()) {
                    inside.put(each.getKey(), slice);
                }
            }
            String changed = inside.isEmpty() ? part : made(part, AdaptedWeight.of(inside));
            if (changed == null) {
                return null;
            }
            parts.add(changed);
        }
        return graph.concat(0, parts);
    }

    /** Any other weight, value by value. */
    private String gathered(String tensor, Map<Input, Pick> picks) {
        String changed = tensor;
        for (Map.Entry<Input, Pick> each : picks.entrySet()) {
            changed = each.getKey() instanceof Values replaced ? replacedIn(changed, replaced, each.getValue())
                    : addedTo(changed, (Matrix) each.getKey(), each.getValue());
        }
        return changed;
    }

    private String replacedIn(String tensor, Values replaced, Pick pick) {
        // Behind the input's values are those of the weight itself.
        String pool = graph.concat(0, List.of(graph.reshape(input(replaced), -1), graph.reshape(tensor, -1)));
        int[] ids = pick.ids();
        return graph.add("Gather", pool, numbers(pick, i -> ids[i] == 0 ? replaced.count() + i : ids[i] - 1));
    }

    private String addedTo(String tensor, Matrix matrix, Pick pick) {
        LowRank own = inputs(matrix);
        int[] ids = pick.ids();
        String product = padded(graph.add("MatMul", own.a(), own.b()), 0);
        String sum = graph.add("Add", tensor, graph.add("Gather", product, numbers(pick, i -> ids[i])));
        return own.magnitude() == null ? sum : graph.add("Mul", sum, graph.add("Gather", padded(own.magnitude(), 1),
                numbers(pick, i -> ids[i] == 0 ? 0 : (ids[i] - 1) % matrix.nOut() + 1)));
    }

    /** A tensor's values behind one that stands for values of other inputs. */
    private String padded(String tensor, double first) {
        return graph.concat(0, List.of(graph.unsqueeze(graph.number(first), 0), graph.reshape(tensor, -1)));
    }

    private String numbers(Pick pick, IntToLongFunction number) {
        return graph.reshape(graph.ints(IntStream.range(0, pick.ids().length).mapToLong(number).toArray()), pick.shape());
    }
}
