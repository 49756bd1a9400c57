package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.undo.MergedValues;
import io.github.dl4jlora.onnx.adapter.AdapterInputs;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.layer.Logits;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;

class DraftTest {

    /** One that has added so many nodes and numbers. */
    private static Draft draft(int nodes, int numbers) {
        MultiLayerNetwork network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder().nIn(3).nOut(2).build()).build());
        Network<?> known = Networks.of(network);
        OnnxGraph graph = new OnnxGraph(17, WeightType.FLOAT.storage(), List.of());
        graph.enter("same");
        for (int i = 0; i < 2; i++) {
            graph.add("Relu", "in");
            graph.index(i);
        }
        graph.enter("more");
        for (int i = 0; i < nodes; i++) {
            graph.add("Relu", "in");
        }
        for (int i = 0; i < numbers; i++) {
            graph.index(i);
        }
        try (MergedValues values = MergedValues.of(known, "")) {
            Walk walk = new Walk(known, values, AdapterInputs.NONE, graph, new Logits(Set.of()));
            return new Draft(graph, walk, List.of(), List.of());
        }
    }

    @Test
    void theLongerOneTellsWhichLayerDependsOnSizes() {
        assertThat(draft(1, 0).dependent(draft(1, 0))).isNull();
        assertThat(draft(0, 0).dependent(draft(1, 0))).isEqualTo("more");
        assertThat(draft(1, 0).dependent(draft(0, 0))).isEqualTo("more");
        assertThat(draft(0, 0).dependent(draft(0, 1))).isEqualTo("more");
    }
}
