package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.undo.MergedValues;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A layer or vertex, to be asked what comes out of it. */
record Step(Node node, @Nullable Layer layer, @Nullable GraphVertex vertex, @Nullable InputPreProcessor preprocessor) {

    static Step of(Network<?> network, MergedValues values, Node node) {
        Layer layer = values.layer(node);
        // Copies: some keep what they are asked about.
        return new Step(node, layer == null ? null : layer.clone(),
                layer == null ? StockLayers.copy(values.vertex(node)) : null, network.preprocessor(node));
    }

    /**
     * What flows out of steps and into the network, by name, as far as it is known: not behind a step that does not take what
     * flows in.
     *
     * @param steps  each behind those that it reads
     * @param inputs of the network
     */
    static Map<String, InputType> types(List<Step> steps, Map<String, InputType> inputs) {
        Map<String, InputType> types = new HashMap<>(inputs);
        for (Step step : steps) {
            InputType[] read = step.node.inputs().stream().map(types::get).toArray(InputType[]::new);
            if (Arrays.stream(read).allMatch(Objects::nonNull)) {
                try {
                    types.put(step.node.name(), Objects.requireNonNull(step.output(read)));
                } catch (RuntimeException e) {
                    // What flows out stays unknown.
                    continue;
                }
            }
        }
        return types;
    }

    /**
     * {@return what DL4J says of the output's shape}
     *
     * @throws RuntimeException if the step does not take these inputs
     */
    InputType output(InputType... inputs) {
        if (vertex != null) {
            return vertex.getOutputType(0, inputs);
        }
        return layer.getOutputType(0, preprocessor == null ? inputs[0] : preprocessor.getOutputType(inputs[0]));
    }
}
