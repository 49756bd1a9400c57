package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Dot product attention: softmax(K^T Q / sqrt(size of K)) over the keys, times V, all [batch, size, time]. With projections, Wq,
 * Wk and Wv are [heads, head size, inputs] and Wo is [heads * head size, outputs]. A mask is of the keys.
 */
final class AttentionLayers {

    private AttentionLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(SelfAttentionLayer.class, (layer, input, here) -> {
            String steps = here.graph().transpose(input.name(), 0, 2, 1);
            String result = new Keys(steps, steps, input.mask(), here).attend(steps);
            return input.to(here.graph().transpose(result, 0, 2, 1), here.output());
        });
        exports.layer(RecurrentAttentionLayer.class, AttentionLayers::recurrent);
        exports.vertex(AttentionVertex.class, AttentionLayers::vertex);
    }

    /** h(t) = activation(x(t) W + b + attention(h(t-1); x) R), the first step without attention. */
    private static Flow recurrent(RecurrentAttentionLayer layer, Flow input, Place here) {
        OnnxGraph graph = here.graph();
        long units = here.weight("RW").shape()[0];
        String first = Sequences.timeFirst(input.name(), RNNFormat.NCW, graph);
        String z = here.product(first, "W", "b");
        String steps = graph.transpose(input.name(), 0, 2, 1);
        Keys keys = new Keys(steps, steps, input.mask(), here);
        String r = graph.weight(here.weight("RW").withAxis(1));
        String results = graph.scan(List.of(RecurrentLayers.zeros(first, units, graph), graph.number(0)), List.of(z), in -> {
            String attended = graph.squeeze(keys.attend(graph.unsqueeze(in.get(0), 1)), 1);
            String seen = graph.add("Mul", graph.add("MatMul", attended, r), in.get(1));
            String h = Activations.gate(layer.getActivation().getActivationFunction(), graph.add("Add", in.get(2), seen), -1,
                    here);
            return List.of(h, graph.number(1), h);
        });
        return input.to(Sequences.batchFirst(results, RNNFormat.NCW, graph), here.output());
    }

    /** Inputs are queries, keys and values; a query that is masked gets zeros. */
    private static Flow vertex(AttentionVertex vertex, List<Flow> inputs, Place here) {
        OnnxGraph graph = here.graph();
        List<String> steps = inputs.stream().map(input -> graph.transpose(input.name(), 0, 2, 1)).toList();
        String keyMask = inputs.get(1).mask();
        String valueMask = inputs.get(2).mask();
        String mask = keyMask == null || keyMask.equals(valueMask) ? valueMask
                : valueMask == null ? keyMask : graph.add("Min", keyMask, valueMask);
        String result = graph.transpose(new Keys(steps.get(1), steps.get(2), mask, here).attend(steps.get(0)), 0, 2, 1);
        String queryMask = inputs.get(0).mask();
        return new Flow(queryMask == null ? result : Sequences.masked(result, queryMask, RNNFormat.NCW, graph), here.output(),
                queryMask);
    }

    /** What is attended to; computed once. */
    private static final class Keys {

        private final Place here;
        private final OnnxGraph graph;
        private final boolean projected;
        private final long heads;
        private final long headSize;
        private final String queryWeight;
        private final String outWeight;
        private final String keys;
        private final String values;
        private final String scale;
        private final @Nullable String bias;

        /** @param keys and values are [batch, time, size]; the mask is [batch, time] */
        Keys(String keys, String values, @Nullable String mask, Place here) {
            this.here = here;
            this.graph = here.graph();
            this.projected = here.has("Wq");
            if (projected) {
                long[] shape = here.weight("Wq").shape();
                this.heads = shape[0];
                this.headSize = shape[1];
                this.queryWeight = projection("Wq");
                this.outWeight = graph.weight(here.weight("Wo").withAxis(1));
                this.keys = heads(graph.add("MatMul", keys, projection("Wk")), 0, 2, 3, 1);
                this.values = heads(graph.add("MatMul", values, projection("Wv")), 0, 2, 1, 3);
                this.scale = graph.number(Math.sqrt(headSize));
            } else {
                this.heads = 1;
                this.headSize = 0;
                this.queryWeight = "";
                this.outWeight = "";
                this.keys = graph.transpose(keys, 0, 2, 1);
                this.values = values;
                this.scale = graph.add("Sqrt", graph.cast(graph.size(keys, 2), DataType.FLOAT));
            }
            // As in ND4J: what is masked gets -1e9, which leaves nothing of its score.
            this.bias = mask == null ? null : graph.unsqueeze(graph.add("Mul", graph.add("Sub", mask, graph.number(1)),
                    graph.number(1e9)), projected ? new long[]{1, 2} : new long[]{1});
        }

        /** From queries [batch, time, size] to [batch, time, outputs]. */
        String attend(String queries) {
            String q = projected ? heads(graph.add("MatMul", queries, queryWeight), 0, 2, 1, 3) : queries;
            String scores = graph.add("Div", graph.add("MatMul", q, keys), scale);
            String biased = bias == null ? scores : graph.add("Add", scores, bias);
            String softmax = graph.add("Softmax", biased, Attribute.of("axis", -1));
            String attended = graph.add("MatMul", softmax, values);
            return projected ? graph.add("MatMul", graph.reshape(graph.transpose(attended, 0, 2, 1, 3), 0, 0, heads * headSize),
                    outWeight) : attended;
        }

        private String projection(String key) {
            Weight weight = here.weight(key);
            return graph.weight(weight.reshaped(heads * headSize, weight.shape()[2]).permuted(1, 0).withAxis(1));
        }

        private String heads(String projections, int... order) {
            return graph.transpose(graph.reshape(projections, 0, 0, heads, headSize), order);
        }
    }
}
