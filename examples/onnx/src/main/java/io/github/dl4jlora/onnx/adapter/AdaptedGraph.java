package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.onnx.adapter.Input.Matrix;
import io.github.dl4jlora.onnx.adapter.Pick.Factors;
import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.AttributeProto;
import onnx.Onnx.GraphProto;
import onnx.Onnx.NodeProto;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.BinaryOperator;

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

    private final OnnxGraph graph;
    private final Map<String, AdaptedWeight> adapted;
    private final GraphInputs inputs;
    private final EffectiveWeights effective;

    /** @param adapted by tensor */
    AdaptedGraph(OnnxGraph graph, Map<String, AdaptedWeight> adapted) {
        this.graph = graph;
        this.adapted = adapted;
        this.inputs = new GraphInputs(graph);
        this.effective = new EffectiveWeights(graph, adapted, inputs);
    }

    /** {@return what has become an input} */
    Set<Input> rewrite() {
        for (NodeProto node : graph.takeNodes()) {
            if (!isBeside(node)) {
                graph.add(renamed(node, -1));
            }
        }
        graph.prune();
        return inputs.made();
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
            other.setInput(i, isChanged ? effective.of(node.getInput(i)) : node.getInput(i));
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

    /**
     * @param isBare whether the node does nothing but the product, whose outputs can be multiplied behind it
     * @param path   adds what goes beside the node, of A and B
     */
    private boolean isAdded(NodeProto node, Matrix matrix, Factors factors, boolean isBare, BinaryOperator<String> path) {
        if (matrix.isScaled() && !isBare) {
            return false;
        }
        String result = node.getOutput(0);
        String base = result + ":base";
        graph.add(node.toBuilder().setOutput(0, base).build());
        String added = path.apply(inputs.a(matrix, factors), inputs.b(matrix, factors));
        String magnitude = inputs.magnitude(matrix, factors);
        NodeProto.Builder sum = NodeProto.newBuilder().setName(result + ":sum").setOpType("Add").addInput(base).addInput(added);
        if (magnitude == null) {
            graph.add(sum.addOutput(result).build());
        } else {
            graph.add(sum.addOutput(result + ":sum").build());
            graph.add(NodeProto.newBuilder().setName(result + ":scaled").setOpType("Mul").addInput(result + ":sum")
                    .addInput(magnitude).addOutput(result).build());
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
}
