package io.github.dl4jlora.onnx.transformer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.layer.Place;
import io.github.dl4jlora.transformers.layer.MultiHeadAttention;
import io.github.dl4jlora.transformers.layer.RelativeAttentionBias;

import java.util.List;
import java.util.stream.LongStream;

/** {@code softmax(Q·Kᵀ / √d) · V} in several heads; the softmax leaves out padding and, if it is causal, later tokens. */
final class Attention {

    /** In the place of scores that are left out: e to its power is 0, and a text without any token gives no NaN. */
    private static final double NEVER = -1e30;
    /** Tokens that are further apart have the bias of this distance. */
    private static final int FAR = 128;

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
        String biased = vertex.getBias() == null ? scores : graph.add("Add", scores, bias(vertex.getBias(), texts, here));
        String masked = graph.add("Where", List.of(seen, biased, graph.number(NEVER)));
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

    /** What a layer keeps for the distances of tokens, {@code [heads, length, length]}. */
    private static String bias(String layer, Texts texts, Place here) {
        OnnxGraph graph = here.graph();
        return graph.shared("bias of " + layer + " for " + texts.places(), () -> {
            long[] buckets = LongStream.rangeClosed(-FAR, FAR).map(n -> RelativeAttentionBias.bucket((int) n)).toArray();
            String distance = graph.add("Sub", texts.places(), graph.unsqueeze(texts.places(), 1));
            String near = graph.add("Max", graph.add("Min", distance, graph.index(FAR)), graph.index(-FAR));
            String rows = graph.add("Gather", graph.ints(buckets), graph.add("Add", near, graph.index(FAR)));
            return graph.transpose(graph.add("Gather", TransformerLayers.distances(layer, here), rows), 2, 0, 1);
        });
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
