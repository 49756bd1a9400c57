package io.github.dl4jlora.onnx.transformer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.layer.Place;
import io.github.dl4jlora.transformers.layer.MultiHeadAttention;

import java.util.List;

/** {@code softmax(Q·Kᵀ / √d) · V} in several heads; the softmax leaves out padding and, if it is causal, later tokens. */
final class Attention {

    /** In the place of scores that are left out: e to its power is 0, and a text without any token gives no NaN. */
    private static final double NEVER = -1e30;

    private Attention() {
    }

    static Flow export(MultiHeadAttention vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        long hidden = Texts.width(inputs.get(0)) / (vertex.isJoint() ? 3 : 1);
        Texts texts = Texts.of(inputs.get(inputs.size() - 1), vertex.getPadding(), graph);
        String query = heads(0, inputs, hidden, vertex, texts, 0, 2, 1, 3);
        String key = heads(1, inputs, hidden, vertex, texts, 0, 2, 3, 1);
        String value = heads(2, inputs, hidden, vertex, texts, 0, 2, 1, 3);
        String scores = graph.add("Mul", graph.add("MatMul", query, key),
                graph.number(1 / Math.sqrt((double) hidden / vertex.getHeads())));
        String seen = seen(vertex.isCausal(), texts);
        String masked = graph.add("Where", List.of(seen, scores, graph.number(NEVER)));
        String weights = graph.add("Softmax", masked, Attribute.of("axis", -1));
        if (vertex.isCausal()) {
            // Padding before the first token sees none, which softmax does not express.
            weights = graph.add("Where", List.of(seen, weights, graph.number(0)));
        }
        String mixed = graph.transpose(graph.add("MatMul", weights, value), 0, 2, 1, 3);
        return new Flow(graph.reshape(mixed, -1, hidden), here.output(), null);
    }

    /** Queries, keys or values, {@code [batch, length, heads, d]}, in another order of dimensions. */
    private static String heads(int part, List<Flow> inputs, long hidden, MultiHeadAttention vertex, Texts texts,
                                int... dimensions) {
        String rows = vertex.isJoint() ? texts.graph().slice(inputs.get(0).name(), 1, part * hidden, (part + 1) * hidden)
                : inputs.get(part).name();
        return texts.graph().transpose(texts.apart(rows, vertex.getHeads(), hidden / vertex.getHeads()), dimensions);
    }

    /** Which tokens each token sees, BOOL, {@code [batch, 1, 1 or length, length]}. */
    private static String seen(boolean causal, Texts texts) {
        OnnxGraph graph = texts.graph();
        return texts.shared(causal ? "seen before" : "seen", () -> {
            String kept = graph.unsqueeze(texts.kept(), 1, 2);
            return causal ? graph.add("And", kept, graph.add("LessOrEqual", texts.places(),
                    graph.unsqueeze(texts.places(), 1))) : kept;
        });
    }
}
