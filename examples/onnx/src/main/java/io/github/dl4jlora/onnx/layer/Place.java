package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;

import java.util.Map;
import java.util.stream.Collectors;

/**
 * Where a layer or vertex is: its name, its weights, and the graph that it is written into.
 *
 * @param name    the layer's, by which messages and the names of tensors call it
 * @param graph   what is written
 * @param weights by DL4J's keys, in DL4J's shapes
 * @param output  what DL4J says of the output's shape
 * @param batch   an INT64 vector of one value: the number of examples at the network's first input
 * @param flows   what flows out of the network's inputs, and of what is written already, by name
 * @param logits  the outputs whose softmax or sigmoid is to be left out
 * @param exports all that can be written, for layers that wrap another one
 */
public record Place(String name, OnnxGraph graph, Map<String, Weight> weights, InputType output, String batch,
                    Map<String, Flow> flows, Logits logits, Exports exports) {

    /** The weight of that key, which the layer must have. */
    public Weight weight(String key) {
        Weight weight = weights.get(key);
        if (weight == null) {
            throw new IllegalStateException("Layer \"" + name + "\" has no weight \"" + key + "\"; it has " + weights.keySet());
        }
        return weight;
    }

    /** Whether the layer has a weight of that key. */
    public boolean has(String key) {
        return weights.containsKey(key);
    }

    /**
     * x·W + b, without b if the layer has none of that key.
     *
     * @param x      rows, or any tensor whose last dimension is W's first
     * @param weight key of W, [inputs, outputs]
     * @param bias   key of b, which has any shape
     */
    String product(String x, String weight, String bias) {
        String z = graph.add("MatMul", x, graph.weight(weight(weight).withAxis(1)));
        return has(bias) ? graph.add("Add", z, row(bias)) : z;
    }

    /** A weight of that key as a vector, which is added to rows or multiplied by them. */
    public String row(String key) {
        return graph.weight(weight(key).reshaped(Initializer.count(weight(key).shape())));
    }

    /**
     * Writes a layer that this one wraps.
     *
     * @param prefix of the inner layer's keys among this layer's; the empty string if they are the same
     * @param type   of the inner layer's output
     */
    public Flow inner(Layer layer, Flow input, String prefix, InputType type) {
        return exports.layer(layer, input, within(prefix, type));
    }

    /** The place of a layer that this one wraps. */
    Place within(String prefix, InputType type) {
        Map<String, Weight> inner = weights.entrySet().stream().filter(entry -> entry.getKey().startsWith(prefix))
                .collect(Collectors.toMap(entry -> entry.getKey().substring(prefix.length()), Map.Entry::getValue));
        return new Place(name, graph, inner, type, batch, flows, logits, exports);
    }

    /** What to throw for something that ONNX cannot say. */
    public OnnxExportException refusal(String reason, String remedy) {
        return OnnxExportException.of(name, reason, remedy);
    }
}
